"""What every family's settings have in common. Imports neither TensorFlow nor Keras, so that help texts are quick.

A family is a folder: `settings.py` holds one frozen class with the fields, their published values and the published
training recipe; `encoder.py` holds the Keras layer. The class knows how to build its encoder.
"""

from typing import Any, ClassVar

from youtube8m_distill.settings import Settings, require, setting


def dropout_field(published):
    """The field `dropout` of a family, with its published value."""
    return setting(
        published,
        "Fraction of the encoding (of the pooled clusters in NeXtVLADModel and its mixtures) dropped in training.",
        shapes_weights=False,
        ge=0.0,
        lt=1.0,
    )


class FamilySettings(Settings):
    """Settings of one network family. Subclasses narrow `model` to the name that `--model` takes and add their fields.

    Class attributes:
        title: what the family is, in a few words, for help and docs.
        published_classifier: name of the classifier that it was published with.
        classifier_settings: dict, settings of that classifier where they were published with other values than its own.
        training: dict, TrainingConfig field -> published value where it differs from the H-RNN's.
        fixed_classifier: why no other classifier fits; "" where any does.
        is_video_level: whether it reads a video's mean features instead of frames.
        is_mixture: whether it is a network of networks.
        encoder_has_weights: whether its encoder learns anything.
        has_frame_states: whether its encoder has a state after each frame, for L_rep^I.
    """

    model: str

    title: ClassVar[str] = ""
    published_classifier: ClassVar[str] = "MoeModel"
    classifier_settings: ClassVar[dict[str, Any]] = {}
    training: ClassVar[dict[str, Any]] = {}
    fixed_classifier: ClassVar[str] = ""
    is_video_level: ClassVar[bool] = False
    is_mixture: ClassVar[bool] = False
    encoder_has_weights: ClassVar[bool] = True
    has_frame_states: ClassVar[bool] = False

    def for_view(self, view):
        """These settings with whatever follows from the frames that the network sees."""
        return self

    def check(self, features, classifier):
        """Refuses settings that do not fit the stored features or the classifier.

        Args:
            features: config.FeatureConfig.
            classifier: settings of the classifier.
        Raises:
            SettingError: naming the setting.
        """

    def member(self):
        """Settings of one member of a mixture.

        Raises:
            NotImplementedError: where `is_mixture` is False.
        """
        raise NotImplementedError(type(self).__name__)

    def build_encoder(self, features, dtype):
        """The family's encoder, not built yet.

        Args:
            features: config.FeatureConfig.
            dtype: "float32" or "mixed_bfloat16".
        Returns:
            families.base.Encoder; None for a video-level family, whose features are the encoding.
        """
        raise NotImplementedError(type(self).__name__)

    def classifier_options(self, classifier):
        """dict of further arguments for the classifier layer, where the family has its own way with it.

        Args:
            classifier: name of the classifier.
        """
        return {}


class FrameFamilySettings(FamilySettings):
    """Settings of a family that reads frames."""

    dropout: float = dropout_field(0.0)


def check_halves(settings, features, *names):
    """Refuses fewer than 2 of what features after the first get half of."""
    for name in names:
        value = getattr(settings, name)
        require(
            len(features.sizes) == 1 or value >= 2,
            name,
            "features after the first get half of it, so give 2 or more.",
            value,
        )
