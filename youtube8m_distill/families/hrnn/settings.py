"""H-RNN's settings and recipe: Bhardwaj et al., CVPR 2019, section 5.2."""

from typing import ClassVar, Literal

from youtube8m_distill import schema
from youtube8m_distill.families.settings import FrameFamilySettings, dropout_field
from youtube8m_distill.settings import MAX_REPEATS, setting, size


class HRNNSettings(FrameFamilySettings):
    """Two levels of LSTMs: over the frames of a block, and over the blocks."""

    source: ClassVar = "CVPR 2019, section 5"
    has_frame_states: ClassVar = True
    model: Literal["HierarchicalLstmModel"] = "HierarchicalLstmModel"
    lstm_cells: int = size(1024, "Width of the LSTM layers.")
    lstm_layers: int = setting(2, "LSTM layers, in H-RNN of each level.", ge=1, le=MAX_REPEATS)
    frames_per_block: int | None = setting(
        None,
        "Block length of the H-RNN teacher or baseline. Default: 20 for all frames, otherwise 5 if that divides k, "
        "otherwise 3.",
        shapes_weights=False,
        ge=1,
        le=schema.LONGEST_VIDEO,
    )
    dropout: float = dropout_field(0.5)

    def for_view(self, view):
        if self.frames_per_block:
            return self
        if view.sees_all_frames:
            return self.replace(frames_per_block=20)
        return self.replace(frames_per_block=5 if view.max_frames % 5 == 0 else 3)

    def encoding_size(self, features):
        return 2 * self.lstm_layers * self.lstm_cells

    def build_encoder(self, features, dtype):
        from youtube8m_distill.families.hrnn.encoder import HierarchicalRNN

        assert self.frames_per_block is not None, "for_view sets it"
        return HierarchicalRNN(
            self.frames_per_block, self.lstm_cells, self.lstm_layers, dtype=dtype, name="hierarchical_rnn"
        )
