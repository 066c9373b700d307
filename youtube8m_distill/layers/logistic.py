"""Logistic classifier: one sigmoid a class (the starter code's `LogisticModel`)."""

import keras
from keras import ops

# The starter's regularizer is l2 * sum(w^2) / 2; Keras' L2 has no half.
STARTER_L2 = 1e-8


@ops.custom_gradient
def _half_square_sum(w):
    """`sum(w^2) / 2`, whose gradient is w. Left to itself, TensorFlow makes a matrix of ones first, as large as w."""

    def gradient(*upstreams, upstream=None):  # TensorFlow hands it by place, torch by name
        return (upstreams[0] if upstream is None else upstream) * w

    return ops.sum(ops.square(w)) / 2, gradient


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class SlimL2(keras.regularizers.Regularizer):
    """`l2 * sum(w^2) / 2`, as TensorFlow 1's slim has it."""

    def __init__(self, l2):
        self.l2 = l2

    def __call__(self, w):
        # Flat, at no cost: a function with a gradient of its own takes tensors, not TensorFlow's variables.
        return self.l2 * _half_square_sum(ops.reshape(w, (-1,)))

    def get_config(self):
        return {"l2": self.l2}


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class Logistic(keras.layers.Layer):
    """`sigmoid(x W + b)`, in float32 whatever the precision of the encoder.

    Args:
        num_classes: int.
        l2: float. Regularization of W.
        regularize_bias: bool. The same for b, as NeXtVLAD's authors have it.
        initializer: of W; a name or object that Keras knows.

    Input: float [batch, size].
    Output: dict with `logits` float32 [batch, num_classes] and `predictions`, their sigmoid, 0 .. 1.
    """

    def __init__(self, num_classes, l2=STARTER_L2, regularize_bias=False, initializer="glorot_uniform", **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_classes = num_classes
        self.l2 = l2
        self.regularize_bias = regularize_bias
        self.initializer = keras.initializers.get(initializer)
        self.logits = keras.layers.Dense(
            num_classes,
            kernel_initializer=self.initializer,
            kernel_regularizer=SlimL2(l2),
            bias_regularizer=SlimL2(l2) if regularize_bias else None,
            dtype="float32",
            name="logits",
        )

    def build(self, input_shape):
        self.logits.build(input_shape)
        self.encoding_size = input_shape[-1]

    def call(self, encoding, training=False, update_statistics=True):
        logits = self.logits(encoding)
        return {"logits": logits, "predictions": ops.sigmoid(logits)}

    def multiply_adds(self):
        """Multiply-adds of one video, matrix products only."""
        return self.encoding_size * self.num_classes

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "l2": self.l2,
            "regularize_bias": self.regularize_bias,
            "initializer": keras.initializers.serialize(self.initializer),
        }
