"""The Keras optimizer of a TrainingConfig, under the names that the starter code took from `tf.train`."""

import keras

from youtube8m_distill.config import TrainingConfig
from youtube8m_distill.engine.schedules import ExponentialDecayByExamples

# With TF1's values where Keras has an argument for them, since these are TF1's names. Two differences remain: TF1's RMSProp
# starts its mean square at 1 and Keras' at 0, and TF1's Adagrad has no epsilon.
OPTIMIZERS = {
    "AdamOptimizer": lambda rate: keras.optimizers.Adam(rate, epsilon=1e-8),
    "GradientDescentOptimizer": keras.optimizers.SGD,
    "MomentumOptimizer": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "AdagradOptimizer": lambda rate: keras.optimizers.Adagrad(rate, epsilon=1e-7),
    "RMSPropOptimizer": lambda rate: keras.optimizers.RMSprop(rate, rho=0.9, epsilon=1e-10),
}


def build_optimizer(training: TrainingConfig) -> keras.optimizers.Optimizer:
    """The optimizer of a run. It does not clip: the training step does, after summing the gradients of all replicas."""
    schedule = ExponentialDecayByExamples(
        training.base_learning_rate, training.learning_rate_decay, training.learning_rate_decay_examples, training.batch_size
    )
    return OPTIMIZERS[training.optimizer](schedule)
