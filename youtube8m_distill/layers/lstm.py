"""A stack of LSTM layers: its joint state after the last frame, or after each frame."""

import math
from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.layers import packed_lstm
from youtube8m_distill.layers.masking import frame_mask


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class StackedLSTM(keras.layers.Layer):
    """LSTM layers on top of each other. The output is their joint final state.

    The state is [c1, h1, c2, h2, ...], 2 * num_layers * cells numbers, like the concatenated `MultiRNNCell` state in the
    original H-RNN code. Steps past `lengths` do not change it; a sequence of length 0 gives zeros.

    Initial weights are the original's: uniform Glorot over the joint kernel [input + cells, 4 * cells], and zero biases
    with 1 added for the forget gate.

    Args:
        cells: width of every layer.
        num_layers: number of layers.
    """

    def __init__(self, cells: int = 1024, num_layers: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = cells
        self.num_layers = num_layers

    @property
    def state_size(self) -> int:
        """Numbers in the joint state."""
        return 2 * self.num_layers * self.cells

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
        """State after the last real step of each sequence.

        Args:
            sequence: float [batch, time, size].
            lengths: int32 [batch], from 0 to time. Number of real steps; they come first.
            training: selects the implementation; the numbers are the same.
        Returns:
            float [batch, 2 * num_layers * cells].
        """
        lengths = ops.cast(lengths, "int32")
        if packed_lstm.serves(sequence, training):
            return packed_lstm.final_state(self._layer_weights(), sequence, lengths)
        # cuDNN rejects a sequence without real steps, so every sequence runs one; `where` below undoes it.
        mask = frame_mask(ops.maximum(lengths, 1), ops.shape(sequence)[1])
        states = []
        for layer in self.layers:
            sequence, hidden, carry = layer(sequence, mask=mask)
            states += [carry, hidden]
        state = ops.concatenate(states, axis=-1)
        return ops.where(lengths[:, None] > 0, state, ops.zeros_like(state))

    def _layer_weights(self):
        """Kernel, recurrent kernel and bias of each layer, in the compute dtype."""
        return [[ops.convert_to_tensor(weight) for weight in layer.weights] for layer in self.layers]

    def states_after_each_step(self, sequence: KerasTensor, lengths: KerasTensor) -> KerasTensor:
        """State after every step; it does not change after the last real step.

        Args:
            sequence: float [batch, time, size].
            lengths: int32 [batch], from 0 to time.
        Returns:
            float [batch, time, 2 * num_layers * cells].
        """
        mask = frame_mask(lengths, ops.shape(sequence)[1])
        zeros = ops.zeros((ops.shape(sequence)[0], self.cells), dtype=self.compute_dtype)
        start = [zeros] * (2 * self.num_layers)

        def step(states, inputs):
            x, real = inputs
            moved = []
            for layer, carry, hidden in zip(self.layers, states[::2], states[1::2]):
                x, (hidden, carry) = layer.cell(x, [hidden, carry])
                moved += [carry, hidden]
            kept = [ops.where(real, new, old) for new, old in zip(moved, states)]
            return kept, kept

        time_major = ops.transpose(sequence, (1, 0, 2)), ops.transpose(mask)[:, :, None]
        _, states = ops.scan(step, start, time_major)
        return ops.transpose(ops.concatenate(states, axis=-1), (1, 0, 2))

    def multiply_adds(self, input_size: int) -> int:
        """Multiply-adds of one step, matrix products only."""
        first = (input_size + self.cells) * 4 * self.cells
        return first + (self.num_layers - 1) * 2 * self.cells * 4 * self.cells

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": self.cells, "num_layers": self.num_layers}
