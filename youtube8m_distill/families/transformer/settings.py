"""Settings and recipe of the Transformer. It is this package's own: no paper on YouTube-8M describes it."""

from typing import ClassVar, Literal

from youtube8m_distill.families.settings import FrameFamilySettings, dropout_field
from youtube8m_distill.settings import MAX_REPEATS, require, setting, size


class TransformerSettings(FrameFamilySettings):
    """Self-attention over the frames, which know their time in the video."""

    source: ClassVar = "this package; layers of Vaswani et al. 2017, pre-norm as in Xiong et al. 2020"
    training: ClassVar = {"base_learning_rate": 0.001, "regularization_penalty": 1.0}
    reads_frame_indices: ClassVar = True
    model: Literal["TransformerModel"] = "TransformerModel"
    transformer_layers: int = setting(4, "Blocks of attention and MLP.", ge=1, le=MAX_REPEATS)
    transformer_width: int = size(512, "Width of the blocks, and size of the encoding. A multiple of 2 and of the heads.")
    transformer_heads: int = size(8, "Attention heads of each block.")
    dropout: float = dropout_field(0.1)

    def check(self, features, classifier):
        width, heads = self.transformer_width, self.transformer_heads
        require(width % 2 == 0, "transformer_width", "must be even: each frequency of the time has two numbers.", width)
        require(width % heads == 0, "transformer_heads", f"must divide transformer_width={width}.", heads)

    def encoding_size(self, features):
        return self.transformer_width

    def build_encoder(self, features, dtype):
        from youtube8m_distill.families.transformer.encoder import TransformerEncoder

        return TransformerEncoder(
            self.transformer_layers, self.transformer_width, self.transformer_heads, dtype=dtype, name="transformer"
        )
