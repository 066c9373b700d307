import numpy as np
import pytest
from hypothesis import given, strategies

from tests import oracles
from youtube8m_distill.data import quantize


def test_every_byte_becomes_the_float_the_starter_gives_it():
    codes = np.arange(256, dtype=np.uint8)
    values = quantize.dequantize(codes)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [oracles.dequantized(int(code)) for code in codes], rtol=0, atol=3e-7)
    np.testing.assert_allclose(values[[0, 127, 255]], [-1.9921875, -3.0517578e-05, 2.0078125], rtol=1e-6)


def test_every_byte_survives_the_way_to_floats_and_back():
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(quantize.quantize(quantize.dequantize(codes)), codes)


@given(strategies.floats(-3, 3))
def test_a_float_becomes_the_byte_below_it(value):
    code = quantize.quantize([value])
    assert code.dtype == np.uint8 and code[0] == oracles.quantized(value)


def test_what_lies_outside_the_range_takes_the_outermost_bytes():
    np.testing.assert_array_equal(quantize.quantize([-np.inf, -9.0, -2.0, 2.0, 9.0, np.inf]), [0, 0, 0, 255, 255, 255])


def test_bytes_do_not_move_the_mean_of_the_features():
    values = np.linspace(-2, 2, 100_001)
    assert abs(np.mean(quantize.dequantize(quantize.quantize(values)) - values)) < 1e-3  # rounding would give 0.0078


def test_shapes_are_kept():
    assert quantize.dequantize(np.zeros((2, 3, 4), np.uint8)).shape == (2, 3, 4)
    assert quantize.quantize(np.zeros((2, 3, 4))).shape == (2, 3, 4)


def test_floats_are_not_taken_for_bytes_nor_nan_for_a_number():
    with pytest.raises(ValueError, match="codes are float64; stored features are uint8"):
        quantize.dequantize(np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        quantize.quantize([0.0, np.nan])
