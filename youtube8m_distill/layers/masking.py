"""Real frames of a padded batch: which rows they are, and pooling over them.

`frames` is float [batch, T, size]. `num_frames` is int [batch], from 0 to T: the number of real frames, which come first.
"""

import math

from keras import KerasTensor, ops


def frame_mask(num_frames: KerasTensor, max_frames: int | KerasTensor) -> KerasTensor:
    """True for real frames, False for padding. bool [batch, max_frames]."""
    return ops.arange(max_frames, dtype="int32")[None, :] < ops.cast(num_frames, "int32")[:, None]


def mean_of_real_frames(frames: KerasTensor, num_frames: KerasTensor) -> KerasTensor:
    """Mean over each video's real frames, summed in float32; zeros for a video without frames. float32 [batch, size]."""
    real = frame_mask(num_frames, ops.shape(frames)[1])[:, :, None]
    total = ops.sum(ops.where(real, ops.cast(frames, "float32"), 0.0), axis=1)
    # The starter code divides by the plain count, which is zero for a video without frames.
    return total / ops.cast(ops.maximum(num_frames, 1), "float32")[:, None]


def max_of_real_frames(frames: KerasTensor, num_frames: KerasTensor) -> KerasTensor:
    """Maximum over each video's real frames, of any sign; zeros for a video without frames. float [batch, size]."""
    real = frame_mask(num_frames, ops.shape(frames)[1])[:, :, None]
    largest = ops.max(ops.where(real, frames, -math.inf), axis=1)
    return ops.where(ops.cast(num_frames, "int32")[:, None] > 0, largest, 0.0)
