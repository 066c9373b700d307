import numpy as np
import pytest
from hypothesis import given, strategies

from tests import oracles
from youtube8m_distill.data import quantize


def test_dequantize_gives_the_floats_of_the_starter_code():
    codes = np.arange(256, dtype=np.uint8)
    values = quantize.dequantize(codes)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [oracles.dequantized(int(code)) for code in codes], rtol=0, atol=3e-7)
    np.testing.assert_allclose(values[[0, 127, 255]], [-1.9921875, -3.0517578e-05, 2.0078125], rtol=1e-6)


def test_quantize_inverts_dequantize_for_every_byte():
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(quantize.quantize(quantize.dequantize(codes)), codes)


@given(strategies.floats(-3, 3))
def test_quantize_rounds_down(value):
    code = quantize.quantize([value])
    assert code.dtype == np.uint8 and code[0] == oracles.quantized(value)


def test_values_outside_the_range_are_clipped():
    np.testing.assert_array_equal(quantize.quantize([-np.inf, -9.0, -2.0, 2.0, 9.0, np.inf]), [0, 0, 0, 255, 255, 255])


def test_quantization_keeps_the_mean_of_the_features():
    values = np.linspace(-2, 2, 100_001)
    assert abs(np.mean(quantize.dequantize(quantize.quantize(values)) - values)) < 1e-3  # rounding would give 0.0078


def test_shapes_are_kept():
    assert quantize.dequantize(np.zeros((2, 3, 4), np.uint8)).shape == (2, 3, 4)
    assert quantize.quantize(np.zeros((2, 3, 4))).shape == (2, 3, 4)


def test_floats_instead_of_bytes_and_nan_are_refused():
    with pytest.raises(ValueError, match="codes are float64; stored features are uint8"):
        quantize.dequantize(np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        quantize.quantize([0.0, np.nan])
