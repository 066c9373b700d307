"""Learning rate as a function of the step."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class ExponentialDecayByExamples(keras.optimizers.schedules.LearningRateSchedule):
    """The starter code's schedule: `rate * decay ** floor(examples seen / decay_examples)`.

    Counting examples, not steps, keeps a recipe's meaning when the batch size changes.

    Args:
        base_learning_rate: the rate before its decay.
        decay: 0 to 1; 1 keeps the rate constant.
        decay_examples: examples between two decays.
        batch_size: examples per step, over all replicas.
    """

    def __init__(self, base_learning_rate: float, decay: float, decay_examples: int, batch_size: int):
        super().__init__()
        self.base_learning_rate = base_learning_rate
        self.decay = decay
        self.decay_examples = decay_examples
        self.batch_size = batch_size

    def __call__(self, step):
        # int64, because a float32 cannot count single examples past 16.7 million.
        decays = tf.cast(step, tf.int64) * self.batch_size // self.decay_examples
        return self.base_learning_rate * self.decay ** tf.cast(decays, tf.float32)

    def get_config(self):
        return {
            "base_learning_rate": self.base_learning_rate,
            "decay": self.decay,
            "decay_examples": self.decay_examples,
            "batch_size": self.batch_size,
        }
