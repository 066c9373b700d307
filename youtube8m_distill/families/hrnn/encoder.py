"""H-RNN: one LSTM reads blocks of frames, a second reads the blocks (Bhardwaj et al., CVPR 2019, section 3.1)."""

from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers.lstm import StackedLSTM


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class HierarchicalRNN(Encoder):
    """Encodes a video in two levels: frames to block encodings, block encodings to the video's encoding.

    Both levels are stacks of LSTM layers. The encoding is the upper level's concatenated final state, 4 * 1024 numbers at
    the published size. Every block starts from a zero state, so blocks fold into the batch axis: 300 frames take 20 + 15
    sequential steps instead of 300. The upper level does not read empty blocks.

    `frames_per_block` is 20 for the paper's teacher (15 in the original code), 5 or 3 for students.
    """

    def __init__(self, frames_per_block: int = 20, cells: int = 1024, num_layers: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frames_per_block = frames_per_block
        self.cells = cells
        self.num_layers = num_layers
        self.lower = StackedLSTM(cells, num_layers, dtype=self.dtype_policy, name="lower")
        self.upper = StackedLSTM(cells, num_layers, dtype=self.dtype_policy, name="upper")
        self.encoding_size = self.upper.state_size

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.lower.build((None, self.frames_per_block, input_shape[-1]))
        self.upper.build((None, None, self.lower.state_size))

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """The encoding; zeros for a video without frames."""
        blocks, lengths, num_blocks = self._fold(frames, num_frames)
        states = self.lower(blocks, lengths, training=training)  # [batch * b, state]
        return self._encode_blocks(states, num_frames, num_blocks, training)

    def pool_with_frame_states(self, frames: KerasTensor, num_frames: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """The encoding, and the lower level's state after each frame (I in the paper's equation 3)."""
        blocks, lengths, num_blocks = self._fold(frames, num_frames)
        states = self.lower.states_after_each_step(blocks, lengths)  # [batch * b, l, state]
        encoding = self._encode_blocks(states[:, -1], num_frames, num_blocks)
        frame_states = ops.reshape(states, (-1, num_blocks * states.shape[1], self.lower.state_size))
        return encoding, frame_states[:, : ops.shape(frames)[1]]

    def _fold(self, frames, num_frames):
        """Cuts frames into blocks: float [batch * b, l, size], their lengths int32 [batch * b], and b."""
        # A single block has no more rows than there are; with an unknown number of rows, blocks are always whole.
        length = min(self.frames_per_block, frames.shape[1] or self.frames_per_block)
        num_rows = ops.shape(frames)[1]
        num_blocks = (num_rows + length - 1) // length
        blocks = ops.pad(frames, [[0, 0], [0, num_blocks * length - num_rows], [0, 0]])
        starts = ops.arange(num_blocks, dtype="int32")[None, :] * length  # [1, b]
        lengths = ops.clip(ops.cast(num_frames, "int32")[:, None] - starts, 0, length)
        return ops.reshape(blocks, (-1, length, frames.shape[-1])), ops.reshape(lengths, (-1,)), num_blocks

    def _encode_blocks(self, states, num_frames, num_blocks, training=False):
        states = ops.reshape(states, (-1, num_blocks, self.lower.state_size))  # [batch, b, state]
        # Not -(-n // l): a floor division of negative integers rounds up in some runtimes of exported networks.
        filled_blocks = (ops.cast(num_frames, "int32") + self.frames_per_block - 1) // self.frames_per_block
        return self.upper(states, filled_blocks, training=training)

    def multiply_adds(self, num_frames: int) -> int:
        filled_blocks = (num_frames + self.frames_per_block - 1) // self.frames_per_block
        return self.lower.multiply_adds(num_frames) + self.upper.multiply_adds(filled_blocks)
