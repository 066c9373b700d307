"""Logistic classifier: one sigmoid a class (the starter code's `LogisticModel`)."""

import keras
from keras import ops

# The starter's regulariser is 1e-8 * sum(w^2) / 2; Keras' L2 has no half.
STARTER_L2 = 1e-8 / 2


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class Logistic(keras.layers.Layer):
    """`sigmoid(x W + b)`, in float32 whatever the precision of the encoder.

    Args:
        num_classes: int.

    Input: float [batch, size]. Output: float32 [batch, num_classes], 0 .. 1.
    """

    def __init__(self, num_classes, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_classes = num_classes
        self.logits = keras.layers.Dense(num_classes, kernel_regularizer=keras.regularizers.L2(STARTER_L2),
                                         dtype="float32", name="logits")

    def build(self, input_shape):
        self.logits.build(input_shape)
        self.encoding_size = input_shape[-1]

    def call(self, encoding):
        return ops.sigmoid(self.logits(encoding))

    def multiply_adds(self):
        """Multiply-adds of one video, matrix products only."""
        return self.encoding_size * self.num_classes

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
