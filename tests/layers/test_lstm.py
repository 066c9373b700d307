import keras
import numpy as np
import pytest

from tests import oracles
from youtube8m_distill.layers import lstm

LENGTHS = np.array([6, 4, 1, 0])
SEQUENCES = np.random.default_rng(0).normal(size=(4, 6, 5)).astype(np.float32)


def stack(num_layers, cells=3, dtype="float32"):
    layer = lstm.StackedLSTM(cells, num_layers, dtype=dtype)
    layer.build((None, None, SEQUENCES.shape[-1]))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(0, 0.7, weight.shape) for weight in layer.weights])
    return layer


def layer_weights(stacked):
    """(kernel, recurrent kernel, bias) of each layer, as float64."""
    return [[np.asarray(values, np.float64) for values in layer.get_weights()] for layer in stacked.layers]


def expected_states(stacked):
    """[batch, time, state]"""
    return np.array([oracles.stacked_lstm_states(layer_weights(stacked), *pair) for pair in zip(SEQUENCES, LENGTHS)])


@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_state_after_the_last_real_step_equals_the_oracle(num_layers):
    stacked = stack(num_layers)
    found = stacked(SEQUENCES, LENGTHS)
    assert found.shape == (4, stacked.state_size) and stacked.state_size == 2 * num_layers * 3
    np.testing.assert_allclose(found, expected_states(stacked)[:, -1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_states_after_each_step_equal_the_oracle(num_layers):
    stacked = stack(num_layers)
    found = stacked.states_after_each_step(SEQUENCES, LENGTHS)
    np.testing.assert_allclose(found, expected_states(stacked), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("input_size, cells", [(40, 3), (3, 12)])
def test_initial_weights_are_those_of_one_joint_kernel_in_tensorflow_1(input_size, cells):
    keras.utils.set_random_seed(0)
    stacked = lstm.StackedLSTM(cells, 2)
    stacked.build((None, None, input_size))
    for layer, inputs in zip(stacked.layers, (input_size, cells)):
        kernel, recurrent, bias = layer.get_weights()
        limit = np.sqrt(6 / ((inputs + cells) + 4 * cells))  # Glorot: the joint kernel's two sides
        for values in (kernel, recurrent):
            assert np.abs(values).max() <= limit
            assert np.abs(values).max() > 0.85 * limit
            assert abs(values.std() / (limit / np.sqrt(3)) - 1) < 0.25
        np.testing.assert_array_equal(bias, [0] * cells + [1] * cells + [0] * 2 * cells)
        assert not np.array_equal(kernel[:1], recurrent[:1])


def test_multiply_adds_of_a_step_are_the_size_of_the_kernels():
    stacked, size = stack(3), SEQUENCES.shape[-1]
    cells = stacked.cells
    assert stacked.multiply_adds() == 4 * cells * (size + cells) + 2 * (4 * cells * 2 * cells)


def test_bfloat16_states_stay_near_the_exact_ones():
    exact, rounded = stack(1), stack(1, dtype="mixed_bfloat16")
    sequences = keras.ops.cast(SEQUENCES, "bfloat16")
    for found in (rounded(sequences, LENGTHS), rounded.states_after_each_step(sequences, LENGTHS)[:, -1]):
        assert found.dtype == "bfloat16"
        found = keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))
        np.testing.assert_allclose(found, expected_states(exact)[:, -1], rtol=0, atol=0.05)


def test_a_layer_is_restored_from_its_config():
    copy = lstm.StackedLSTM.from_config(stack(3, cells=4).get_config())
    assert (copy.cells, copy.num_layers) == (4, 3)
