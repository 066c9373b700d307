"""Stored values to network input: dequantising and L2 normalisation, on the device."""

import keras
from keras import ops

from youtube8m_distill import schema


def dequantize(codes):
    """Turns stored bytes back into features, as the starter code's `Dequantize` does.

    Args:
        codes: uint8 [..., size]. One byte a feature.
    Returns:
        float32 [..., size] in -1.992 .. 2.008: `codes * 4 / 255 + 4 / 512 - 2`.
    """
    return ops.cast(codes, "float32") * schema.DEQUANTIZE_SCALE + schema.DEQUANTIZE_BIAS


def l2_normalize(x):
    """Scales the last axis to length 1; zeros stay zeros. Same shape and dtype."""
    square_sum = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square_sum, 1e-12))


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class L2Preprocessing(keras.layers.Layer):
    """Dequantises what is stored as bytes, then L2-normalises the whole vector, rgb and audio together.

    Padding rows come out as some unit vector: whoever reads frames also reads `num_frames`.

    Args:
        stored_dtype: "uint8" (the official frame files) or "float32" (video-level files, MediaPipe's frame files).

    Input: [..., size] in the stored dtype. Output: float [..., size] in the layer's compute dtype, each of length 1.
    """

    def __init__(self, stored_dtype="uint8", **kwargs):
        super().__init__(autocast=False, **kwargs)       # float features stay float32 until they are normalised
        self.stored_dtype = stored_dtype

    def call(self, values):
        values = dequantize(values) if self.stored_dtype == "uint8" else ops.cast(values, "float32")
        return ops.cast(l2_normalize(values), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "stored_dtype": self.stored_dtype}
