"""The Keras optimizer of a TrainingConfig, under the names that the starter code took from `tf.train`."""

import functools

import keras
import tensorflow as tf

from youtube8m_distill import compat
from youtube8m_distill.config import TrainingConfig

# With TF1's values where Keras has an argument for them, since these are TF1's names. Two differences remain: TF1's RMSProp
# starts its mean square at 1 and Keras' at 0, and TF1's Adagrad has no epsilon.
OPTIMIZERS = {
    "AdamOptimizer": functools.partial(keras.optimizers.Adam, epsilon=1e-8),
    "GradientDescentOptimizer": keras.optimizers.SGD,
    "MomentumOptimizer": functools.partial(keras.optimizers.SGD, momentum=0.9),
    "AdagradOptimizer": functools.partial(keras.optimizers.Adagrad, epsilon=1e-7),
    "RMSPropOptimizer": functools.partial(keras.optimizers.RMSprop, rho=0.9, epsilon=1e-10),
}


class ExponentialDecayByExamples(keras.optimizers.schedules.LearningRateSchedule):
    """The starter code's schedule: `base_learning_rate * learning_rate_decay ** floor(examples seen / decay_examples)`.

    Counting examples, not steps, keeps a recipe's meaning when the batch size, over all replicas, changes.
    """

    def __init__(self, training: TrainingConfig):
        super().__init__()
        self.training = training

    def __call__(self, step):
        # int64, because a float32 cannot count single examples past 16.7 million.
        decays = tf.cast(step, tf.int64) * self.training.batch_size // self.training.learning_rate_decay_examples
        return self.training.base_learning_rate * self.training.learning_rate_decay ** tf.cast(decays, tf.float32)


def build_optimizer(training: TrainingConfig, on_devices_of_variables: bool = False) -> keras.optimizers.Optimizer:
    """The optimizer of a run. It does not clip: the training step does, after summing the gradients of all replicas.

    Args:
        on_devices_of_variables: for one replica whose variables are on several devices: update each on its own device.
    """
    average = {"use_ema": True, "ema_momentum": training.ema_decay} if training.ema_decay else {}
    optimizer = OPTIMIZERS[training.optimizer](ExponentialDecayByExamples(training), **average)
    return compat.updating_on_devices_of_variables(optimizer) if on_devices_of_variables else optimizer
