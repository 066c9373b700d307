"""A stack of LSTM layers: its joint state after the last frame, or after each frame."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.layers import packed_lstm
from youtube8m_distill.layers.base import Layer
from youtube8m_distill.layers.masking import frame_mask


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class StackedLSTM(Layer):
    """LSTM layers on top of each other. The output is their joint final state.

    The state is [c1, h1, c2, h2, ...], 2 * num_layers * cells numbers, like the concatenated `MultiRNNCell` state in the
    original H-RNN code. Steps past `lengths` do not change it; a sequence of length 0 gives zeros.

    Initial weights are the original's: uniform Glorot over the joint kernel [input + cells, 4 * cells], and zero biases
    with 1 added for the forget gate.

    Input: sequence float [batch, time, size] and lengths int [batch], the numbers of real steps, which come first.
    Output: float [batch, 2 * num_layers * cells]. `training` selects the implementation; the numbers are the same.
    """

    def __init__(self, cells: int = 1024, num_layers: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = cells
        self.num_layers = num_layers
        self.state_size = 2 * num_layers * cells

    def build(self, input_shape: tuple[Any, ...]) -> None:
        input_size = input_shape[-1]
        self.layers = []
        for index in range(self.num_layers):
            limit = math.sqrt(6.0 / (input_size + self.cells + 4 * self.cells))
            layer = keras.layers.LSTM(
                self.cells,
                kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
                recurrent_initializer=keras.initializers.RandomUniform(-limit, limit),
                unit_forget_bias=True,
                return_sequences=index < self.num_layers - 1,
                return_state=True,
                dtype=self.dtype_policy,
                name=f"layer_{index + 1}",
            )
            layer.build((None, None, input_size))
            self.layers.append(layer)
            input_size = self.cells

    def call(self, sequence: KerasTensor, lengths: KerasTensor, training: bool = False) -> KerasTensor:
        lengths = ops.cast(lengths, "int32")
        final_state = packed_lstm.implementation(sequence, training)
        if final_state is not None:
            weights = [[ops.convert_to_tensor(weight) for weight in layer.weights] for layer in self.layers]
            return final_state(weights, sequence, lengths)
        # cuDNN rejects a sequence without real steps, so every sequence runs one; `where` below undoes it.
        mask = frame_mask(ops.maximum(lengths, 1), ops.shape(sequence)[1])
        states = []
        for layer in self.layers:
            sequence, hidden, carry = layer(sequence, mask=mask)
            states += [carry, hidden]
        state = ops.concatenate(states, axis=-1)
        return ops.where(lengths[:, None] > 0, state, ops.zeros_like(state))

    def advance(self, x: KerasTensor, states: Sequence[KerasTensor]) -> list[KerasTensor]:
        """The states c1, h1, c2, h2, ... after one more step, from the input float [batch, size] and those before it."""
        moved = []
        for layer, carry, hidden in zip(self.layers, states[::2], states[1::2], strict=True):
            x, (hidden, carry) = layer.cell(x, [hidden, carry])
            moved += [carry, hidden]
        return moved

    def states_after_each_step(self, sequence: KerasTensor, lengths: KerasTensor) -> KerasTensor:
        """float [batch, time, state size]; the state does not change after the last real step. Arguments as for a call."""
        mask = frame_mask(lengths, ops.shape(sequence)[1])
        zeros = ops.zeros((ops.shape(sequence)[0], self.cells), dtype=self.compute_dtype)
        start = [zeros] * (2 * self.num_layers)

        def step(states, inputs):
            x, real = inputs
            kept = [ops.where(real, new, old) for new, old in zip(self.advance(x, states), states)]
            return kept, kept

        time_major = ops.transpose(sequence, (1, 0, 2)), ops.transpose(mask)[:, :, None]
        _, states = ops.scan(step, start, time_major)
        return ops.transpose(ops.concatenate(states, axis=-1), (1, 0, 2))
