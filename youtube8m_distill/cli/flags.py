"""The flags of all commands, in the groups of --helpshort: written out, or made from the fields of settings.

Names, types and meanings are those of the starter code and of the authors' releases. The flag of a field is None if it is
not given: the setting then takes its default, which the help shows.
"""

import os
import pathlib
import types
import typing
from typing import Any

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.errors import written
from youtube8m_distill.settings import Settings, fields_with

FLAGS = flags.FLAGS
GROUPS: dict[str, list[str]] = {}  # title -> names of flags, in the order of --helpshort
KINDS = (*configs.FAMILY_OF.values(), *configs.CLASSIFIER_OF.values())
PUBLISHED = {model: configs.network_config(model).settings() for model in configs.MODELS}


class _PathParser(flags.ArgumentParser):
    """Expands a leading ~, which no shell does in --train_dir=~/x."""

    def parse(self, argument):
        return os.path.expanduser(argument)

    def flag_type(self):
        return "path"


class _IntegerParser(flags.IntegerParser):
    def convert(self, argument):
        try:
            return super().convert(argument)
        except ValueError:
            raise ValueError("is not a whole number") from None


class _FloatParser(flags.FloatParser):
    def convert(self, argument):
        try:
            return super().convert(argument)
        except ValueError:
            raise ValueError("is not a number") from None


def _define_with(parser):
    """A function that defines a flag whose values this class parses."""
    return lambda name, default, help, **bounds: flags.DEFINE(parser(**bounds), name, default, help)


DEFINE = {
    int: _define_with(_IntegerParser),
    float: _define_with(_FloatParser),
    bool: flags.DEFINE_boolean,
    str: flags.DEFINE_string,
    pathlib.Path: _define_with(_PathParser),
    tuple: flags.DEFINE_list,
}


class Flag(typing.NamedTuple):
    """The definition of a flag, without its name."""

    help: str
    type: Any = str  # a key of DEFINE, or a tuple of choices; a Path names one file or folder
    default: Any = ""  # for other types than text and paths, "" stands for None
    at_least: int | None = None


def define(title: str, **definitions: Flag) -> None:
    """Defines flags as a group of --helpshort, or adds them to one."""
    for name, flag in definitions.items():
        define_flag(name, flag)
    GROUPS.setdefault(title, []).extend(definitions)


def define_flag(name: str, flag: Flag) -> None:
    """Defines a flag that is in no group, so that the help does not show it."""
    default = None if flag.default == "" and flag.type not in (str, pathlib.Path) else flag.default
    if isinstance(flag.type, tuple):
        flags.DEFINE_enum(name, default, flag.type, flag.help)
    else:
        bounds = {} if flag.at_least is None else {"lower_bound": flag.at_least}
        DEFINE[flag.type](name, default, flag.help, **bounds)


def field(kind: type[Settings], name: str, defaults: dict[str, Any] | None = None) -> Flag:
    """The flag of a field of settings. Its help shows `defaults` (model -> default) or else the field's own."""
    described = kind.model_fields[name]
    annotation = described.annotation
    if isinstance(annotation, types.UnionType):  # as in `int | None`
        annotation = typing.get_args(annotation)[0]
    origin = typing.get_origin(annotation)
    choices = typing.get_args(annotation) if origin is typing.Literal else None
    shown = default_text(defaults or {"": described.default})
    kind_of_flag = pathlib.Path if name in fields_with(kind, is_path=True) else choices or origin or annotation
    return Flag(f"{described.description}{shown}", kind_of_flag, "" if described.default == "" else None)


def default_text(defaults: dict[str, Any]) -> str:
    """The default of each model in words, as in " Default: 8; 16 in MixNeXtVladModel."; the first model's comes first."""
    models = {}
    for model, default in defaults.items():
        models.setdefault(default, []).append(model)
    first, *others = models
    if first in (None, ""):
        return ""
    exceptions = "".join(f"; {written(default)} in {', '.join(models[default])}" for default in others)
    return f" Default: {written(first)}{exceptions}."


def fields(kind: type[Settings], *names: str) -> dict[str, Flag]:
    """The flags of these fields of settings; without names, of all that have one."""
    return {name: field(kind, name) for name in names or fields_with(kind, has_flag=True)}


def network_field(name: str) -> Flag:
    """The flag of a setting of families or of a classifier, with the default of each model in its help."""
    kind = next(kind for kind in KINDS if name in kind.model_fields)
    published = {model: settings[name] for model, settings in PUBLISHED.items() if name in settings}
    return field(kind, name, None if kind.model_fields[name].default is None else published)


def network_groups() -> dict[str, list[str]]:
    """Title -> settings of networks. A setting of several families is in the group of the first."""
    classifiers = [name for kind in configs.CLASSIFIER_OF.values() for name in fields_with(kind, has_flag=True)]
    groups, seen = {"Network": ["dropout"], "Classifiers": classifiers}, {"dropout"}
    for family in configs.FAMILY_OF.values():
        own = [name for name in fields_with(family, has_flag=True) if name not in seen]
        seen.update(own)
        if own:
            sharing = [model for model, settings in PUBLISHED.items() if set(own) & set(settings)]
            groups[", ".join(sharing)] = own
    return groups


EXCLUDE_RECORDS = fields(configs.RunConfig, "exclude_records")
READING = fields(configs.Reading)
ROLES, ROLE_HELP = (schema.TEACHER, schema.STUDENT), "Which network of the run. Default: the student if there is one."
NETWORK = {"network": Flag(ROLE_HELP, ROLES)}
TRAINED_NETWORK = {
    "train_dir": Flag("Training directory of the network.", pathlib.Path),
    **NETWORK,
    "checkpoint": Flag("best, last, or a step. Default: best; the newest when yt8m eval follows a training."),
    "batch_size": Flag(
        "Videos per batch, all GPUs together. Default: per GPU 128 of 300 frames, 1,024 of 37 or fewer.", int, at_least=1
    ),
    "mixed_precision": Flag("Compute the encoder in bfloat16, all else in float32. Default: as in training.", bool),
}
CHECKPOINT = {"checkpoint": Flag("best, last, or a step.", str, "best")}  # of commands that write the network elsewhere
VOCABULARY = {
    "vocabulary": Flag(
        "Class names: an official vocabulary CSV, AudioSet's, or a text file with one name per line.", pathlib.Path
    )
}
TOP_K = {"top_k": Flag("Number of best classes of each video to keep.", int, schema.TOP_K, at_least=1)}


def define_devices() -> None:
    define(
        "Devices",
        num_gpu=Flag("Number of GPUs to use. Default: all; without a GPU, the CPU.", int),
        log_device_placement=Flag("Print the device of every TensorFlow operation.", bool, False),
    )


def define_network() -> None:
    """The groups of the network, its classifier, and each family."""
    families = {model: family for model, family in configs.FAMILY_OF.items() if not family.is_video_level}
    published = {model: family.published_classifier for model, family in families.items()}
    classifier = f"Classifier on top of a frame-level encoder.{default_text(published)}"
    define(
        "Network",
        model=Flag("Network family. For video-level files: LogisticModel.", configs.MODELS, "HierarchicalLstmModel"),
        video_level_classifier_model=Flag(classifier, configs.CLASSIFIER_MODELS),
        num_classes=field(configs.NetworkConfig, "num_classes"),
        feature_names=Flag("Features to read. Default: rgb,audio; for video-level models mean_rgb,mean_audio.", tuple),
        feature_sizes=Flag("Sizes of these features. Default: 1024,128.", tuple),
        frame_features=Flag(
            "Whether files are frame-level. Follows from --model; kept for scripts of the starter code.", bool
        ),
        **fields(configs.RunConfig, "pca_eigenvalues", "init_from"),
    )
    student_block = Flag("Block length of an H-RNN student. Default: 5 if that divides k, otherwise 3.", int)
    for title, names in network_groups().items():
        define(title, **{name: network_field(name) for name in names})
        if "frames_per_block" in names:
            define(title, student_frames_per_block=student_block)
    flags.DEFINE_alias("drop_rate", "dropout")
    GROUPS["Network"].append("drop_rate")


def define_frames(title: str, default: str) -> None:
    """The flags that `frame_view` reads. `default` describes the default selection in the help."""
    define(
        title,
        frame_selection=field(configs.FrameView, "frame_selection", {"": default}),
        frames_per_video=field(configs.FrameView, "frames_per_video", {"": 30}),
        every_n=field(configs.FrameView, "every_n"),
        max_video_frames=field(configs.FrameView, "max_video_frames"),
    )


def define_distillation() -> None:
    mode = "teacher: one network, a teacher or a baseline; serial: a student of a trained teacher; parallel: both together."
    student = (
        "Network family of the student. With --mode=serial, flags of sizes are then the student's. Default: the teacher's "
        "family and sizes."
    )
    define(
        "Distillation",
        mode=Flag(mode, configs.MODES, "teacher"),
        **fields(configs.RunConfig, "teacher_dir", "teacher_targets_dir"),
        student_model=Flag(student, configs.MODELS),
        **fields(configs.DistillationConfig),
    )


def define_training() -> None:
    """All of TrainingConfig, in three groups: the recipe, what the run's folder holds, and how files are read."""
    recipe = fields(configs.TrainingConfig)
    of_folder = ("checkpoint_steps", "checkpoint_minutes", "validation_steps", "max_to_keep")
    define("Folder", **{name: recipe.pop(name) for name in of_folder})
    define("Data", num_readers=recipe.pop("num_readers"))
    title = "Training (defaults of the H-RNN; other families have their own, printed when a run starts)"
    define(title, **recipe)
