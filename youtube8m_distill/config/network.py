"""The configuration of one network."""

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union

import pydantic

from youtube8m_distill import schema
from youtube8m_distill.config.video import FeatureConfig, FrameView
from youtube8m_distill.families import CLASSIFIERS, FAMILIES
from youtube8m_distill.families.classifiers import LogisticSettings, MoeSettings
from youtube8m_distill.families.settings import FamilySettings
from youtube8m_distill.settings import Settings, fields_with, require, size

FAMILY_OF = {family.model_fields["model"].default: family for family in FAMILIES}
CLASSIFIER_OF = {classifier.model_fields["model"].default: classifier for classifier in CLASSIFIERS}
MODELS, CLASSIFIER_MODELS = tuple(FAMILY_OF), tuple(CLASSIFIER_OF)
VIDEO_LEVEL_MODELS = tuple(model for model, family in FAMILY_OF.items() if family.is_video_level)

if TYPE_CHECKING:
    Family: TypeAlias = FamilySettings
    Classifier: TypeAlias = LogisticSettings | MoeSettings
else:
    Family = Annotated[Union[FAMILIES], pydantic.Field(discriminator="model")]  # noqa: UP007, a tuple
    Classifier = Annotated[Union[CLASSIFIERS], pydantic.Field(discriminator="model")]  # noqa: UP007


class NetworkConfig(Settings):
    """A network: what it reads, which family it is of, and its classifier. `network_config` makes one."""

    num_classes: int = size(schema.NUM_CLASSES, "Classes of the data set: 3862 in 2018 and later, 4716 in 2017.")
    features: FeatureConfig = FeatureConfig()
    view: FrameView | None = FrameView()  # None for a video-level network
    family: Family
    classifier: Classifier

    def model_post_init(self, context, /):
        family, fixed = self.family, self.family.fixed_classifier
        reason = f"reads {'video' if family.is_video_level else 'frame'}-level files."
        require(self.features.frame_features != family.is_video_level, "model", reason, family.model)
        if self.view is None:
            require(family.is_video_level, "frame_selection", f"model={family.model} needs one.")
        else:
            reason = f"model={family.model} sees the video's mean, so it takes no frame selection."
            require(not family.is_video_level, "frame_selection", reason)
            object.__setattr__(self, "family", family.for_view(self.view))
        given, published = self.classifier.model, family.published_classifier
        reason = f"model={family.model} takes {published} only: {fixed}."
        require(not fixed or given == published, "video_level_classifier_model", reason, given)
        family.check(self.features, self.classifier)

    @property
    def model(self) -> str:
        """Name of the family, as `--model` takes it."""
        return self.family.model

    @property
    def is_video_level(self) -> bool:
        return self.family.is_video_level

    @property
    def is_mixture(self) -> bool:
        return self.family.is_mixture

    @property
    def encoding_size(self) -> int:
        """Numbers in a video's encoding."""
        return self.family.encoding_size(self.features)

    @property
    def classifier_settings(self) -> set[str]:
        """The names in `differences` that are about the classifier's weights."""
        return {"num_classes", "classifier", *fields_with(type(self.classifier), shapes_weights=True)}

    @property
    def max_frames(self) -> int:
        """The most frames this network sees of a video; 1 for the mean of a video-level file."""
        return 1 if self.view is None else self.view.max_frames

    @property
    def max_video_frames(self) -> int:
        """The most frames of a video that are read for this network, which may see only some of them."""
        return schema.MAX_FRAMES if self.view is None else self.view.max_video_frames

    def member(self) -> "NetworkConfig":
        """The NetworkConfig of one member of a mixture. The member of a mixture of mixtures is a mixture."""
        return self.replace(family=self.family.member())

    def settings(self) -> dict[str, Any]:
        """The family's and the classifier's settings, as `network_config` takes them."""
        found = {**self.family.values(), **self.classifier.values()}
        del found["model"]
        return found

    def replace(self, **changes: Any) -> "NetworkConfig":
        """A copy with changed values. Settings of the family and of the classifier may be given too."""
        own = {name: changes.pop(name) for name in NetworkConfig.model_fields if name in changes}
        of_family, of_classifier = _split(changes, type(self.family), type(self.classifier))
        if of_family:
            own["family"] = own.get("family", self.family).replace(**of_family)
        if of_classifier:
            own["classifier"] = own.get("classifier", self.classifier).replace(**of_classifier)
        return super().replace(**own)

    def with_view(self, view: FrameView) -> "NetworkConfig":
        """The same network for another view, with the settings that depend on it."""
        follows = {"frames_per_block": None} if "frames_per_block" in type(self.family).model_fields else {}
        return self.replace(view=view, **follows)


def network_config(
    model: str = "HierarchicalLstmModel",
    num_classes: int = schema.NUM_CLASSES,
    features: FeatureConfig | None = None,
    view: FrameView | None = None,
    classifier: str | None = None,
    **settings: Any,
) -> NetworkConfig:
    """A NetworkConfig from flat settings. A setting that is not given takes the family's published value.

    >>> network_config("NetVLADModelLF", netvlad_cluster_size=64).classifier.moe_l2
    1e-06

    Args:
        model: one of config.MODELS.
        features: by default those of the official files.
        view: all frames by default. Video-level models take none.
        classifier: one of config.CLASSIFIER_MODELS; the family's published one by default.
        **settings: fields of the family or of the classifier.
    Raises:
        SettingError: naming the setting, also if neither the family nor the classifier has it.
    """
    require(model in FAMILY_OF, "model", f"is unknown; choose one of {', '.join(MODELS)}.", model)
    family = FAMILY_OF[model]
    classifier = classifier or family.published_classifier
    reason = f"is unknown; choose one of {', '.join(CLASSIFIER_MODELS)}."
    require(classifier in CLASSIFIER_OF, "video_level_classifier_model", reason, classifier)
    published = family.classifier_settings if classifier == family.published_classifier else {}
    of_family, of_classifier = _split(settings, family, CLASSIFIER_OF[classifier])
    if family.is_video_level:
        features = features or FeatureConfig(names=schema.VIDEO_FEATURES, frame_features=False, dtype="float32")
    else:
        view = view or FrameView()
    return NetworkConfig(
        num_classes=num_classes,
        features=features or FeatureConfig(),
        view=view,
        family=family(**of_family),
        classifier=CLASSIFIER_OF[classifier](**{**published, **of_classifier}),
    )


def _split(settings, family, classifier):
    """Flat settings as those of the family and those of the classifier."""
    model, top = (kind.model_fields["model"].default for kind in (family, classifier))
    for name, value in settings.items():
        known = name != "model" and (name in family.model_fields or name in classifier.model_fields)
        require(known, name, f"has no effect with model={model} and the classifier {top}; leave it out.", value)
    return [{name: settings[name] for name in kind.model_fields if name in settings} for kind in (family, classifier)]


def differences(network: NetworkConfig, other: NetworkConfig) -> dict[str, tuple[Any, Any]]:
    """The settings that keep two networks from exchanging weights.

    Returns:
        Setting -> (value of `network`, value of `other`); empty if all weights fit. If the families or the classifiers
        differ, `model` or `classifier` stands for all their settings.
    """
    found = {name: (getattr(network, name), getattr(other, name)) for name in ("num_classes", "features")}
    for name, part in (("model", "family"), ("classifier", "classifier")):
        one, two = getattr(network, part), getattr(other, part)
        found[name] = one.model, two.model
        if one.model == two.model:
            for field in fields_with(type(one), shapes_weights=True):
                found[field] = getattr(one, field), getattr(two, field)
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}


def can_share_encoder(network: NetworkConfig, other: NetworkConfig) -> bool:
    """Whether the layers from frames to encoding have the same weights in two networks."""
    return network.family.encoder_has_weights and not differences(network, other).keys() - network.classifier_settings


def can_share_classifier(network: NetworkConfig, other: NetworkConfig) -> bool:
    """Whether the layers from encoding to predictions have the same weights in two networks."""
    differing = differences(network, other)
    if network.is_mixture or other.is_mixture:
        return not differing
    return network.encoding_size == other.encoding_size and not network.classifier_settings & differing.keys()
