"""Context gating: a vector weights its own entries (Miech et al. 2017, "Learnable pooling with context gating")."""

import math
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.layers.batch_normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class ContextGating(keras.layers.Layer):
    """`x * sigmoid(BN(x W))` with a square W, or with a bias instead of the normalization.

    Args:
        batch_norm: whether gates are batch-normalized, as published; otherwise they have a bias.
        remove_diagonal: whether the diagonal of W is left out, so that no entry gates itself.

    Input: float [batch, size]. Output: the same shape, in the layer's compute dtype.
    """

    def __init__(self, batch_norm: bool = True, remove_diagonal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.remove_diagonal = remove_diagonal
        self.normalization = BatchNormalization(dtype=self.dtype_policy, name="normalization") if batch_norm else None

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.size = input_shape[-1]
        self.kernel = self._add_normal("kernel", (self.size, self.size))
        if self.normalization is None:
            self.bias = self._add_normal("bias", (self.size,))
        else:
            self.normalization.build(input_shape)

    def _add_normal(self, name, shape):
        # A new initializer for each weight: one that is used twice gives the same numbers twice.
        initializer = keras.initializers.RandomNormal(stddev=1.0 / math.sqrt(self.size))
        return self.add_weight(name=name, shape=shape, initializer=initializer)

    def call(self, x: KerasTensor, training: bool = False, update_statistics: bool = True) -> KerasTensor:
        gates = ops.matmul(x, self.kernel)  # [B, size]
        if self.remove_diagonal:
            gates = gates - x * ops.diagonal(self.kernel)
        if self.normalization is None:
            gates = gates + self.bias
        else:
            gates = self.normalization(gates, training=training, update_statistics=update_statistics)
        return x * ops.sigmoid(gates)

    def multiply_adds(self) -> int:
        """Multiply-adds of one video, matrix products only."""
        return self.size * self.size

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "batch_norm": self.normalization is not None,
            "remove_diagonal": self.remove_diagonal,
        }
