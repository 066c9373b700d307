"""A stack of LSTM layers: settings and recipe of the starter code."""

from typing import ClassVar, Literal

from youtube8m_distill.families.settings import FrameFamilySettings
from youtube8m_distill.settings import MAX_REPEATS, setting, size


class LSTMSettings(FrameFamilySettings):
    """Two LSTM layers over all frames."""

    source: ClassVar = "starter code"
    training: ClassVar = {"base_learning_rate": 0.001, "regularization_penalty": 1.0}
    model: Literal["LstmModel"] = "LstmModel"
    lstm_cells: int = size(1024, "Width of the LSTM layers.")
    lstm_layers: int = setting(2, "LSTM layers, in H-RNN of each level.", ge=1, le=MAX_REPEATS)

    def encoding_size(self, features):
        return self.lstm_cells

    def build_encoder(self, features, dtype):
        from youtube8m_distill.families.lstm.encoder import LSTMEncoder

        return LSTMEncoder(self.lstm_cells, self.lstm_layers, dtype=dtype, name="lstm")
