"""Stored values to network input on the device: dequantization, then L2 normalization or reverse whitening."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from youtube8m_distill import schema
from youtube8m_distill.layers.base import Layer


def dequantize(codes: KerasTensor) -> KerasTensor:
    """Features from stored bytes, as the starter code's `Dequantize` computes them: `codes * 4 / 255 + 4 / 512 - 2`.

    uint8 of any shape becomes float32 from -1.992 to 2.008.
    """
    return ops.cast(codes, "float32") * schema.DEQUANTIZE_SCALE + schema.DEQUANTIZE_BIAS


def l2_normalize(x: KerasTensor, axis: int = -1) -> KerasTensor:
    """Scales one axis to length 1; zeros stay zeros. The shape and dtype of `x`."""
    square_sum = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square_sum, 1e-12))


def _as_floats(values, stored_dtype):
    return dequantize(values) if stored_dtype == "uint8" else ops.cast(values, "float32")


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class L2Preprocessing(Layer):
    """Dequantizes stored bytes, then L2-normalizes the whole vector, rgb and audio together.

    `stored_dtype` is "uint8" (the official frame files) or "float32" (video-level files, MediaPipe's frame files).

    Input: [..., size] in the stored dtype. Output: float [..., size] in the layer's compute dtype, each of length 1.
    Padding becomes arbitrary unit vectors.
    """

    def __init__(self, stored_dtype: str = "uint8", **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # float features stay float32 until they are normalized
        self.stored_dtype = stored_dtype

    def call(self, values: KerasTensor) -> KerasTensor:
        return ops.cast(l2_normalize(_as_floats(values, self.stored_dtype)), self.compute_dtype)


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class ReverseWhitening(Layer):
    """Dequantizes and undoes the PCA whitening of the first feature; no L2 normalization (Lin, Xiao, Fan 2018).

    The official rgb features are whitened: number i was divided by the root of eigenvalue i. This layer computes
    `(x - offset) * scale` with `scale = sqrt(eigenvalue) + 1e-4`; the offset removes the half step that the dequantizer
    adds to bytes. Other features pass unchanged.

    The scale is a non-trainable weight, so a saved network needs no file of eigenvalues. It is 1 until
    `set_eigenvalues`.

    Input: [..., sum of feature_sizes] in the stored dtype. Output: float of the same shape in the layer's compute dtype.
    """

    def __init__(self, stored_dtype: str, feature_sizes: Sequence[int], **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # everything is float32 until it is scaled
        self.stored_dtype = stored_dtype
        self.feature_sizes = tuple(feature_sizes)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.scale = self.add_weight(
            (sum(self.feature_sizes),), "ones", "float32", trainable=False, autocast=False, name="scale"
        )

    def set_eigenvalues(self, eigenvalues: np.ndarray) -> None:
        """Sets the scale from the eigenvalues of the features' PCA, in order: float [n] or [n, 1].

        Raises:
            ValueError: if they are invalid, or fewer than the numbers of the first feature.
        """
        values = _flat_eigenvalues(eigenvalues, "eigenvalues")
        whitened, *others = self.feature_sizes
        if len(values) < whitened:
            raise ValueError(
                f"eigenvalues must hold one number for each of the first feature's {whitened}. Received {len(values)}."
            )
        self.scale.assign(np.concatenate([np.sqrt(values[:whitened]) + 1e-4, np.ones(sum(others))]).astype(np.float32))

    def call(self, values: KerasTensor) -> KerasTensor:
        whitened, *others = self.feature_sizes
        # How far dequantized values lie above the features before quantization.
        half_step = schema.DEQUANTIZE_BIAS - schema.QUANTIZED_LOW if self.stored_dtype == "uint8" else 0.0
        offset = np.array([half_step] * whitened + [0.0] * sum(others), np.float32)
        return ops.cast((_as_floats(values, self.stored_dtype) - offset) * self.scale, self.compute_dtype)


def read_eigenvalues(path: str | os.PathLike[str]) -> np.ndarray:
    """The eigenvalues of the features' PCA, float64 [n], from a .npy file of [n] or [n, 1].

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not hold such an array, of finite numbers that are not negative.
    """
    advice = "Give the eigenvals.npy that comes with the official feature extractor's PCA (yt8m_pca)."
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{str(path)!r} is not a file. {advice}")
    with open(path, "rb") as file:
        try:
            # Unlike np.load, this reads .npy only. A pickle could run code and is rejected.
            values = np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise ValueError(f"{str(path)!r} is not a readable .npy file of numbers: {error} {advice}") from error
    return _flat_eigenvalues(values, repr(str(path)))


def _flat_eigenvalues(values, what):
    """float64 [n] from [n] or [n, 1], or ValueError."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{what} must hold real numbers. Received dtype {values.dtype}: save a float array.")
    if not values.shape or values.shape[1:] not in ((), (1,)):
        advice = "give the eigenvalues, not the eigenvectors"
        raise ValueError(f"{what} must be of shape [n] or [n, 1]. Received {list(values.shape)}: {advice}.")
    values = values.reshape(-1).astype(np.float64)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        raise ValueError(f"{what} must be finite and not negative. Received {values[bad][0]} at {np.argmax(bad)}.")
    return values
