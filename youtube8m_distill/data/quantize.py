"""Feature bytes <-> feature values, in numpy. In a model the same map is a layer: bytes travel to the device."""

import numpy as np

from youtube8m_distill import schema


def dequantize(codes):
    """Turns stored bytes back into features, as the YouTube-8M starter's `Dequantize` does.

    Args:
        codes: uint8 [...]. One byte per number.
    Returns:
        float32 [...] in -1.9921875 .. 2.0078125: `codes * 4/255 + 4/512 - 2`.
    Raises:
        ValueError: if the codes are not uint8.
    """
    codes = np.asarray(codes)
    if codes.dtype != np.uint8:
        raise ValueError(f"codes are {codes.dtype}; stored features are uint8 bytes.")
    return codes.astype(np.float32) * np.float32(schema.DEQUANTIZE_SCALE) + np.float32(schema.DEQUANTIZE_BIAS)


def quantize(values):
    """Turns features into bytes: the inverse of `dequantize`, as the dataset's extractor has it but rounded down.

    Rounding down (the starter's extractor rounds to the nearest) makes the pair unbiased: `dequantize` puts a code at
    the middle of its step, so rounding to the nearest would add 0.0078 to the mean of every feature.

    Args:
        values: float [...]. What lies outside -2 .. 2 is clipped to it.
    Returns:
        uint8 [...], `floor((clip(values, -2, 2) + 2) * 255 / 4)`.
    Raises:
        ValueError: if a value is NaN, which no byte can stand for.
    """
    # float64: in float32 a value just below a step's edge would round up onto it.
    values = np.asarray(values, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("The features hold NaN, which cannot be stored as bytes.")
    clipped = np.clip(values, schema.QUANTIZED_LOW, schema.QUANTIZED_HIGH)
    steps = (clipped - schema.QUANTIZED_LOW) * 255.0 / (schema.QUANTIZED_HIGH - schema.QUANTIZED_LOW)
    return np.floor(steps).astype(np.uint8)
