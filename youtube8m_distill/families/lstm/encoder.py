"""One stack of LSTM layers over all frames (the starter code's `LstmModel`)."""

from typing import Any

import keras
from keras import KerasTensor

from youtube8m_distill.families.base import Encoder
from youtube8m_distill.layers.lstm import StackedLSTM


@keras.saving.register_keras_serializable(package="youtube8m_distill")
class LSTMEncoder(Encoder):
    """Encodes a video as the top layer's output after its last real frame, `cells` numbers.

    The authors of the starter code found the concatenated state of all `num_layers` layers worse.
    """

    def __init__(self, cells: int = 1024, num_layers: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = self.encoding_size = cells
        self.num_layers = num_layers
        self.stack = StackedLSTM(cells, num_layers, dtype=self.dtype_policy, name="stack")

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.stack.build(input_shape)

    def pool(self, frames: KerasTensor, num_frames: KerasTensor, training: bool = False) -> KerasTensor:
        """The encoding; zeros for a video without frames."""
        return self.stack(frames, num_frames, training=training)[:, -self.cells :]  # [c1, h1, c2, h2, ...]: the last h

    def multiply_adds(self, num_frames: int) -> int:
        return self.stack.multiply_adds(num_frames)
