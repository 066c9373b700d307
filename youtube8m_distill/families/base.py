"""The interface of every frame-level family: frames to one vector per video, in two parts with dropout in between."""

import itertools
from collections.abc import Sequence

from keras import KerasTensor, ops

from youtube8m_distill.layers.base import Layer


class Encoder(Layer):
    """Base class of the frame-level families: `pool` reads the frames, `project` turns the result into the encoding.

    VideoClassifier applies dropout between the two. The encoding without dropout, which distillation matches, then costs
    only a second call of `project`. Most families have no second part.

    `embed` comes before both and may give each frame its place in the video. A family that overrides it sets
    `reads_frame_indices` in its settings.

    Compute with layers, not with weights, in these methods: Keras' automatic casts do not reach them.
    """

    encoding_size: int
    makes_decisions = False  # chooses the frames that it reads: has `pool_with_decisions`

    @property
    def reads_frame_indices(self) -> bool:
        """Whether the encoding depends on which frames of the video it is of."""
        return type(self).embed is not Encoder.embed

    def call(
        self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False, frame_indices: KerasTensor | None = None
    ) -> KerasTensor:
        """Encoding of each video without dropout, float [batch, encoding_size].

        `frames` is float [batch, T, size]; `num_frames` is int [batch], the number of real frames, which come first.
        `frame_indices` is as for `embed`.
        """
        return self.project(self.pool(self.embed(frames, frame_indices), num_frames, training), training)

    def embed(self, frames: KerasTensor, frame_indices: KerasTensor | None = None) -> KerasTensor:
        """The frames as `pool` takes them, float [batch, T, any size], each on its own.

        `frame_indices` is int [batch, T]: which frame of the video each one is; arbitrary in padding. None stands for the
        first frames, 0 .. T - 1.
        """
        return frames

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """The first part, float [batch, any size]. `frames` is a result of `embed`; the rest is as for `call`."""
        raise NotImplementedError

    def pool_with_frame_states(self, frames: KerasTensor, num_frames: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """`pool`, and the state after each frame, float [batch, T, state size], arbitrary in padding.

        Raises ValueError if the family has no such states.
        """
        raise ValueError(
            f"frame_states=True: {type(self).__name__} has no state after each frame; match encodings or predictions."
        )

    def pool_with_decisions(
        self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False
    ) -> tuple[KerasTensor, dict[str, KerasTensor]]:
        """`pool`, and how the frames were chosen, of an encoder with `makes_decisions`."""
        raise NotImplementedError

    def project(self, pooled: KerasTensor, training: bool = False, update_statistics: bool = True) -> KerasTensor:
        """The encoding from a result of `pool`, float [batch, encoding_size].

        Moving statistics must be updated once per step: a second call passes `update_statistics=False`.
        """
        return pooled

    def multiply_adds(self, num_frames: int) -> int:
        """Multiply-adds of one video of `num_frames` frames, matrix products only."""
        raise NotImplementedError


def pool_features(
    poolings: Sequence[Layer], sizes: Sequence[int], frames: KerasTensor, num_frames: KerasTensor, training: bool
) -> KerasTensor:
    """Each feature's part of the frames through its own pooling, side by side. float [batch, any size]."""
    ends = itertools.accumulate(sizes)
    pooled = [
        pooling(frames[:, :, end - size : end], num_frames, training=training)
        for pooling, size, end in zip(poolings, sizes, ends)
    ]
    return ops.concatenate(pooled, axis=-1)
