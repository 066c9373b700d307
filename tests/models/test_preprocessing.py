import keras
import numpy as np
import pytest
from hypothesis import given, strategies

from tests import oracles
from youtube8m_distill.models import preprocessing

CODES = np.random.default_rng(0).integers(0, 256, (3, 4, 9), dtype=np.uint8)


def as_numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def test_every_byte_becomes_the_float_the_starter_gives_it():
    values = as_numpy(preprocessing.dequantize(np.arange(256, dtype=np.uint8)))
    np.testing.assert_allclose(values, [oracles.dequantized(code) for code in range(256)], rtol=0, atol=3e-7)
    np.testing.assert_allclose(values[[0, 127, 255]], [-1.9921875, -3.0517578e-05, 2.0078125], rtol=1e-6)


def test_bytes_are_dequantised_and_each_frame_scaled_as_a_whole():
    found = preprocessing.L2Preprocessing()(CODES)
    expected = [[oracles.preprocessed(frame) for frame in video] for video in CODES]
    assert found.dtype == "float32" and found.shape == CODES.shape
    np.testing.assert_allclose(as_numpy(found), expected, rtol=1e-5, atol=1e-7)


def test_floats_are_scaled_and_not_dequantised():
    values = np.random.default_rng(0).normal(0, 2, (5, 9)).astype(np.float32)
    found = as_numpy(preprocessing.L2Preprocessing("float32")(values))
    np.testing.assert_allclose(found, [row / np.sqrt(np.sum(row * row)) for row in values], rtol=1e-5)


@given(strategies.lists(strategies.floats(-4, 4, width=32), min_size=2, max_size=12))
def test_a_scaled_vector_has_length_one_and_its_old_direction(values):
    values = np.array([values], np.float32)
    found = as_numpy(preprocessing.l2_normalize(values))[0]
    length = np.sqrt(np.sum(values.astype(np.float64) ** 2))
    # The starter's l2_normalize divides by no less than 1e-6.
    np.testing.assert_allclose(found, values[0] / max(length, 1e-6), rtol=1e-4, atol=1e-7)


def test_zeros_stay_zeros():
    assert not np.any(as_numpy(preprocessing.L2Preprocessing("float32")(np.zeros((2, 9), np.float32))))


@pytest.mark.parametrize("stored, values", [
    ("uint8", CODES), ("float32", np.random.default_rng(0).normal(0, 2, (50, 9)).astype(np.float32))])
def test_under_bfloat16_only_the_result_is_rounded(stored, values):
    rounded = preprocessing.L2Preprocessing(stored, dtype="mixed_bfloat16")(values)
    exact = preprocessing.L2Preprocessing(stored)(values)
    assert rounded.dtype == "bfloat16"
    np.testing.assert_array_equal(as_numpy(rounded), as_numpy(keras.ops.cast(exact, "bfloat16")))


def test_the_configuration_tells_bytes_from_floats():
    layer = preprocessing.L2Preprocessing("float32", name="reader")
    copy = preprocessing.L2Preprocessing.from_config(layer.get_config())
    assert (copy.stored_dtype, copy.name) == ("float32", "reader")
