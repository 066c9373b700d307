"""Context gating: a vector weights its own entries (Miech et al. 2017, "Learnable pooling with context gating")."""

from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.layers.base import Layer
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.initializers import normal


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class ContextGating(Layer):
    """`x * sigmoid(BN(x W))` with a square W, as published, or with a bias instead of the normalization.

    With `remove_diagonal`, the diagonal of W is left out, so that no entry gates itself.

    Input: float [batch, size]. Output: the same shape, in the layer's compute dtype.
    """

    def __init__(self, batch_norm: bool = True, remove_diagonal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_norm = batch_norm
        self.remove_diagonal = remove_diagonal

    def build(self, input_shape: tuple[Any, ...]) -> None:
        size = input_shape[-1]
        self.kernel = self.add_weight(name="kernel", shape=(size, size), initializer=normal(size))
        if self.batch_norm:
            self.normalization = self.sublayer(BatchNormalization, "normalization", size)
        else:
            self.bias = self.add_weight(name="bias", shape=(size,), initializer=normal(size))

    def call(self, x: KerasTensor, training: bool = False, update_statistics: bool = True) -> KerasTensor:
        gates = ops.matmul(x, self.kernel)  # [B, size]
        if self.remove_diagonal:
            gates = gates - x * ops.diagonal(self.kernel)
        if self.batch_norm:
            gates = self.normalization(gates, training=training, update_statistics=update_statistics)
        else:
            gates = gates + self.bias
        return x * ops.sigmoid(gates)
