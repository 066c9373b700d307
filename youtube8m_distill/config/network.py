"""One network: everything that is needed to build it again."""

import dataclasses

from youtube8m_distill import schema
from youtube8m_distill.checks import at_least, at_most, check_types, one_of, require, within
from youtube8m_distill.config.data import FeatureConfig, FrameConfig
from youtube8m_distill.config.families import CLASSIFIERS, FAMILIES, MIXTURES, MODELS, VIDEO_LEVEL_MODELS, published_settings

POOLING_METHODS = ("max", "average")
ACTIVATIONS = ("sigmoid", "relu6")

# Far beyond any network, and below what no machine could even begin to build from a stranger's configuration.
MAX_SIZE, MAX_REPEATS = 2 ** 20, 32


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """A network's family and sizes. What is None takes the family's published value, or stays None where it has none.

    Names are those of the starter code's and the authors' flags.
    """

    model: str = "HierarchicalLstmModel"
    num_classes: int = schema.NUM_CLASSES
    features: FeatureConfig = FeatureConfig()
    frames: FrameConfig | None = FrameConfig()      # None for a video-level network
    classifier: str | None = None
    dropout: float | None = None
    reverse_whitening: bool | None = None           # in place of L2; the eigenvalues lie with the weights

    moe_num_mixtures: int | None = None
    moe_l2: float | None = None
    moe_prob_gating: bool | None = None
    l2_penalty: float | None = None

    lstm_cells: int | None = None
    lstm_layers: int | None = None
    frames_per_block: int | None = None             # 20 for all frames, else 5 where it divides k, else 3

    netvlad_cluster_size: int | None = None
    netvlad_hidden_size: int | None = None
    netvlad_relu: bool | None = None
    netvlad_add_batch_norm: bool | None = None
    gating: bool | None = None
    gating_remove_diag: bool | None = None
    lightvlad: bool | None = None

    nextvlad_cluster_size: int | None = None
    nextvlad_hidden_size: int | None = None
    groups: int | None = None
    expansion: int | None = None
    gating_reduction: int | None = None
    mix_number: int | None = None                   # networks of a mixture
    mod_number: int | None = None                   # mixtures of a mixture of mixtures
    cl_temperature: float | None = None             # T; 0: no distillation within the mixture
    stop_mixture_gradient: bool | None = None

    dbof_cluster_size: int | None = None
    dbof_hidden_size: int | None = None
    dbof_pooling_method: str | None = None
    dbof_activation: str | None = None
    dbof_add_batch_norm: bool | None = None

    def __post_init__(self):
        check_types(self)
        one_of("model", self.model, MODELS)
        self._take_published_settings()
        self._check_frames()
        at_least(1, self, "num_classes", "moe_num_mixtures", "lstm_cells", "lstm_layers", "netvlad_cluster_size",
                 "netvlad_hidden_size", "nextvlad_cluster_size", "nextvlad_hidden_size", "groups", "expansion",
                 "gating_reduction", "dbof_cluster_size", "dbof_hidden_size")
        at_least(2, self, "mix_number", "mod_number")
        at_most(MAX_SIZE, self, "num_classes", "moe_num_mixtures", "lstm_cells", "netvlad_cluster_size",
                "netvlad_hidden_size", "nextvlad_cluster_size", "nextvlad_hidden_size", "groups", "expansion",
                "gating_reduction", "dbof_cluster_size", "dbof_hidden_size")
        at_most(MAX_REPEATS, self, "lstm_layers", "mix_number", "mod_number")
        at_least(0, self, "moe_l2", "l2_penalty", "cl_temperature")
        within(1, schema.MAX_FRAMES, self, "frames_per_block")
        require(self.dropout is None or 0.0 <= self.dropout < 1.0, f"dropout={self.dropout}: choose 0 or more, below 1.")
        for name, values in (("dbof_pooling_method", POOLING_METHODS), ("dbof_activation", ACTIVATIONS)):
            if getattr(self, name) is not None:
                one_of(name, getattr(self, name), values)
        self._check_combinations()
        self._check_clusters()

    def _take_published_settings(self):
        if self.classifier is None:
            object.__setattr__(self, "classifier", FAMILIES[self.model].classifier)
        one_of("video_level_classifier_model", self.classifier, CLASSIFIERS)
        fixed = self.is_video_level or self.model in MIXTURES
        require(not fixed or self.classifier == FAMILIES[self.model].classifier,
                f"video_level_classifier_model={self.classifier}: model={self.model} has {FAMILIES[self.model].classifier} "
                + ("for itself." if self.is_video_level else "only, since it mixes logits."))
        published = published_settings(self.model, self.classifier)
        for name in SETTINGS:
            if getattr(self, name) is None:
                object.__setattr__(self, name, published.get(name))
            require(name in published or getattr(self, name) is None,
                    f"{name} has no effect with model={self.model} and the classifier {self.classifier}; leave it out.")

    def _check_frames(self):
        require(self.features.frame_features != self.is_video_level,
                f"model={self.model} reads {'video' if self.is_video_level else 'frame'}-level files.")
        if self.is_video_level:
            require(self.frames is None, f"model={self.model} sees the video's mean; it takes no frame selection.")
            return
        require(self.frames is not None, f"model={self.model} needs a frame selection.")
        if self.model == "HierarchicalLstmModel" and self.frames_per_block is None:
            object.__setattr__(self, "frames_per_block", default_frames_per_block(self.frames))

    def _check_combinations(self):
        require(not self.reverse_whitening or self.features.names[0] == "rgb", f"reverse_whitening with "
                f"feature_names={','.join(self.features.names)}: the eigenvalues are those of rgb, which must come first.")
        require(not self.gating_remove_diag or self.gating or self.moe_prob_gating, "gating_remove_diag has no effect "
                "without gating or moe_prob_gating.")
        require(not self.stop_mixture_gradient or self.cl_temperature > 0, "stop_mixture_gradient has no effect with "
                "cl_temperature=0, where the mixture teaches nothing.")

    def _check_clusters(self):
        """Features after the first get half the clusters and groups, and groups must divide what they cut."""
        several = len(self.features.sizes) > 1
        for name in ("netvlad_cluster_size", "nextvlad_cluster_size", "groups"):
            value = getattr(self, name)
            require(value is None or not several or value >= 2,
                    f"{name}={value}: features after the first get half of it, so give 2 or more.")
        if self.groups is None:
            return
        for index, size in enumerate(self.features.sizes):
            groups = self.groups if index == 0 else self.groups // 2
            name = self.features.names[index]
            require(self.expansion * size % groups == 0, f"groups={self.groups} with expansion={self.expansion}: "
                    f"{name} has {self.expansion} * {size} numbers, which {groups} groups do not divide.")
        require(self.nextvlad_hidden_size % self.gating_reduction == 0, f"gating_reduction={self.gating_reduction}: "
                f"must divide nextvlad_hidden_size={self.nextvlad_hidden_size}.")

    @property
    def is_video_level(self):
        return self.model in VIDEO_LEVEL_MODELS

    @property
    def views(self):
        """The FrameConfig in a list; an empty one for a video-level network."""
        return [] if self.frames is None else [self.frames]

    @property
    def is_mixture(self):
        return self.model in MIXTURES

    @property
    def max_frames(self):
        """The most frames this network sees of a video; 1 for the mean of a video-level file."""
        return 1 if self.is_video_level else self.frames.max_frames


# The fields that a family has or has not.
SETTINGS = tuple(field.name for field in dataclasses.fields(NetworkConfig)
                 if field.default is None and field.name != "classifier")

# The fields in which a student may differ from its teacher, and a network from the one whose weights it starts with.
NOT_OF_THE_SHAPE = ("frames", "frames_per_block", "dropout", "moe_l2", "l2_penalty", "cl_temperature",
                    "stop_mixture_gradient")


def default_frames_per_block(frames):
    """The paper's block lengths: 20 for a network that sees all frames, 5 where it divides k, else 3 (section 5.2)."""
    if frames.frame_selection == "all":
        return 20
    return 5 if frames.max_frames % 5 == 0 else 3


def member_config(network):
    """NetworkConfig of one member of a mixture: of a mixture of mixtures, a mixture; of that, a single network."""
    if network.mod_number is not None:
        return dataclasses.replace(network, model="MixNeXtVladModel", mod_number=None)
    return dataclasses.replace(network, model="NeXtVLADModel", mix_number=None, cl_temperature=None,
                               stop_mixture_gradient=None)


def differences(network, other):
    """Names of the fields, but for NOT_OF_THE_SHAPE, in which two networks differ."""
    names = [field.name for field in dataclasses.fields(NetworkConfig) if field.name not in NOT_OF_THE_SHAPE]
    return [name for name in names if getattr(network, name) != getattr(other, name)]
