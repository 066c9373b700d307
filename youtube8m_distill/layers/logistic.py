"""Logistic classifier: one sigmoid for each class (the starter code's `LogisticModel`)."""

from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.layers.base import Layer
from youtube8m_distill.layers.devices import beside

# The starter's regularizer is l2 * sum(w^2) / 2; Keras' L2 has no half.
STARTER_L2 = 1e-8


@ops.custom_gradient
def _half_square_sum(w: KerasTensor) -> Any:
    """`sum(w^2) / 2` with the gradient w. TensorFlow's own gradient first creates a matrix of ones as large as w."""

    def gradient(*upstreams, upstream=None):  # TensorFlow passes it by position, torch by name
        return (upstreams[0] if upstream is None else upstream) * w

    return ops.sum(ops.square(w)) / 2, gradient


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class SlimL2(keras.regularizers.L2):
    """`l2 * sum(w^2) / 2`, as in TensorFlow 1's slim."""

    def __call__(self, w: keras.Variable | KerasTensor) -> KerasTensor:
        with beside(w):
            # A reshape turns a variable into a tensor: functions with a custom gradient do not take TensorFlow variables.
            return self.l2 * _half_square_sum(ops.reshape(w, (-1,)))


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class Logistic(Layer):
    """`sigmoid(x W + b)`, in float32 for any precision of the encoder.

    `l2` regularizes W; with `regularize_bias` also b, as in NeXtVLAD's release. `initializer` is W's.

    Input: float [batch, size].
    Output: dict with `logits` float32 [batch, num_classes] and `predictions`, their sigmoid.
    """

    def __init__(
        self,
        num_classes: int,
        l2: float = STARTER_L2,
        regularize_bias: bool = False,
        initializer: str | keras.initializers.Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_classes = num_classes
        self.l2 = l2
        self.regularize_bias = regularize_bias
        self.initializer = keras.initializers.get(initializer)
        regularizers = {"kernel_regularizer": SlimL2(l2), "bias_regularizer": SlimL2(l2) if regularize_bias else None}
        self.logits = keras.layers.Dense(
            num_classes, kernel_initializer=self.initializer, dtype="float32", name="logits", **regularizers
        )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.logits.build(input_shape)
        self.encoding_size = input_shape[-1]

    def call(self, encoding: KerasTensor, training: bool = False, update_statistics: bool = True) -> dict[str, KerasTensor]:
        logits = self.logits(encoding)
        return {"logits": logits, "predictions": ops.sigmoid(logits)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initializer": keras.initializers.serialize(self.initializer)}
