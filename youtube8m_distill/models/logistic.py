"""Logistic classifier: one sigmoid a class (the starter code's `LogisticModel`)."""

import keras
from keras import ops

# The starter's regulariser is l2 * sum(w^2) / 2; Keras' L2 has no half.
STARTER_L2 = 1e-8


def l2_regularizer(l2):
    """`l2 * sum(w^2) / 2`, as TensorFlow 1's slim has it."""
    return keras.regularizers.L2(l2 / 2)


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class Logistic(keras.layers.Layer):
    """`sigmoid(x W + b)`, in float32 whatever the precision of the encoder.

    Args:
        num_classes: int.
        l2: float. Regularisation of W.
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
            num_classes, kernel_initializer=self.initializer, kernel_regularizer=l2_regularizer(l2),
            bias_regularizer=l2_regularizer(l2) if regularize_bias else None, dtype="float32", name="logits")

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
        return {**super().get_config(), "num_classes": self.num_classes, "l2": self.l2,
                "regularize_bias": self.regularize_bias,
                "initializer": keras.initializers.serialize(self.initializer)}
