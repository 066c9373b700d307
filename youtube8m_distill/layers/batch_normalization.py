"""Batch normalization over the real rows of a padded batch and over all replicas (Ioffe and Szegedy 2015)."""

from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.layers import replicas
from youtube8m_distill.layers.base import Layer

FLOAT32 = {"dtype": "float32", "autocast": False}
# All replicas write equal values, so the value of the first one is kept.
STATE = {"trainable": False, "aggregation": "only_first_replica"}


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class BatchNormalization(Layer):
    """`gamma * (x - mean) / sqrt(variance + epsilon) + beta`, with statistics for each entry of the last axis.

    Training uses the statistics of the batch over its real rows and over all replicas (Keras' own layer ignores the
    other replicas when it has a mask); evaluation uses moving statistics. Statistics are float32 in every precision. A
    batch without real rows does not update them. With `trainable=False` the layer always uses the moving statistics, as
    Keras' layer does. The defaults are slim's.

    An update keeps the share `momentum` of the moving statistics; update n, counted from 0, at most (1 + n) / (10 + n), as
    in TensorFlow's ExponentialMovingAverage, so that the initial values fade quickly.

    Call arguments:
        x: float [..., size].
        mask: bool, the shape of `x` without its last axis; None if every row is real. Other rows count as zeros,
            whatever they hold, and are left out of the statistics.
        update_statistics: whether a call in training updates the moving statistics.

    Output: the shape of `x`, in the layer's compute dtype.
    """

    def __init__(self, momentum: float = 0.999, epsilon: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.supports_masking = True  # otherwise Keras warns about every mask

    def compute_mask(self, x: KerasTensor, previous_mask: KerasTensor | None) -> None:
        """None: encoders pass masks as arguments and do not attach them to tensors."""

    def build(self, input_shape: tuple[Any, ...]) -> None:
        shape = input_shape[-1:]
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", **FLOAT32)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", **FLOAT32)
        self.moving_mean = self.add_weight(name="moving_mean", shape=shape, initializer="zeros", **FLOAT32, **STATE)
        self.moving_variance = self.add_weight(name="moving_variance", shape=shape, initializer="ones", **FLOAT32, **STATE)
        # A float because TensorFlow does not place int32 variables on GPUs.
        self.num_updates = self.add_weight(name="num_updates", shape=(), initializer="zeros", **FLOAT32, **STATE)

    def call(
        self, x: KerasTensor, mask: KerasTensor | None = None, training: bool = False, update_statistics: bool = True
    ) -> KerasTensor:
        x = ops.cast(x, "float32")
        if mask is not None:
            # Select instead of multiplying: padding may hold NaN.
            x = ops.where(mask[..., None], x, 0.0)
        if training and self.trainable:
            count, mean, variance = self._batch_statistics(x, mask)
            if update_statistics:
                self._move(count, mean, variance)
            normalized = (x - mean) * self._scale(variance) + self.beta
        else:
            # Mean and offset are constants here and merge into one number: two passes over x instead of three.
            scale = self._scale(self.moving_variance)
            normalized = x * scale + (self.beta - self.moving_mean * scale)
        return ops.cast(normalized, self.compute_dtype)

    def _scale(self, variance):
        return self.gamma * ops.rsqrt(variance + self.epsilon)

    def _batch_statistics(self, x, mask):
        """Count of real rows (scalar), their mean and variance [size], over all replicas; zeros if there is no row."""
        axes = tuple(range(len(x.shape) - 1))
        real = ops.ones_like(x[..., :1]) if mask is None else ops.cast(mask, "float32")[..., None]
        count, total = replicas.sum_over_replicas([ops.sum(real), ops.sum(x, axis=axes)])
        rows = ops.maximum(count, 1.0)
        mean = total / rows
        # A second pass: the mean of squares minus the squared mean would cancel if means are large.
        (squares,) = replicas.sum_over_replicas([ops.sum(ops.square((x - mean) * real), axis=axes)])
        return count, mean, squares / rows

    def _move(self, count, mean, variance):
        momentum = ops.minimum(self.momentum, (1.0 + self.num_updates) / (10.0 + self.num_updates))
        momentum = ops.where(count > 0, momentum, 1.0)
        self.moving_mean.assign(momentum * self.moving_mean + (1.0 - momentum) * mean)
        self.moving_variance.assign(momentum * self.moving_variance + (1.0 - momentum) * variance)
        self.num_updates.assign(self.num_updates + ops.cast(count > 0, "float32"))
