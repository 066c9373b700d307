"""LSTM layers on CPUs: no work for padding, and none for the zero state before the first step."""

import keras
from keras import ops

# Steps are laid out one after the other, and starting takes the longer the more there are: for a step of training with its
# gradients, a student's few take no longer than Keras' loop, a teacher's 20 take ten seconds more.
MAX_STEPS, MAX_STEPS_IN_TRAINING = 64, 8


def serves(sequence, training):
    """Whether `final_state` is to be used rather than Keras' own layers. bool.

    It is with TensorFlow on CPUs, for sequences of a known and small number of steps. On GPUs Keras has cuDNN; other
    backends compile for shapes that are known beforehand, and those here follow from the lengths.

    Args:
        sequence: float [rows, steps, size]. One step alone is no work for it, and leaves recurrent kernels without gradient.
        training: bool.
    """
    steps, most = sequence.shape[1], MAX_STEPS_IN_TRAINING if training else MAX_STEPS
    return (
        steps is not None
        and 1 < steps <= most
        and keras.backend.backend() == "tensorflow"
        and not keras.distribution.list_devices("gpu")
    )


def final_state(layers, sequence, lengths):
    """State of stacked layers after the last real step of each sequence; zeros for a sequence without one.

    The longest sequences come first. So the rows that a step moves are always the first ones, which takes no mask and no
    copy, and padding is never read.

    Args:
        layers: for each layer its kernel [size, 4 * cells], recurrent kernel [cells, 4 * cells] and bias [4 * cells], in the
            sequence's dtype; gates in Keras' order.
        sequence: float [rows, steps, size], the number of steps known.
        lengths: int32 [rows], 0 .. steps. Real steps; they come first.
    Returns:
        [rows, 2 * num_layers * cells]: c1, h1, c2, h2, ..., in the sequence's dtype.
    """
    num_steps = sequence.shape[1]
    order = ops.argsort(-lengths)
    running = ops.sum(ops.cast(lengths[None, :] > ops.arange(num_steps)[:, None], "int32"), axis=1)
    inputs = _Inputs(layers[0], sequence, order, running)
    state = _step(layers, inputs.gates(0, running[0]), None)
    ended = []
    for step in range(1, num_steps):
        ended.append([part[running[step] :] for part in state])
        state = [part[: running[step]] for part in state]
        # The count is read off the state, so that a step's inputs wait for the step before. Those of all steps would
        # else be computed at once, and kept.
        state = _step(layers, inputs.gates(step, ops.shape(state[0])[0]), state)
    parts = [ops.cast(ops.concatenate(column[::-1]), sequence.dtype) for column in zip(*ended, state)]
    found = ops.concatenate(parts, axis=-1)
    zeros = ops.zeros((ops.shape(lengths)[0] - running[0], found.shape[-1]), found.dtype)
    return ops.take(ops.concatenate([found, zeros]), ops.argsort(order), axis=0)


class _Inputs:
    """What the inputs add to the first layer's gates, `x W + b`, for the rows that a step moves."""

    def __init__(self, layer, sequence, order, running):
        num_steps, size = sequence.shape[1:]
        self.kernel, _, self.bias = layer
        self.rows = ops.reshape(sequence, (-1, size))
        self.first_rows = order * num_steps
        self.ends = ops.cumsum(running)
        self.ahead = None
        # One product for all steps is faster than small ones. It takes no more memory than the sequence where that is as
        # wide as the gates: in H-RNN's upper level, whose products are the small ones.
        if size >= self.kernel.shape[1]:
            self.ahead = self._project([self._of_step(step, running[step]) for step in range(num_steps)])

    def gates(self, step, count):
        if self.ahead is not None:
            return self.ahead[self.ends[step] - count : self.ends[step]]
        return self._project([self._of_step(step, count)])

    def _of_step(self, step, count):
        return ops.take(self.rows, self.first_rows[:count] + step, axis=0)

    def _project(self, steps):
        return ops.matmul(ops.concatenate(steps), self.kernel) + self.bias


def _step(layers, gates, state):
    """Moves all layers by one step. List of c1, h1, c2, h2, ...; c is float32.

    Args:
        layers: as of `final_state`.
        gates: [rows, 4 * cells]. The inputs' part of the first layer's gates.
        state: such a list, or None for zeros: half of a first step's products are of zeros.
    """
    moved = []
    for index, (kernel, recurrent_kernel, bias) in enumerate(layers):
        if index:
            gates = ops.matmul(moved[-1], kernel) + bias
        carry = None
        if state is not None:
            carry, hidden = state[2 * index : 2 * index + 2]
            # Not ops.add, which takes a matrix without rows for a bias.
            gates = gates + ops.matmul(hidden, recurrent_kernel)
        moved += _cell(gates, carry)
    return moved


def _cell(gates, carry):
    """New c, float32, and h, in the gates' dtype, of one layer. Whatever is not a product is fastest in float32."""
    i, f, g, o = (ops.cast(gate, "float32") for gate in ops.split(gates, 4, axis=-1))
    new = ops.sigmoid(i) * ops.tanh(g)
    if carry is not None:
        new = ops.sigmoid(f) * carry + new
    return [new, ops.cast(ops.sigmoid(o) * ops.tanh(new), gates.dtype)]
