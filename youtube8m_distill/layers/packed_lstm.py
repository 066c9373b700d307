"""LSTM layers on CPUs that spend no work on padding or on the zero state before the first step."""

from collections.abc import Callable

import keras
from keras import KerasTensor, ops

# Steps are unrolled, so tracing takes longer the more there are. In training, a student's few steps trace as fast as Keras'
# loop; a teacher's 20 would take ten seconds more.
MAX_STEPS, MAX_STEPS_IN_TRAINING = 64, 8


def implementation(sequence: KerasTensor, training: bool) -> Callable | None:
    """The function to use instead of Keras' own layers, for a sequence of [rows, steps, size]; None for Keras' layers.

    Keras uses cuDNN on GPUs; other backends than TensorFlow need static shapes, and the shapes here depend on the lengths. A
    single step in training is left to Keras, because recurrent kernels would get no gradient.
    """
    if keras.backend.backend() != "tensorflow" or keras.distribution.list_devices("gpu"):
        return None
    steps = sequence.shape[1]
    least, most = (2, MAX_STEPS_IN_TRAINING) if training else (1, MAX_STEPS)
    if steps is not None and least <= steps <= most:
        return final_state
    return None if training else final_state_by_loop


def final_state(layers: list[list[KerasTensor]], sequence: KerasTensor, lengths: KerasTensor) -> KerasTensor:
    """State of stacked layers after the last real step of each sequence; zeros for a sequence without steps.

    Sequences are sorted, the longest first. The rows that a step changes are then always the first ones: no mask, no
    copy, and padding is never read.

    Args:
        layers: kernel, recurrent kernel and bias of each layer, in Keras' layout and the sequence's dtype.
        sequence: float [rows, steps, size] with a static number of steps.
        lengths: int32 [rows], from 0 to steps. Number of real steps; they come first.
    Returns:
        [rows, 2 * num_layers * cells]: c1, h1, c2, h2, ..., in the sequence's dtype.
    """
    num_steps = sequence.shape[1]
    order = ops.argsort(-lengths)
    running = ops.sum(ops.cast(lengths[None, :] > ops.arange(num_steps)[:, None], "int32"), axis=1)
    gates = _input_gates(layers[0], sequence, order, running)
    state = _step(layers, gates(0, running[0]), None)
    ended = []
    for step in range(1, num_steps):
        ended.append([part[running[step] :] for part in state])
        state = [part[: running[step]] for part in state]
        # Taking the count from the state makes a step's inputs wait for the step before; otherwise the inputs of all
        # steps would be computed at once and kept in memory.
        state = _step(layers, gates(step, ops.shape(state[0])[0]), state)
    parts = [ops.cast(ops.concatenate(column[::-1]), sequence.dtype) for column in zip(*ended, state)]
    found = ops.concatenate(parts, axis=-1)
    zeros = ops.zeros((ops.shape(lengths)[0] - running[0], found.shape[-1]), found.dtype)
    return ops.take(ops.concatenate([found, zeros]), ops.argsort(order), axis=0)


def final_state_by_loop(layers: list[list[KerasTensor]], sequence: KerasTensor, lengths: KerasTensor) -> KerasTensor:
    """As `final_state`, for any number of steps.

    Unlike Keras' layers, the loop stores no outputs of steps. LiteRT's converter refuses to store them for batches of any
    size.
    """
    zeros = ops.zeros((ops.shape(sequence)[0], layers[0][1].shape[0]))
    start = [zeros, ops.cast(zeros, sequence.dtype)] * len(layers)

    def step(index, *state):
        kernel, _, bias = layers[0]
        moved = _step(layers, ops.matmul(ops.take(sequence, index, axis=1), kernel) + bias, state)
        is_real = (index < lengths)[:, None]
        return index + 1, *(ops.where(is_real, new, old) for new, old in zip(moved, state))

    _, *state = ops.while_loop(lambda index, *_: index < ops.max(lengths), step, (0, *start))
    return ops.concatenate([ops.cast(part, sequence.dtype) for part in state], axis=-1)


def _input_gates(layer, sequence, order, running):
    """A function from a step and the number of rows that it changes to `x W + b`, the inputs' part of a layer's gates."""
    num_steps, size = sequence.shape[1:]
    kernel, _, bias = layer
    rows, first_rows = ops.reshape(sequence, (-1, size)), order * num_steps

    def inputs(step, count):
        return ops.take(rows, first_rows[:count] + step, axis=0)

    if size < kernel.shape[1]:
        return lambda step, count: ops.matmul(inputs(step, count), kernel) + bias
    # One product for all steps is faster than many small ones. If the sequence is as wide as the gates, as in H-RNN's
    # upper level, the product takes no more memory than the sequence.
    ahead = ops.matmul(ops.concatenate([inputs(step, running[step]) for step in range(num_steps)]), kernel) + bias
    ends = ops.cumsum(running)
    return lambda step, count: ahead[ends[step] - count : ends[step]]


def _step(layers, gates, state):
    """The state after one more step: a list c1, h1, c2, h2, ...; c is float32.

    `gates` [rows, 4 * cells] is the inputs' part of the first layer's gates; `state` is None before the first step, whose
    products with zeros are skipped.
    """
    moved = []
    for index, (kernel, recurrent_kernel, bias) in enumerate(layers):
        if index:
            gates = ops.matmul(moved[-1], kernel) + bias
        carry = None
        if state is not None:
            carry, hidden = state[2 * index : 2 * index + 2]
            # Not ops.add, which mistakes a matrix without rows for a bias.
            gates = gates + ops.matmul(hidden, recurrent_kernel)
        moved += _cell(gates, carry)
    return moved


def _cell(gates, carry):
    """New c (float32) and h (the gates' dtype) of one layer. Elementwise operations are fastest in float32."""
    i, f, g, o = (ops.cast(gate, "float32") for gate in ops.split(gates, 4, axis=-1))
    new = ops.sigmoid(i) * ops.tanh(g)
    if carry is not None:
        new = ops.sigmoid(f) * carry + new
    return [new, ops.cast(ops.sigmoid(o) * ops.tanh(new), gates.dtype)]
