import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from youtube8m_distill.families.lstm import encoder as lstm_encoder

SIZE = 9
COUNTS = np.array([6, 4, 1, 0])
FRAMES = np.random.default_rng(0).normal(size=(4, 6, SIZE)).astype(np.float32)


def encoder(cells=3, num_layers=2, size=SIZE, **options):
    layer = lstm_encoder.LSTMEncoder(cells, num_layers, **options)
    layer.build((None, None, size))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(0, 0.7, weight.shape) for weight in layer.weights])
    return layer


def expected_encodings(layer, frames, counts):
    layers = [[np.asarray(values, np.float64) for values in lstm.get_weights()] for lstm in layer.stack.layers]
    return [oracles.lstm_encoding(layers, video.astype(np.float64), count) for video, count in zip(frames, counts)]


@pytest.mark.parametrize("cells, num_layers", [(3, 2), (4, 1)])
def test_encodings_equal_the_oracle(cells, num_layers):
    layer = encoder(cells, num_layers)
    found = layer(FRAMES, COUNTS)
    assert found.shape == (4, cells) and layer.encoding_size == cells
    np.testing.assert_allclose(found, expected_encodings(layer, FRAMES, COUNTS), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [1])
def test_encodings_of_another_frame_size_equal_the_oracle(size):
    layer, frames = encoder(size=size), FRAMES[:, :, :size]
    np.testing.assert_allclose(layer(frames, COUNTS), expected_encodings(layer, frames, COUNTS), rtol=1e-4, atol=1e-6)


def test_the_order_of_the_frames_matters():
    layer, counts = encoder(), np.array([6] * 4)
    assert np.abs(layer(FRAMES, counts) - layer(FRAMES[:, ::-1], counts)).max() > 0.05


def test_padding_does_not_matter():
    layer = encoder()
    dirty = np.where(np.arange(6)[None, :, None] < COUNTS[:, None, None], FRAMES, np.float32(1e3))
    for training in (False, True):
        np.testing.assert_allclose(
            layer(FRAMES, COUNTS, training=training), layer(dirty, COUNTS, training=training), atol=1e-6
        )


def test_a_video_without_frames_gives_zeros_and_finite_gradients():
    layer = encoder()
    with tf.GradientTape() as tape:
        encoding = layer(FRAMES, COUNTS, training=True)
        loss = tf.reduce_sum(encoding)
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert not np.any(encoding[3])
    assert len(gradients) == 6 and all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_bfloat16_encodings_stay_near_the_exact_ones():
    found = encoder(dtype="mixed_bfloat16")(keras.ops.cast(FRAMES, "bfloat16"), COUNTS)
    assert found.dtype == "bfloat16"
    np.testing.assert_allclose(keras.ops.cast(found, "float32"), encoder()(FRAMES, COUNTS), rtol=0, atol=0.05)


def test_the_published_size_has_the_expected_number_of_weights():
    with keras.StatelessScope(initialize_variables=False):
        layer = lstm_encoder.LSTMEncoder()
        layer.build((None, None, 1152))
    assert layer.encoding_size == 1024
    assert layer.count_params() == (1152 + 1024) * 4096 + 4096 + (1024 + 1024) * 4096 + 4096


@pytest.mark.parametrize("num_frames", [7])
def test_multiply_adds_are_the_size_of_the_kernels_per_frame(num_frames):
    layer = encoder()
    kernels = sum(int(np.prod(weight.shape)) for weight in layer.weights if len(weight.shape) == 2)
    assert layer.multiply_adds(num_frames) == num_frames * kernels


def test_a_layer_is_restored_from_its_config():
    layer = lstm_encoder.LSTMEncoder(4, 3, dtype="mixed_bfloat16", name="reader")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.stack.cells, copy.stack.num_layers, copy.name) == (4, 3, "reader")
    assert copy.dtype_policy.name == copy.stack.dtype_policy.name == "mixed_bfloat16"
