"""Frozen dataclasses that check themselves, with a strict round trip to JSON. No flags, no TensorFlow.

Only builders and scripts read these; layers, losses and samplers take plain arguments. Messages name the field and
the value; scripts put the flag in front.
"""

import dataclasses
import json
import typing

from youtube8m_distill import schema
from youtube8m_distill.checks import at_least
from youtube8m_distill.checks import check_types
from youtube8m_distill.checks import no_repeats
from youtube8m_distill.checks import one_of
from youtube8m_distill.checks import require
from youtube8m_distill.checks import within

FORMAT = 1                          # of config.json; raised when an older reader would misread it

FRAME_SELECTIONS = ("all", "strided", "uniform", "random", "first", "middle", "last", "first_middle_last")
FEATURE_DTYPES = ("uint8", "float32")
MODELS = ("HierarchicalLstmModel", "LogisticModel", "MoeModel")
VIDEO_LEVEL_MODELS = ("LogisticModel", "MoeModel")
CLASSIFIERS = ("LogisticModel", "MoeModel")
MODES = ("teacher", "serial", "parallel")
STUDENT_LOSSES = ("rep", "pred", "ce")
PREDICTION_DISTANCES = ("kl", "categorical_kl", "squared")
INTERMEDIATE_REDUCTIONS = ("mean", "sum")
OPTIMIZERS = ("AdamOptimizer", "GradientDescentOptimizer", "MomentumOptimizer", "AdagradOptimizer", "RMSPropOptimizer")

MAX_SEED = 2 ** 31 - 1              # NumPy, Python and TensorFlow all take it


@dataclasses.dataclass(frozen=True)
class FeatureConfig:
    """What is stored for a video: which features, how long each is, bytes or floats, per frame or one mean."""

    names: tuple[str, ...] = schema.FRAME_FEATURES
    sizes: tuple[int, ...] = (1024, 128)
    frame_features: bool = True
    dtype: str = "uint8"                # float32: MediaPipe's frame files, and every video-level file

    def __post_init__(self):
        check_types(self)
        names, sizes = ",".join(self.names), ",".join(map(str, self.sizes))
        require(self.names and len(self.names) == len(self.sizes),
                f"feature_names={names} and feature_sizes={sizes}: give one size for each name.")
        no_repeats("feature_names", self.names)
        require(min(self.sizes) >= 1, f"feature_sizes={sizes}: each must be a whole number above 0.")
        one_of("dtype", self.dtype, FEATURE_DTYPES)
        require(self.frame_features or self.dtype == "float32",
                f"dtype={self.dtype!r}: video-level features are stored as float32.")

    @property
    def size(self):
        """Numbers in one frame, all features together."""
        return sum(self.sizes)


@dataclasses.dataclass(frozen=True)
class FrameConfig:
    """Which frames of a video one network sees."""

    frame_selection: str = "all"
    frames_per_video: int | None = None     # k, for every selection but `all` and `strided`
    every_n: int | None = None              # the stride of `strided`

    def __post_init__(self):
        check_types(self)
        selection, k, stride = self.frame_selection, self.frames_per_video, self.every_n
        one_of("frame_selection", selection, FRAME_SELECTIONS)
        within(1, schema.MAX_FRAMES, self, "frames_per_video", "every_n")
        require((k is not None) == (selection not in ("all", "strided")),
                f"frames_per_video={k} with frame_selection={selection!r}: every selection but all and strided needs "
                "it, and only those take it.")
        require((stride is not None) == (selection == "strided"),
                f"every_n={stride} with frame_selection={selection!r}: strided needs it, and only strided takes it.")

    @property
    def max_frames(self):
        """The most frames this selection gives: the padded length T of its batches."""
        if self.frame_selection == "all":
            return schema.MAX_FRAMES
        if self.frame_selection == "strided":
            return -(-schema.MAX_FRAMES // self.every_n)
        return self.frames_per_video


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """One network: everything that is needed to build it again. Defaults are the published H-RNN (CVPR 2019, 5.2)."""

    model: str = "HierarchicalLstmModel"
    num_classes: int = schema.NUM_CLASSES
    features: FeatureConfig = FeatureConfig()
    frames: FrameConfig | None = FrameConfig()      # None for a video-level network
    classifier: str = "MoeModel"
    moe_num_mixtures: int = 2
    lstm_cells: int = 1024
    lstm_layers: int = 2
    frames_per_block: int | None = None             # None: 20 for all frames, else 5 where it divides k, else 3
    dropout: float = 0.5

    def __post_init__(self):
        check_types(self)
        one_of("model", self.model, MODELS)
        one_of("video_level_classifier_model", self.classifier, CLASSIFIERS)
        at_least(1, self, "num_classes", "moe_num_mixtures", "lstm_cells", "lstm_layers")
        require(0.0 <= self.dropout < 1.0, f"dropout={self.dropout}: choose 0 or more, below 1.")
        require(self.features.frame_features != self.is_video_level,
                f"model={self.model} reads {'video' if self.is_video_level else 'frame'}-level files.")
        if self.is_video_level:
            require(self.frames is None, f"model={self.model} sees the video's mean; it takes no frame selection.")
            return
        require(self.frames is not None, f"model={self.model} needs a frame selection.")
        if self.frames_per_block is None:
            object.__setattr__(self, "frames_per_block", default_frames_per_block(self.frames))
        within(1, schema.MAX_FRAMES, self, "frames_per_block")

    @property
    def is_video_level(self):
        return self.model in VIDEO_LEVEL_MODELS

    @property
    def max_frames(self):
        """The most frames this network sees of a video; 1 for the mean of a video-level file."""
        return 1 if self.is_video_level else self.frames.max_frames


def default_frames_per_block(frames):
    """The paper's block lengths: 20 for a network that sees all frames, 5 where it divides k, else 3 (section 5.2)."""
    if frames.frame_selection == "all":
        return 20
    return 5 if frames.max_frames % 5 == 0 else 3


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """What a student minimises, and what it shares with its teacher."""

    student_loss: tuple[str, ...] = STUDENT_LOSSES
    rep_weight: float = 1.0
    pred_weight: float = 1.0
    ce_weight: float = 1.0
    intermediate_weight: float = 1.0
    prediction_distance: str = "kl"
    match_intermediate: bool = False
    intermediate_reduction: str = "mean"            # sum: the paper's equation 3
    share_classifier: bool = True
    freeze_classifier: bool = False

    def __post_init__(self):
        check_types(self)
        require(self.student_loss, "student_loss is empty; name at least one of rep,pred,ce.")
        for term in self.student_loss:
            one_of("student_loss", term, STUDENT_LOSSES)
        no_repeats("student_loss", self.student_loss)
        one_of("prediction_distance", self.prediction_distance, PREDICTION_DISTANCES)
        one_of("intermediate_reduction", self.intermediate_reduction, INTERMEDIATE_REDUCTIONS)
        at_least(0, self, "rep_weight", "pred_weight", "ce_weight", "intermediate_weight")
        require(self.share_classifier or not self.freeze_classifier,
                "freeze_classifier keeps the teacher's classifier as it is; it needs share_classifier.")

    @property
    def trains_classifier(self):
        """Whether any term reaches the classifier; `rep` alone stops at the encoding."""
        return "pred" in self.student_loss or "ce" in self.student_loss


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Optimiser, schedule and bookkeeping of a run. Defaults are the published H-RNN's (CVPR 2019, section 5.2)."""

    batch_size: int = 256                           # over all replicas
    optimizer: str = "AdamOptimizer"
    base_learning_rate: float = 0.001
    learning_rate_decay: float = 0.95
    learning_rate_decay_examples: int = 4_000_000
    regularization_penalty: float = 2.0             # a factor on the layers' own 1e-8 terms
    clip_gradient_norm: float = 1.0                 # per variable; 0 turns it off
    num_epochs: int = 5
    finetune_epochs: int = 5                        # second stage of a serial run on `rep` alone
    max_steps: int | None = None
    checkpoint_steps: int | None = None             # None: at the end of each epoch only
    validation_steps: int | None = None             # None: at the end of each epoch only
    max_to_keep: int = 3
    seed: int = 0
    mixed_precision: bool = False
    num_readers: int = 8                            # files read at a time; part of the order of the records
    train_fraction: float = 1.0                     # share of the training videos that are used

    def __post_init__(self):
        check_types(self)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        at_least(1, self, "batch_size", "learning_rate_decay_examples", "num_epochs", "finetune_epochs", "max_to_keep",
                 "num_readers", "max_steps", "checkpoint_steps", "validation_steps")
        at_least(0, self, "regularization_penalty", "clip_gradient_norm")
        within(0, MAX_SEED, self, "seed")
        require(self.base_learning_rate > 0, f"base_learning_rate={self.base_learning_rate}: must be above 0.")
        require(0 < self.learning_rate_decay <= 1,
                f"learning_rate_decay={self.learning_rate_decay}: choose above 0, at most 1 (1: no decay).")
        require(0 < self.train_fraction <= 1, f"train_fraction={self.train_fraction}: choose above 0, at most 1.")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that a run folder's `config.json` holds."""

    mode: str
    networks: dict[str, NetworkConfig]              # role -> NetworkConfig; a serial run holds its teacher's too
    training: TrainingConfig
    distillation: DistillationConfig | None = None  # None for mode=teacher
    train_data_pattern: str = ""
    validation_data_pattern: str = ""
    teacher_dir: str = ""
    train_files: str = ""                           # fingerprints: a run goes on with the same files and teacher only
    teacher_weights: str = ""

    def __post_init__(self):
        check_types(self)
        one_of("mode", self.mode, MODES)
        roles = {schema.TEACHER} if self.mode == "teacher" else {schema.TEACHER, schema.STUDENT}
        require(set(self.networks) == roles, f"mode={self.mode} has the networks {', '.join(sorted(roles))}. "
                f"Received: {', '.join(sorted(self.networks))}.")
        require((self.distillation is None) == (self.mode == "teacher"), f"mode={self.mode}: a teacher has no "
                "distillation settings, a student needs them.")
        if self.mode != "teacher":
            _check_pair(self.networks[schema.TEACHER], self.networks[schema.STUDENT])
        if self.mode == "parallel":
            _check_parallel(self.distillation)

    @property
    def main_role(self):
        """The network that the run is about: the student where there is one."""
        return schema.STUDENT if schema.STUDENT in self.networks else schema.TEACHER

    @property
    def trained_roles(self):
        return (schema.STUDENT,) if self.mode == "serial" else tuple(sorted(self.networks))


def _check_pair(teacher, student):
    """Same family, same data, same shape of encoding and classifier: nothing else can be matched or shared."""
    require(not teacher.is_video_level, f"model={teacher.model} reads video-level files; distillation is over frames.")
    for name in ("model", "num_classes", "features", "classifier", "moe_num_mixtures", "lstm_cells", "lstm_layers"):
        ours, theirs = getattr(student, name), getattr(teacher, name)
        require(ours == theirs, f"{name}={ours!r} for the student and {theirs!r} for the teacher: "
                "distillation is between networks of one family and size.")


def _check_parallel(distillation):
    require(not distillation.freeze_classifier, "freeze_classifier in mode=parallel would leave the classifier "
            "untrained: it freezes a trained teacher's layer, so it needs mode=serial.")
    require(distillation.share_classifier or distillation.trains_classifier,
            "student_loss=rep without share_classifier in mode=parallel would leave the student's classifier "
            "untrained; share it, or add pred or ce.")


def to_json(config):
    """A RunConfig as text. Tuples become lists; `from_json` gives the same RunConfig back."""
    return json.dumps({"format": FORMAT, **dataclasses.asdict(config)}, indent=2) + "\n"


def from_json(text):
    """The RunConfig that `to_json` wrote. A field that is not there takes its default.

    Raises:
        ValueError: if the text is no such configuration, names a field unknown here, or fails a check.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}.") from error
    require(isinstance(values, dict) and values.pop("format", None) == FORMAT,
            f"not a run configuration of this version (expected \"format\": {FORMAT}).")
    return _read(RunConfig, values)


def _read(kind, value):
    """A JSON value with configurations wherever the annotation `kind` asks for them; the rest is theirs to check."""
    if not isinstance(value, dict):
        return value
    options = typing.get_args(kind)
    if typing.get_origin(kind) is dict:
        return {key: _read(options[1], item) for key, item in value.items()}
    classes = [option for option in options or (kind,) if dataclasses.is_dataclass(option)]
    return _build(classes[0], value) if classes else value


def _build(cls, values):
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(values.keys() - fields.keys())
    require(not unknown, f"{cls.__name__} has no field {', '.join(unknown)}.")
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in values]
    require(not missing, f"{cls.__name__} lacks {', '.join(missing)}.")
    return cls(**{name: _read(fields[name].type, value) for name, value in values.items()})
