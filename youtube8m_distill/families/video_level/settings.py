"""Video-level models: settings and recipe of the starter code. The classifier is the whole network."""

from typing import ClassVar, Literal

from youtube8m_distill.families.settings import FamilySettings


class VideoLevelSettings(FamilySettings):
    """A classifier on the mean features of a video."""

    source: ClassVar = "starter code"
    training: ClassVar = {"batch_size": 1024, "base_learning_rate": 0.01, "regularization_penalty": 1.0}
    fixed_classifier: ClassVar = "it is the whole network"
    is_video_level: ClassVar = True
    encoder_has_weights: ClassVar = False

    def encoding_size(self, features):
        return features.size

    def build_encoder(self, features, dtype):
        return None


class VideoLogisticSettings(VideoLevelSettings):
    """`LogisticModel` on video-level files."""

    published_classifier: ClassVar = "LogisticModel"
    model: Literal["LogisticModel"] = "LogisticModel"


class VideoMoeSettings(VideoLevelSettings):
    """`MoeModel` on video-level files."""

    model: Literal["MoeModel"] = "MoeModel"
