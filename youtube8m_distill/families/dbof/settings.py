"""Deep bag of frames: settings and recipe of the starter code, with the batch size of its README's frame-level command."""

from typing import ClassVar, Literal

from youtube8m_distill.families.settings import FrameFamilySettings
from youtube8m_distill.settings import setting, size


class DBoFSettings(FrameFamilySettings):
    """Frames as bags of soft words."""

    source: ClassVar = "starter code"
    training: ClassVar = {"base_learning_rate": 0.01, "regularization_penalty": 1.0}
    model: Literal["DbofModel"] = "DbofModel"
    dbof_cluster_size: int = size(8192, "Clusters.")
    dbof_hidden_size: int = size(1024, "Size of the encoding.")
    dbof_pooling_method: Literal["max", "average"] = setting("max", "How frames are pooled.")
    dbof_activation: Literal["sigmoid", "relu6"] = setting("sigmoid", "Activation.")
    dbof_add_batch_norm: bool = setting(True, "Batch normalization; otherwise biases.")

    def encoding_size(self, features):
        return self.dbof_hidden_size

    def build_encoder(self, features, dtype):
        from youtube8m_distill.families.dbof.encoder import DeepBagOfFrames

        return DeepBagOfFrames(
            self.dbof_cluster_size,
            self.dbof_hidden_size,
            pooling=self.dbof_pooling_method,
            activation=self.dbof_activation,
            batch_norm=self.dbof_add_batch_norm,
            dtype=dtype,
            name="dbof",
        )
