"""What the settings of all families have in common. Imports neither TensorFlow nor Keras, so that help texts are fast."""

from typing import TYPE_CHECKING, Any, ClassVar

from youtube8m_distill.settings import Settings, require, setting

if TYPE_CHECKING:
    from youtube8m_distill.config import FeatureConfig, FrameView
    from youtube8m_distill.families.base import Encoder


def dropout_field(published: float) -> Any:
    """The field `dropout` of a family, with its published value."""
    text = "Fraction of the encoding (of the pooled clusters in NeXtVLADModel and its mixtures) dropped in training."
    return setting(published, text, shapes_weights=False, ge=0.0, lt=1.0)


class FamilySettings(Settings):
    """Settings of one network family. Subclasses narrow `model` to the name that `--model` takes and add their fields."""

    model: str

    source: ClassVar[str] = ""  # of the defaults and of the published values
    published_classifier: ClassVar[str] = "MoeModel"
    classifier_settings: ClassVar[dict[str, Any]] = {}  # published ones of that classifier that differ from its defaults
    training: ClassVar[dict[str, Any]] = {}  # TrainingConfig field -> published value, if it differs from the H-RNN's
    fixed_classifier: ClassVar[str] = ""  # why no other classifier is possible; "" if any is
    is_video_level: ClassVar[bool] = False  # reads a video's mean features instead of frames
    is_mixture: ClassVar[bool] = False  # consists of networks
    num_members: ClassVar[int] = 0  # how many networks a mixture consists of
    encoder_has_weights: ClassVar[bool] = True
    chooses_frames: ClassVar[bool] = False  # the encoder has a policy, which only the label objective trains
    has_frame_states: ClassVar[bool] = False  # the encoder has a state after each frame, for L_rep^I
    reads_frame_indices: ClassVar[bool] = False  # the encoding depends on which frames of the video it is of

    def for_view(self, view: "FrameView") -> "FamilySettings":
        """These settings, completed by what follows from the frames that the network sees."""
        return self

    def check(self, features: "FeatureConfig", classifier: Settings) -> None:
        """Raises SettingError if the settings do not fit the stored features or the classifier."""

    def frames_warning(self, max_frames: int) -> str:
        """A line for the start of a training if the settings do not suit videos of so many frames; else nothing."""
        return ""

    def member(self) -> "FamilySettings":
        """Settings of one member of a mixture."""
        raise NotImplementedError(type(self).__name__)

    def encoding_size(self, features: "FeatureConfig") -> int:
        """Numbers in a video's encoding."""
        raise NotImplementedError(type(self).__name__)

    def build_encoder(self, features: "FeatureConfig", dtype: str) -> "Encoder | None":
        """The family's encoder, not built yet; None for a video-level family, whose features are the encoding."""
        raise NotImplementedError(type(self).__name__)

    def classifier_options(self, classifier: str) -> dict[str, Any]:
        """More arguments for the layer of the classifier with this name."""
        return {}


class FrameFamilySettings(FamilySettings):
    """Settings of a family that reads frames."""

    dropout: float = dropout_field(0.0)


def check_halves(settings: FamilySettings, features: "FeatureConfig", *names: str) -> None:
    """Raises if a setting is below 2 and there are features after the first, which get half of it."""
    for name in names:
        value = getattr(settings, name)
        enough = len(features.sizes) == 1 or value >= 2
        require(enough, name, "features after the first get half of it, so give 2 or more.", value)
