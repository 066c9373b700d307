"""Feature bytes <-> feature values, in numpy. In a model a layer does the same, so that bytes travel to the device."""

import numpy as np
from numpy.typing import ArrayLike

from youtube8m_distill import schema


def dequantize(codes: ArrayLike) -> np.ndarray:
    """Turns stored bytes into features, like `Dequantize` of the YouTube-8M starter code.

    uint8 [...] -> float32 [...] in -1.9921875 .. 2.0078125: `codes * 4/255 + 4/512 - 2`. ValueError for another type.
    """
    codes = np.asarray(codes)
    if codes.dtype != np.uint8:
        raise ValueError(f"codes are {codes.dtype}; stored features are uint8 bytes.")
    return codes.astype(np.float32) * np.float32(schema.DEQUANTIZE_SCALE) + np.float32(schema.DEQUANTIZE_BIAS)


def quantize(values: ArrayLike) -> np.ndarray:
    """Turns features into bytes: the inverse of `dequantize`.

    Unlike the extractor of the starter code, which rounds to the nearest, this rounds down. `dequantize` puts a code at the
    middle of its step, so rounding to the nearest would add 0.0078 to the mean of every feature.

    float [...] -> uint8 [...], `floor((clip(values, -2, 2) + 2) * 255 / 4)`. ValueError if a value is NaN.
    """
    # float64: in float32 a value just below the edge of a step would round up to it.
    values = np.asarray(values, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("the features contain NaN, which cannot be stored as bytes.")
    clipped = np.clip(values, schema.QUANTIZED_LOW, schema.QUANTIZED_HIGH)
    steps = (clipped - schema.QUANTIZED_LOW) * 255.0 / (schema.QUANTIZED_HIGH - schema.QUANTIZED_LOW)
    return np.floor(steps).astype(np.uint8)
