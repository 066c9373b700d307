"""A stack of LSTM layers read as one: its state after the last frame, or after each."""

import math

import keras
from keras import ops

from youtube8m_distill.layers import masking, packed_lstm


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class StackedLSTM(keras.layers.Layer):
    """LSTM layers on top of each other whose joint final state is the output.

    The state is [c1, h1, c2, h2, ...], 2 * num_layers * cells numbers: what the original H-RNN code gets from TF1's
    concatenated `MultiRNNCell` state. Steps past `lengths` do not move it; a sequence of length 0 gives zeros.

    Weights start as the original's: uniform Glorot over the joined kernel [input + cells, 4 * cells], zero biases with
    1 added for the forget gate.

    Args:
        cells: int. Width of every layer.
        num_layers: int.
    """

    def __init__(self, cells=1024, num_layers=2, **kwargs):
        super().__init__(**kwargs)
        self.cells = cells
        self.num_layers = num_layers

    @property
    def state_size(self):
        return 2 * self.num_layers * self.cells

    def build(self, input_shape):
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

    def call(self, sequence, lengths, training=False):
        """State after the last real step of each sequence.

        Args:
            sequence: float [batch, time, size].
            lengths: int32 [batch], 0 .. time. Real steps; they come first.
            training: bool. It makes no difference to the numbers.
        Returns:
            float [batch, 2 * num_layers * cells].
        """
        lengths = ops.cast(lengths, "int32")
        if packed_lstm.serves(sequence, training):
            return packed_lstm.final_state(self._layer_weights(), sequence, lengths)
        # cuDNN refuses a sequence with no real step, so every sequence runs one; `where` takes it back below.
        mask = masking.frame_mask(ops.maximum(lengths, 1), ops.shape(sequence)[1])
        states = []
        for layer in self.layers:
            sequence, hidden, carry = layer(sequence, mask=mask)
            states += [carry, hidden]
        state = ops.concatenate(states, axis=-1)
        return ops.where(lengths[:, None] > 0, state, ops.zeros_like(state))

    def _layer_weights(self):
        """Kernel, recurrent kernel and bias of each layer, in the compute dtype."""
        cells = [layer.cell for layer in self.layers]
        return [
            [ops.convert_to_tensor(weight) for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)] for cell in cells
        ]

    def states_after_each_step(self, sequence, lengths):
        """State after every step; past the last real one it stays as it is.

        Args:
            sequence: float [batch, time, size].
            lengths: int32 [batch], 0 .. time.
        Returns:
            float [batch, time, 2 * num_layers * cells].
        """
        mask = masking.frame_mask(lengths, ops.shape(sequence)[1])
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

    def multiply_adds(self, input_size):
        """Multiply-adds of one step, matrix products only."""
        first = (input_size + self.cells) * 4 * self.cells
        return first + (self.num_layers - 1) * 2 * self.cells * 4 * self.cells

    def get_config(self):
        return {**super().get_config(), "cells": self.cells, "num_layers": self.num_layers}
