"""The mean frame (the starter code's `FrameLevelLogisticModel`, with a logistic classifier on top)."""

import keras
from keras import ops

from youtube8m_distill.models import masking
from youtube8m_distill.models.encoder import Encoder


def mean_of_real_frames(frames, num_frames):
    """Mean over each video's real frames, summed in float32; zeros for a video without frames.

    Args:
        frames: float [batch, T, size].
        num_frames: int [batch], 0 .. T. Real frames; they come first.
    Returns:
        float32 [batch, size].
    """
    real = masking.frame_mask(num_frames, ops.shape(frames)[1])[:, :, None]
    total = ops.sum(ops.where(real, ops.cast(frames, "float32"), 0.0), axis=1)
    # The starter divides by the plain count: by zero for a video without frames.
    return total / ops.cast(ops.maximum(num_frames, 1), "float32")[:, None]


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class MeanPool(Encoder):
    """Encodes a video as the mean of its real frames, `encoding_size` = the frames' size. No weights."""

    def build(self, input_shape):
        self.encoding_size = input_shape[-1]

    def pool(self, frames, num_frames, training=False):
        return ops.cast(mean_of_real_frames(frames, num_frames), self.compute_dtype)

    def multiply_adds(self, num_frames):
        """0: a mean has no matrix product."""
        return 0
