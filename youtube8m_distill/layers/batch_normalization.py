"""Batch normalization over the real rows of a padded batch, and over all replicas (Ioffe and Szegedy 2015)."""

import keras
from keras import ops

FLOAT32 = {"dtype": "float32", "autocast": False}
# Replicas write equal values, so the first one's do for all.
STATE = {"trainable": False, "aggregation": "only_first_replica"}


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class BatchNormalization(keras.layers.Layer):
    """`gamma * (x - mean) / sqrt(variance + epsilon) + beta`, with the statistics of each entry of the last axis.

    In training these are the batch's, over the rows that are real; otherwise the moving ones. Keras' own layer forgets
    the other replicas when it has a mask. Statistics are float32 whatever the precision around them, and a batch without
    any real row moves none. A layer with `trainable=False` always uses the moving ones, as Keras' does.

    Args:
        momentum: float. Share of the moving statistics that an update keeps; 0.999 is slim's default. Update n, counted
            from 0, keeps at most (1 + n) / (10 + n), as TensorFlow's ExponentialMovingAverage does, so that the start
            is soon forgotten.
        epsilon: float. As slim's default.

    Call arguments:
        x: float [..., size].
        mask: bool, the shape of `x` without its last axis, or None where every row is real. Other rows count as zeros,
            whatever lies there, and in no statistic.
        training: bool.
        update_statistics: bool. Whether a call in training moves the moving statistics.

    Output: the shape of `x`, in the layer's compute dtype.
    """

    def __init__(self, momentum=0.999, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.supports_masking = True  # or Keras warns of every mask

    def compute_mask(self, x, previous_mask):
        """None: encoders hand masks on as arguments, never attached to tensors."""

    def build(self, input_shape):
        size = input_shape[-1]
        self.gamma = self.add_weight(name="gamma", shape=(size,), initializer="ones", **FLOAT32)
        self.beta = self.add_weight(name="beta", shape=(size,), initializer="zeros", **FLOAT32)
        self.moving_mean = self.add_weight(name="moving_mean", shape=(size,), initializer="zeros", **FLOAT32, **STATE)
        self.moving_variance = self.add_weight(name="moving_variance", shape=(size,), initializer="ones", **FLOAT32, **STATE)
        # A float, since TensorFlow has no int32 variables on GPUs.
        self.num_updates = self.add_weight(name="num_updates", shape=(), initializer="zeros", **FLOAT32, **STATE)

    def call(self, x, mask=None, training=False, update_statistics=True):
        x = ops.cast(x, "float32")
        if mask is not None:
            # Selecting rather than multiplying: padding may hold anything.
            x = ops.where(mask[..., None], x, 0.0)
        if training and self.trainable:
            count, mean, variance = self._batch_statistics(x, mask)
            if update_statistics:
                self._move(count, mean, variance)
            normalized = (x - mean) * self._scale(variance) + self.beta
        else:
            # Known beforehand, mean and offset become one number: two passes over x rather than three.
            scale = self._scale(self.moving_variance)
            normalized = x * scale + (self.beta - self.moving_mean * scale)
        return ops.cast(normalized, self.compute_dtype)

    def _scale(self, variance):
        return self.gamma * ops.rsqrt(variance + self.epsilon)

    def sum_over_replicas(self, tensors):
        """Each of a list of tensors summed over all replicas. One replica here; the training step puts its own in place."""
        return tensors

    def _batch_statistics(self, x, mask):
        """Count of real rows (scalar), their mean and variance [size], over all replicas; zeros where there is no row."""
        axes = tuple(range(len(x.shape) - 1))
        real = ops.ones_like(x[..., :1]) if mask is None else ops.cast(mask, "float32")[..., None]
        count, total = self.sum_over_replicas([ops.sum(real), ops.sum(x, axis=axes)])
        rows = ops.maximum(count, 1.0)
        mean = total / rows
        # A second pass; the mean of squares less the square of the mean would cancel where means are large.
        (squares,) = self.sum_over_replicas([ops.sum(ops.square((x - mean) * real), axis=axes)])
        return count, mean, squares / rows

    def _move(self, count, mean, variance):
        momentum = ops.minimum(self.momentum, (1.0 + self.num_updates) / (10.0 + self.num_updates))
        momentum = ops.where(count > 0, momentum, 1.0)
        self.moving_mean.assign(momentum * self.moving_mean + (1.0 - momentum) * mean)
        self.moving_variance.assign(momentum * self.moving_variance + (1.0 - momentum) * variance)
        self.num_updates.assign(self.num_updates + ops.cast(count > 0, "float32"))

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}
