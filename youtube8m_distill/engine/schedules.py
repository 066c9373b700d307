"""Learning rate as a function of the step."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class ExponentialDecayByExamples(keras.optimizers.schedules.LearningRateSchedule):
    """The starter code's schedule: `rate * decay ** floor(examples seen / decay_examples)`.

    Counting in examples keeps a recipe's meaning when the batch changes.

    Args:
        base_learning_rate: float.
        decay: float in 0 .. 1. 1 keeps the rate as it is.
        decay_examples: int. Examples between two decays.
        batch_size: int. Examples a step, over all replicas.
    """

    def __init__(self, base_learning_rate, decay, decay_examples, batch_size):
        super().__init__()
        self.base_learning_rate = base_learning_rate
        self.decay = decay
        self.decay_examples = decay_examples
        self.batch_size = batch_size

    def __call__(self, step):
        # int64: a float32 no longer counts examples one by one past 16.7 million.
        decays = tf.cast(step, tf.int64) * self.batch_size // self.decay_examples
        return self.base_learning_rate * self.decay ** tf.cast(decays, tf.float32)

    def get_config(self):
        return {
            "base_learning_rate": self.base_learning_rate,
            "decay": self.decay,
            "decay_examples": self.decay_examples,
            "batch_size": self.batch_size,
        }
