"""Video-level models: settings and recipe of the starter code. The classifier is the whole network."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from youtube8m_distill.families.settings import FamilySettings

if TYPE_CHECKING:
    from youtube8m_distill.config import FeatureConfig


class VideoLevelSettings(FamilySettings):
    """A classifier on the mean features of a video."""

    training: ClassVar[dict[str, Any]] = {"batch_size": 1024, "base_learning_rate": 0.01, "regularization_penalty": 1.0}
    fixed_classifier: ClassVar[str] = "it is the whole network"
    is_video_level: ClassVar[bool] = True
    encoder_has_weights: ClassVar[bool] = False

    def build_encoder(self, features: "FeatureConfig", dtype: str) -> None:
        return None


class VideoLogisticSettings(VideoLevelSettings):
    """`LogisticModel` on video-level files."""

    title: ClassVar[str] = "logistic, on video-level files"
    published_classifier: ClassVar[str] = "LogisticModel"

    model: Literal["LogisticModel"] = "LogisticModel"


class VideoMoeSettings(VideoLevelSettings):
    """`MoeModel` on video-level files."""

    title: ClassVar[str] = "mixture of experts, on video-level files"

    model: Literal["MoeModel"] = "MoeModel"
