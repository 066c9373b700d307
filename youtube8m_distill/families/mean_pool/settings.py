"""The mean of the frames: settings and recipe of the starter code."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from youtube8m_distill.families.settings import FrameFamilySettings

if TYPE_CHECKING:
    from youtube8m_distill.config import FeatureConfig
    from youtube8m_distill.families.base import Encoder


class MeanPoolSettings(FrameFamilySettings):
    """The mean frame, with a logistic classifier on top."""

    title: ClassVar[str] = "mean of the frames"
    published_classifier: ClassVar[str] = "LogisticModel"
    training: ClassVar[dict[str, Any]] = {"base_learning_rate": 0.01, "regularization_penalty": 1.0}
    encoder_has_weights: ClassVar[bool] = False

    model: Literal["FrameLevelLogisticModel"] = "FrameLevelLogisticModel"

    def build_encoder(self, features: "FeatureConfig", dtype: str) -> "Encoder":
        from youtube8m_distill.families.mean_pool.encoder import MeanPool

        return MeanPool(dtype=dtype, name="mean_pool")
