import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies

from tests import oracles
from youtube8m_distill.families.hrnn import encoder as hierarchical_rnn

SIZE = 5


def encoder(frames_per_block, cells=3, num_layers=2):
    """The layer with random weights, and the same weights for the oracle."""
    layer = hierarchical_rnn.HierarchicalRNN(frames_per_block, cells, num_layers)
    layer.build((None, None, SIZE))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(0, 0.7, weight.shape) for weight in layer.weights])
    levels = [
        [[np.asarray(values, np.float64) for values in lstm.get_weights()] for lstm in level.layers]
        for level in (layer.lower, layer.upper)
    ]
    return layer, levels


def frames_of(batch, rows):
    return np.random.default_rng(0).normal(size=(batch, rows, SIZE)).astype(np.float32)


def assert_as_the_oracle(frames_per_block, rows, counts, **options):
    layer, levels = encoder(frames_per_block, **options)
    frames = frames_of(len(counts), rows)
    plain = layer(frames, np.array(counts))
    encoding, states = layer.pool_with_frame_states(frames, np.array(counts))
    assert encoding.shape == (len(counts), layer.encoding_size)
    assert states.shape == (len(counts), rows, layer.lower.state_size)
    for video, count in enumerate(counts):
        expected, expected_states = oracles.hierarchical_rnn(*levels, frames[video], count, frames_per_block)
        np.testing.assert_allclose(plain[video], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(encoding[video], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(states[video, :count], expected_states, rtol=1e-4, atol=1e-6)


# Blocks that do not divide the rows, one full block, one longer block, blocks of one frame.
@pytest.mark.parametrize("frames_per_block, rows", [(3, 7), (5, 5), (20, 7), (1, 4)])
def test_encodings_and_frame_states_equal_the_oracle(frames_per_block, rows):
    assert_as_the_oracle(frames_per_block, rows, sorted({0, 1, 3, 4, rows - 1, rows}))


@pytest.mark.parametrize("num_layers", [1])
def test_another_number_of_layers_equals_the_oracle(num_layers):
    assert_as_the_oracle(3, 7, [0, 4, 7], num_layers=num_layers)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(strategies.data())
def test_any_block_length_and_frame_count_equals_the_oracle(data):
    rows = data.draw(strategies.integers(1, 12))
    counts = data.draw(strategies.lists(strategies.integers(0, rows), min_size=1, max_size=3))
    assert_as_the_oracle(data.draw(strategies.integers(1, 14)), rows, counts)


def test_every_block_starts_from_a_zero_state():
    layer, _ = encoder(3)
    frames = np.tile(frames_of(1, 3), (1, 2, 1))
    _, states = layer.pool_with_frame_states(frames, np.array([6]))
    np.testing.assert_allclose(states[:, :3], states[:, 3:], rtol=1e-6)


def test_the_block_length_changes_the_encoding():
    frames, counts = frames_of(2, 6), np.array([6, 5])
    assert np.abs(encoder(2)[0](frames, counts) - encoder(3)[0](frames, counts)).max() > 0.01


def test_the_default_encoding_has_4096_numbers():
    layer = hierarchical_rnn.HierarchicalRNN()
    assert (layer.frames_per_block, layer.encoding_size, layer.lower.state_size) == (20, 4096, 4096)


@pytest.mark.parametrize("num_frames, blocks", [(0, 0), (1, 1), (3, 1), (4, 2), (7, 3)])
def test_multiply_adds_count_frames_and_started_blocks(num_frames, blocks):
    layer, _ = encoder(3)
    lower, upper = (
        sum(int(np.prod(weight.shape)) for weight in level.weights if len(weight.shape) == 2)
        for level in (layer.lower, layer.upper)
    )
    assert layer.multiply_adds(num_frames) == num_frames * lower + blocks * upper


def test_a_layer_is_restored_from_its_config():
    layer = hierarchical_rnn.HierarchicalRNN(7, 4, 3, dtype="mixed_bfloat16", name="reader")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.frames_per_block, copy.lower.cells, copy.upper.num_layers, copy.name) == (7, 4, 3, "reader")
    assert copy.dtype_policy.name == copy.lower.dtype_policy.name == "mixed_bfloat16"
