"""Pooling over the real frames of a padded batch."""

import math

from keras import KerasTensor, ops

from youtube8m_distill.layers.masking import frame_mask


def mean_of_real_frames(frames: KerasTensor, num_frames: KerasTensor) -> KerasTensor:
    """Mean over each video's real frames, summed in float32; zeros for a video without frames.

    Args:
        frames: float [batch, T, size].
        num_frames: int [batch], from 0 to T. Number of real frames; they come first.
    Returns:
        float32 [batch, size].
    """
    real = frame_mask(num_frames, ops.shape(frames)[1])[:, :, None]
    total = ops.sum(ops.where(real, ops.cast(frames, "float32"), 0.0), axis=1)
    # The starter code divides by the plain count, which is zero for a video without frames.
    return total / ops.cast(ops.maximum(num_frames, 1), "float32")[:, None]


def max_of_real_frames(frames: KerasTensor, num_frames: KerasTensor) -> KerasTensor:
    """Maximum over each video's real frames; zeros for a video without frames.

    Args:
        frames: float [batch, T, size], of any sign.
        num_frames: int [batch], from 0 to T. Number of real frames; they come first.
    Returns:
        float [batch, size].
    """
    real = frame_mask(num_frames, ops.shape(frames)[1])[:, :, None]
    largest = ops.max(ops.where(real, frames, -math.inf), axis=1)
    return ops.where(ops.cast(num_frames, "int32")[:, None] > 0, largest, 0.0)
