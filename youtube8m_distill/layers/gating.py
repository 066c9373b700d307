"""Context gating: a vector weighs its own entries (Miech et al. 2017, "Learnable pooling with context gating")."""

import math

import keras
from keras import ops

from youtube8m_distill.layers.batch_normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class ContextGating(keras.layers.Layer):
    """`x * sigmoid(BN(x W))`, or with a bias in place of the normalization, W square.

    Args:
        batch_norm: bool. Batch normalization of the gates, as published; otherwise a bias.
        remove_diagonal: bool. No entry speaks for itself: W without its diagonal.

    Input: float [batch, size]. Output: the same shape, in the layer's compute dtype.
    """

    def __init__(self, batch_norm=True, remove_diagonal=False, **kwargs):
        super().__init__(**kwargs)
        self.remove_diagonal = remove_diagonal
        self.normalization = BatchNormalization(dtype=self.dtype_policy, name="normalization") if batch_norm else None

    def build(self, input_shape):
        self.size = input_shape[-1]
        self.kernel = self._add_normal("kernel", (self.size, self.size))
        if self.normalization is None:
            self.bias = self._add_normal("bias", (self.size,))
        else:
            self.normalization.build(input_shape)

    def _add_normal(self, name, shape):
        # An initializer for each: one that is used twice gives the same numbers twice.
        initializer = keras.initializers.RandomNormal(stddev=1.0 / math.sqrt(self.size))
        return self.add_weight(name=name, shape=shape, initializer=initializer)

    def call(self, x, training=False, update_statistics=True):
        gates = ops.matmul(x, self.kernel)  # [B, size]
        if self.remove_diagonal:
            gates = gates - x * ops.diagonal(self.kernel)
        if self.normalization is None:
            gates = gates + self.bias
        else:
            gates = self.normalization(gates, training=training, update_statistics=update_statistics)
        return x * ops.sigmoid(gates)

    def multiply_adds(self):
        """Multiply-adds of one video, matrix products only."""
        return self.size * self.size

    def get_config(self):
        return {
            **super().get_config(),
            "batch_norm": self.normalization is not None,
            "remove_diagonal": self.remove_diagonal,
        }
