import io

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies

from tests import oracles
from youtube8m_distill.families import video_classifier
from youtube8m_distill.layers import logistic, preprocessing

CODES = np.random.default_rng(0).integers(0, 256, (3, 4, 9), dtype=np.uint8)


def as_numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def test_every_byte_is_dequantized_as_in_the_starter_code():
    values = as_numpy(preprocessing.dequantize(np.arange(256, dtype=np.uint8)))
    np.testing.assert_allclose(values, [oracles.dequantized(code) for code in range(256)], rtol=0, atol=3e-7)
    np.testing.assert_allclose(values[[0, 127, 255]], [-1.9921875, -3.0517578e-05, 2.0078125], rtol=1e-6)


def test_bytes_are_dequantized_and_each_frame_is_normalized_as_a_whole():
    found = preprocessing.L2Preprocessing()(CODES)
    expected = [[oracles.preprocessed(frame) for frame in video] for video in CODES]
    assert found.dtype == "float32" and found.shape == CODES.shape
    np.testing.assert_allclose(as_numpy(found), expected, rtol=1e-5, atol=1e-7)


def test_floats_are_normalized_but_not_dequantized():
    values = np.random.default_rng(0).normal(0, 2, (5, 9)).astype(np.float32)
    found = as_numpy(preprocessing.L2Preprocessing("float32")(values))
    np.testing.assert_allclose(found, [row / np.sqrt(np.sum(row * row)) for row in values], rtol=1e-5)


@settings(max_examples=25)
@given(strategies.lists(strategies.floats(-4, 4, width=32), min_size=2, max_size=12))
def test_l2_normalize_keeps_the_direction_and_gives_length_1(values):
    values = np.array([values], np.float32)
    found = as_numpy(preprocessing.l2_normalize(values))[0]
    length = np.sqrt(np.sum(values.astype(np.float64) ** 2))
    # The starter's l2_normalize divides by no less than 1e-6.
    np.testing.assert_allclose(found, values[0] / max(length, 1e-6), rtol=1e-4, atol=1e-7)


def test_zeros_stay_zeros():
    assert not np.any(as_numpy(preprocessing.L2Preprocessing("float32")(np.zeros((2, 9), np.float32))))


@pytest.mark.parametrize("stored, values", [("float32", np.random.default_rng(0).normal(0, 2, (50, 9)).astype(np.float32))])
def test_bfloat16_rounds_only_the_result(stored, values):
    rounded = preprocessing.L2Preprocessing(stored, dtype="mixed_bfloat16")(values)
    exact = preprocessing.L2Preprocessing(stored)(values)
    assert rounded.dtype == "bfloat16"
    np.testing.assert_array_equal(as_numpy(rounded), as_numpy(keras.ops.cast(exact, "bfloat16")))


def test_a_layer_is_restored_from_its_config():
    layer = preprocessing.L2Preprocessing("float32", name="reader")
    copy = preprocessing.L2Preprocessing.from_config(layer.get_config())
    assert (copy.stored_dtype, copy.name) == ("float32", "reader")


# Reverse whitening. The first feature has 6 numbers, the second 3.

EIGENVALUES = np.array([14.0, 3.0, 0.5, 1.0, 0.0, 0.02])


def reverse_whitening(stored_dtype, eigenvalues=EIGENVALUES, **options):
    layer = preprocessing.ReverseWhitening(stored_dtype, (6, 3), **options)
    layer.build((None, 9))
    layer.set_eigenvalues(eigenvalues)
    return layer


FLOATS = np.random.default_rng(0).normal(0, 2, (3, 4, 9)).astype(np.float32)


@pytest.mark.parametrize("stored, values", [("uint8", CODES), ("float32", FLOATS)])
def test_reverse_whitening_equals_the_oracle(stored, values):
    found = reverse_whitening(stored)(values)
    expected = [[oracles.reverse_whitened(frame, EIGENVALUES, stored == "uint8") for frame in video] for video in values]
    assert found.dtype == "float32" and found.shape == values.shape
    np.testing.assert_allclose(as_numpy(found), expected, rtol=1e-5, atol=1e-6)


def test_the_half_step_is_removed_from_the_first_feature_only():
    found = as_numpy(reverse_whitening("uint8", np.ones(6))(np.zeros((1, 9), np.uint8)))[0]
    np.testing.assert_allclose(found, [-2 * 1.0001] * 6 + [-2 + 4 / 512] * 3, rtol=1e-6)


def test_without_eigenvalues_floats_pass_unchanged():
    layer = preprocessing.ReverseWhitening("float32", (6, 3))
    np.testing.assert_array_equal(as_numpy(layer(FLOATS)), FLOATS)


def test_a_single_feature_is_rescaled_completely():
    layer = preprocessing.ReverseWhitening("float32", (9,))
    layer.build((None, 9))
    layer.set_eigenvalues(np.arange(9))
    np.testing.assert_allclose(as_numpy(layer(FLOATS)), FLOATS * (np.sqrt(np.arange(9)) + 1e-4), rtol=1e-5)


@pytest.mark.parametrize("stored, values", [("uint8", CODES), ("float32", FLOATS)])
def test_bfloat16_rounds_only_the_result_of_reverse_whitening(stored, values):
    rounded = reverse_whitening(stored, dtype="mixed_bfloat16")(values)
    assert rounded.dtype == "bfloat16"
    exact = keras.ops.cast(reverse_whitening(stored)(values), "bfloat16")
    np.testing.assert_array_equal(as_numpy(rounded), as_numpy(exact))


def test_the_scale_is_a_non_trainable_float32_weight():
    layer = reverse_whitening("uint8", dtype="bfloat16")
    assert not layer.trainable_weights and [weight.dtype for weight in layer.weights] == ["float32"]
    np.testing.assert_allclose(layer.get_weights()[0], [*(np.sqrt(EIGENVALUES) + 1e-4), 1, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (8, 1)])
def test_eigenvalues_may_be_a_column_and_extra_ones_are_ignored(shape):
    eigenvalues = np.random.default_rng(0).uniform(0, 15, shape).astype(np.float32)
    (scale,) = reverse_whitening("uint8", eigenvalues).get_weights()
    np.testing.assert_allclose(scale[:6], np.sqrt(eigenvalues.reshape(-1)[:6]) + 1e-4, rtol=1e-6)
    np.testing.assert_array_equal(scale[6:], 1)


@pytest.mark.parametrize(
    "eigenvalues, words",
    [
        (np.ones(5), "one number for each of the first feature's 6. Received 5"),
        (np.ones((6, 2)), r"of shape \[n\] or \[n, 1\]. Received \[6, 2\]"),
        (np.float32(1), r"Received \[\]"),
        (np.zeros((0, 1)), "Received 0"),
        (np.array([1, 1, -0.5, 1, 1, 1]), "not negative. Received -0.5 at 2"),
        (np.array([1, 1, 1, np.nan, 1, 1]), "finite .* Received nan at 3"),
        (np.array(["a"] * 6), "real numbers. Received dtype <U1"),
    ],
)
def test_invalid_eigenvalues_are_an_error_with_the_reason(eigenvalues, words):
    with pytest.raises(ValueError, match=f"eigenvalues must .*{words}"):
        reverse_whitening("uint8", eigenvalues)


def test_a_saved_network_contains_its_eigenvalues(tmp_path):
    model = video_classifier.VideoClassifier(reverse_whitening("uint8"), None, logistic.Logistic(4), feature_size=9)
    model.build()
    batch = {"features": CODES[:, 0]}
    expected = as_numpy(model(batch)["encoding"])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.preprocessing.stored_dtype, loaded.preprocessing.feature_sizes) == ("uint8", (6, 3))
    np.testing.assert_array_equal(as_numpy(loaded(batch)["encoding"]), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    restored.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(as_numpy(restored(batch)["encoding"]), expected)


def test_building_a_network_builds_its_preprocessing():
    model = video_classifier.VideoClassifier(preprocessing.ReverseWhitening("uint8", (6, 3)), None, logistic.Logistic(4), 9)
    model.build()
    assert [weight.shape for weight in model.weights] == [(9,), (9, 4), (4,)]


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_eigenvalues_are_read_from_a_file(tmp_path, dtype):
    values = np.array([[14], [3], [0]], dtype)
    np.save(tmp_path / "eigenvals.npy", values)
    found = preprocessing.read_eigenvalues(tmp_path / "eigenvals.npy")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [14, 3, 0])


def test_a_missing_eigenvalue_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.npy' is not a file. Give the eigenvals.npy"):
        preprocessing.read_eigenvalues(tmp_path / "nowhere.npy")
    with pytest.raises(FileNotFoundError, match="is not a file"):
        preprocessing.read_eigenvalues(str(tmp_path))


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "is not a readable .npy file"),
        (b"14.7\n3.1\n", "is not a readable .npy file"),
        (npy(np.ones(6))[:-4], "is not a readable .npy file"),
        (npy(np.array([{}], object)), "is not a readable .npy file"),
        (npy(np.ones((3, 3))), r"must be of shape \[n\] or \[n, 1\]. Received \[3, 3\]"),
        (npy(np.array(["a"])), "must hold real numbers"),
        (npy(np.array([1, np.nan])), "must be finite and not negative. Received nan at 1"),
    ],
)
def test_an_invalid_eigenvalue_file_is_named(tmp_path, content, words):
    (tmp_path / "bad.npy").write_bytes(content)
    with pytest.raises(ValueError, match=f"bad.npy' {words}"):
        preprocessing.read_eigenvalues(tmp_path / "bad.npy")
