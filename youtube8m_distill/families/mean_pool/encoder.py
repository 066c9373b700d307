"""The mean frame (the starter code's `FrameLevelLogisticModel`, with a logistic classifier on top)."""

from typing import Any

import keras
from keras import KerasTensor, ops

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers.masking import mean_of_real_frames


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class MeanPool(Encoder):
    """Encodes a video as the mean of its real frames, `encoding_size` = the frames' size. No weights."""

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.encoding_size = input_shape[-1]

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        return ops.cast(mean_of_real_frames(frames, num_frames), self.compute_dtype)

    def multiply_adds(self, num_frames: int) -> int:
        return 0
