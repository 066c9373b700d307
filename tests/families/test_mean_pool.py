import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from youtube8m_distill.families.mean_pool import encoder as mean_pool

COUNTS = np.array([5, 3, 1, 0])


def encoder(size, **options):
    layer = mean_pool.MeanPool(**options)
    layer.build((None, None, size))
    return layer


def frames_of(batch, rows, size):
    return np.random.default_rng(0).normal(size=(batch, rows, size)).astype(np.float32)


@pytest.mark.parametrize("rows, size, counts", [(5, 9, COUNTS), (7, 6, [7, 0]), (1, 3, [1]), (300, 4, [300, 299, 2])])
def test_encodings_equal_the_oracle(rows, size, counts):
    frames = frames_of(len(counts), rows, size)
    found = encoder(size)(frames, np.array(counts))
    expected = [oracles.mean_frame(video.astype(np.float64), count) for video, count in zip(frames, counts)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_video_without_frames_gives_zeros_and_finite_gradients():
    layer, frames = encoder(9), tf.constant(frames_of(4, 5, 9))
    with tf.GradientTape() as tape:
        tape.watch(frames)
        encoding = layer(frames, COUNTS)
        loss = tf.reduce_sum(encoding)
    gradient = tape.gradient(loss, frames).numpy()
    assert not np.any(encoding[3]) and not np.any(gradient[3])
    np.testing.assert_allclose(gradient[1, :, 0], [1 / 3, 1 / 3, 1 / 3, 0, 0], rtol=1e-6)


def test_the_order_of_the_frames_does_not_matter():
    layer, frames = encoder(9), frames_of(2, 5, 9)
    np.testing.assert_allclose(layer(frames, np.array([5, 5])), layer(frames[:, ::-1], np.array([5, 5])), atol=1e-6)


@pytest.mark.parametrize("garbage", [1e30, np.nan])
def test_padding_does_not_matter(garbage):
    layer, frames = encoder(9), frames_of(4, 5, 9)
    dirty = np.where(np.arange(5)[None, :, None] < COUNTS[:, None, None], frames, np.float32(garbage))
    np.testing.assert_array_equal(layer(frames, COUNTS), layer(dirty, COUNTS))


def test_bfloat16_frames_are_summed_in_float32():
    layer = encoder(4, dtype="mixed_bfloat16")
    frames = 1.0 + 0.1 * frames_of(1, 300, 4)
    found = layer(keras.ops.cast(frames, "bfloat16"), np.array([300]))
    assert found.dtype == "bfloat16"
    expected = oracles.mean_frame(frames[0].astype(np.float64), 300)
    np.testing.assert_allclose(keras.ops.cast(found, "float32")[0], expected, rtol=0.005)


def test_it_has_no_weights_no_multiply_adds_and_the_size_of_the_frames():
    layer = encoder(1152)
    assert (layer.weights, layer.multiply_adds(300), layer.encoding_size) == ([], 0, 1152)


def test_a_layer_is_restored_from_its_config():
    layer = mean_pool.MeanPool(dtype="mixed_bfloat16", name="reader")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is mean_pool.MeanPool
    assert (copy.name, copy.dtype_policy.name) == ("reader", "mixed_bfloat16")
