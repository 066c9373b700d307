"""From a TrainingConfig to a Keras optimizer, under the starter code's `tf.train` names."""

import keras

from youtube8m_distill.engine.schedules import ExponentialDecayByExamples

# TF1's values where Keras has an argument for them: these are the names that TF1's users wrote. (Two differ still: TF1's
# RMSProp starts its mean square at 1 and Keras' at 0, and TF1's Adagrad has no epsilon.)
OPTIMIZERS = {
    "AdamOptimizer": lambda rate: keras.optimizers.Adam(rate, epsilon=1e-8),
    "GradientDescentOptimizer": keras.optimizers.SGD,
    "MomentumOptimizer": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "AdagradOptimizer": lambda rate: keras.optimizers.Adagrad(rate, epsilon=1e-7),
    "RMSPropOptimizer": lambda rate: keras.optimizers.RMSprop(rate, rho=0.9, epsilon=1e-10),
}


def build_optimizer(training):
    """The optimizer of a run. It never clips: the base step does, after gradients of all replicas are summed.

    Args:
        training: TrainingConfig.
    Returns:
        keras.optimizers.Optimizer.
    """
    schedule = ExponentialDecayByExamples(
        training.base_learning_rate, training.learning_rate_decay, training.learning_rate_decay_examples, training.batch_size
    )
    return OPTIMIZERS[training.optimizer](schedule)
