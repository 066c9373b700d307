"""The mean of the frames: settings and recipe of the starter code."""

from typing import ClassVar, Literal

from youtube8m_distill.families.settings import FrameFamilySettings


class MeanPoolSettings(FrameFamilySettings):
    """The mean frame, with a logistic classifier on top."""

    source: ClassVar = "starter code"
    published_classifier: ClassVar = "LogisticModel"
    training: ClassVar = {"base_learning_rate": 0.01, "regularization_penalty": 1.0}
    encoder_has_weights: ClassVar = False
    model: Literal["FrameLevelLogisticModel"] = "FrameLevelLogisticModel"

    def encoding_size(self, features):
        return features.size

    def build_encoder(self, features, dtype):
        from youtube8m_distill.families.mean_pool.encoder import MeanPool

        return MeanPool(dtype=dtype, name="mean_pool")
