"""One stack of LSTM layers over all frames (the starter code's `LstmModel`)."""

from typing import Any

import keras
from keras import KerasTensor

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers.lstm import StackedLSTM


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class LSTMEncoder(Encoder):
    """Encodes a video as the top layer's output after its last real frame, `cells` numbers.

    The authors of the starter code found the concatenated state of all layers worse.

    Args:
        cells: width of every layer.
        num_layers: number of layers.
    """

    def __init__(self, cells: int = 1024, num_layers: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stack = StackedLSTM(cells, num_layers, dtype=self.dtype_policy, name="stack")

    @property
    def encoding_size(self) -> int:
        return self.stack.cells

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.frame_size = input_shape[-1]
        self.stack.build(input_shape)

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """The encoding; zeros for a video without frames."""
        return self.stack(frames, num_frames, training=training)[:, -self.stack.cells :]  # [c1, h1, c2, h2, ...]: the last h

    def multiply_adds(self, num_frames: int) -> int:
        """Multiply-adds of one video of `num_frames` frames, matrix products only."""
        return num_frames * self.stack.multiply_adds(self.frame_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": self.stack.cells, "num_layers": self.stack.num_layers}
