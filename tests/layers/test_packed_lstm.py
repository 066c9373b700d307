import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from youtube8m_distill.families.hrnn import encoder as hierarchical_rnn
from youtube8m_distill.layers import lstm, packed_lstm

SIZE, CELLS = 5, 3
LENGTHS = np.array([0, 6, 2, 6, 1, 0, 4], np.int32)  # not in order, with equals, with empty ones in between
SEQUENCES = np.random.default_rng(0).normal(size=(len(LENGTHS), 6, SIZE)).astype(np.float32)

BOTH = pytest.mark.parametrize("final_state", [packed_lstm.final_state, packed_lstm.final_state_by_loop])


def random_layers(num_layers, size=SIZE):
    random, layers = np.random.default_rng(1), []
    for _ in range(num_layers):
        shapes = (size, 4 * CELLS), (CELLS, 4 * CELLS), (4 * CELLS,)
        layers.append([tf.constant(random.normal(0, 0.7, shape), tf.float32) for shape in shapes])
        size = CELLS
    return layers


def expected(layers, sequences, lengths):
    """[rows, state], float64. The oracle starts from zeros, which a sequence without steps keeps."""
    layers = [[weight.numpy().astype(np.float64) for weight in layer] for layer in layers]
    states = [oracles.stacked_lstm_states(layers, *pair)[-1] for pair in zip(sequences, lengths)]
    return np.array(states)


# A sequence narrower than the gates is projected step by step, a wider one all at once.
@pytest.mark.parametrize("num_layers, size", [(1, SIZE), (2, 4 * CELLS)])
@BOTH
def test_the_final_state_equals_the_oracle_for_any_order_of_lengths(final_state, num_layers, size):
    layers = random_layers(num_layers, size)
    sequences = np.random.default_rng(2).normal(size=(len(LENGTHS), 6, size)).astype(np.float32)
    found = final_state(layers, tf.constant(sequences), tf.constant(LENGTHS))
    np.testing.assert_allclose(found, expected(layers, sequences, LENGTHS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lengths", [[0, 0], [6, 6], [0, 1]])
@BOTH
def test_full_empty_and_one_step_sequences_equal_the_oracle(final_state, lengths):
    layers, sequences = random_layers(2), SEQUENCES[:2]
    found = final_state(layers, tf.constant(sequences), tf.constant(lengths))
    np.testing.assert_allclose(found, expected(layers, sequences, lengths), rtol=1e-5, atol=1e-6)


@BOTH
def test_a_sequence_of_a_single_step_equals_the_oracle(final_state):
    layers, sequences, lengths = random_layers(2), SEQUENCES[:3, :1], np.array([1, 0, 1], np.int32)
    found = final_state(layers, tf.constant(sequences), tf.constant(lengths))
    np.testing.assert_allclose(found, expected(layers, sequences, lengths), rtol=1e-5, atol=1e-6)


@BOTH
def test_padding_is_never_read(final_state):
    frames = np.where(np.arange(6)[None, :, None] < LENGTHS[:, None, None], SEQUENCES, np.nan)
    found = final_state(random_layers(2), tf.constant(frames), tf.constant(LENGTHS))
    np.testing.assert_array_equal(found, final_state(random_layers(2), tf.constant(SEQUENCES), tf.constant(LENGTHS)))


@pytest.fixture
def by_keras(monkeypatch):
    """Hands a function that runs another one with Keras' own LSTM layers."""

    def run(function):
        with monkeypatch.context() as patch:
            patch.setattr(packed_lstm, "implementation", lambda sequence, training: None)
            return function()

    return run


def stack(dtype="float32", size=SIZE, num_layers=2):
    layer = lstm.StackedLSTM(CELLS, num_layers, dtype=dtype)
    layer.build((None, None, size))
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(0, 0.7, weight.shape) for weight in layer.weights])
    return layer


def test_states_and_gradients_equal_those_of_keras_layers(by_keras):
    layer, direction = stack(), np.random.default_rng(3).normal(size=(len(LENGTHS), 4 * CELLS))

    def state_and_gradients():
        with tf.GradientTape() as tape:
            sequence = tf.constant(SEQUENCES)
            tape.watch(sequence)
            state = layer(sequence, LENGTHS, training=True)
            loss = tf.reduce_sum(state * direction)
        return [state, *tape.gradient(loss, [sequence, *(weight.value for weight in layer.weights)])]

    for found, wanted in zip(state_and_gradients(), by_keras(state_and_gradients), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(found), tf.convert_to_tensor(wanted), rtol=1e-5, atol=1e-6)


def test_bfloat16_is_as_exact_as_keras_layers(by_keras):
    exact, layer = stack()(SEQUENCES, LENGTHS), stack("mixed_bfloat16")
    sequence = tf.cast(SEQUENCES, tf.bfloat16)
    found, keras_own = layer(sequence, LENGTHS), by_keras(lambda: layer(sequence, LENGTHS))
    assert found.dtype == "bfloat16"
    errors = [np.abs(tf.cast(state, tf.float32) - exact).mean() for state in (found, keras_own)]
    assert errors[0] <= errors[1] * 1.1


@pytest.mark.parametrize(
    "training, least, most, otherwise",
    [(False, 1, packed_lstm.MAX_STEPS, packed_lstm.final_state_by_loop), (True, 2, packed_lstm.MAX_STEPS_IN_TRAINING, None)],
)
def test_steps_are_unrolled_if_they_are_few_and_known_and_there_is_no_gpu(monkeypatch, training, least, most, otherwise):
    def chosen(steps):
        return packed_lstm.implementation(keras.KerasTensor((2, steps, 3)), training)

    assert chosen(least) is chosen(most) is packed_lstm.final_state
    assert chosen(least - 1) is chosen(most + 1) is chosen(None) is otherwise
    monkeypatch.setattr(keras.distribution, "list_devices", lambda device_type=None: ["gpu:0"])
    assert chosen(least) is chosen(None) is None


def test_the_graph_of_an_h_rnn_has_no_loops_masks_or_extra_products():
    encoder = hierarchical_rnn.HierarchicalRNN(4, CELLS, 2)
    encoder.build((None, None, SIZE))
    traced = tf.function(encoder, autograph=False).get_concrete_function(
        tf.TensorSpec([None, 12, SIZE]), tf.TensorSpec([None], tf.int32)
    )
    found = [operation.type for operation in traced.graph.get_operations()]
    # Two layers, each with a product for its inputs and one for its state, which the first step does not have.
    lower = 4 * 4 - 2
    # All the inputs of the upper level's first layer are one product: they are wider than its gates.
    upper = 3 * 4 - 2 - 3 + 1
    assert found.count("MatMul") == lower + upper
    assert not {"While", "StatelessWhile"} & set(found)
    # Selecting row numbers is cheap; selecting states would be a pass over all of them.
    selected = [operation.outputs[0].shape.rank for operation in traced.graph.get_operations() if "Select" in operation.type]
    assert max(selected) == 1


def test_finished_rows_are_not_computed():
    layers, rows = random_layers(2), []

    def recorded(gates, carry):
        rows.append(gates.shape[0])
        return cell(gates, carry)

    cell = packed_lstm._cell
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_lstm, "_cell", recorded)
        packed_lstm.final_state(layers, tf.constant(SEQUENCES), tf.constant(LENGTHS))
    assert sum(rows) == 2 * LENGTHS.sum()
    assert rows[::2] == rows[1::2] == [(step < LENGTHS).sum() for step in range(6)]
