"""Flags that several commands share, in groups, and the settings they stand for.

Names, types and meanings are those of the starter code and of the authors' releases. A flag that is not given takes the
published value of the model, or in serial training the value of the teacher.
"""

from typing import Any

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.cli import setting_flags
from youtube8m_distill.config.video import FrameSelection
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS
GROUPS = {}  # title -> names of flags, in the order of --helpshort


def _group(title, *definitions):
    """Defines flags as one group. A definition: (define, name, default, help, *more)."""
    GROUPS[title] = []
    for define, name, *arguments in definitions:
        define(name, *arguments)
        GROUPS[title].append(name)


def define_files(title, *patterns):
    _group(title, *[(flags.DEFINE_string, name, "", text) for name, text in patterns])


def define_exclusions():
    """--exclude_records, beside the flags that name files."""
    flags.DEFINE_string("exclude_records", "", "CSV of records to skip, as `yt8m check` writes it.")
    GROUPS["Data"].append("exclude_records")


def exclusions():
    """The entries of the list in --exclude_records. Loads TensorFlow.

    Raises:
        SettingError: if it is not an exclusion list.
    """
    from youtube8m_distill.data.exclusions import read_exclusions

    return read_exclusions(FLAGS.exclude_records) if FLAGS.exclude_records else ()


def define_run():
    _group(
        "Devices",
        (flags.DEFINE_integer, "num_gpu", None, "Number of GPUs to use. Default: all; without a GPU, the CPU."),
        (flags.DEFINE_boolean, "log_device_placement", False, "Print the device of every TensorFlow operation."),
    )


def define_network():
    _group(
        "Network",
        (flags.DEFINE_enum, "model", "HierarchicalLstmModel", configs.MODELS, "Network family."),
        (
            flags.DEFINE_enum,
            "video_level_classifier_model",
            None,
            configs.CLASSIFIER_MODELS,
            "Classifier on top of a frame-level encoder. Default: LogisticModel for NeXtVLADModel, its mixtures and "
            "FrameLevelLogisticModel, otherwise MoeModel.",
        ),
        (
            flags.DEFINE_integer,
            "num_classes",
            None,
            "Classes of the data set: 3862 in 2018 and later (the default), 4716 in 2017.",
        ),
        (
            flags.DEFINE_list,
            "feature_names",
            None,
            "Features to read, comma-separated. Default: rgb,audio; for video-level models mean_rgb,mean_audio.",
        ),
        (flags.DEFINE_list, "feature_sizes", None, "Sizes of these features. Default: 1024,128."),
        (
            flags.DEFINE_boolean,
            "frame_features",
            None,
            "Whether the files are frame-level. Follows from --model; accepted for compatibility with the starter code.",
        ),
        (
            flags.DEFINE_string,
            "pca_eigenvalues",
            "",
            "The file eigenvals.npy of the feature extractor's PCA. NeXtVLADModel and its mixtures then reverse the "
            "whitening of the frames, as published, instead of normalizing each frame.",
        ),
        (
            flags.DEFINE_string,
            "init_from",
            "",
            "Training directory whose best weights a new run starts from: all of them, or only the encoder's if the "
            "classifiers differ.",
        ),
    )
    groups = setting_flags.define_family_groups()
    flags.DEFINE_alias("drop_rate", "dropout")
    GROUPS["Network"] += [*setting_flags.COMMON_FIELDS, "drop_rate"]
    GROUPS["Classifiers"] = setting_flags.define_classifiers()
    GROUPS.update(groups)
    flags.DEFINE_integer(
        "student_frames_per_block", None, "Block length of an H-RNN student. Default: 5 if that divides k, otherwise 3."
    )
    next(names for names in groups.values() if setting_flags.FRAMES_PER_BLOCK in names).append("student_frames_per_block")


def define_frames(
    title="Frames that the network sees; with --mode=serial or parallel, the student",
    default="all with --mode=teacher, otherwise uniform; uniform if --frames_per_video is given, strided if --every_n is",
):
    _group(
        title,
        (
            flags.DEFINE_enum,
            "frame_selection",
            None,
            configs.FRAME_SELECTIONS,
            f"Which frames of a video. Default: {default}.",
        ),
        (
            flags.DEFINE_integer,
            "frames_per_video",
            None,
            "k, the number of frames, for all selections but all and strided. Default: 30.",
        ),
        (flags.DEFINE_integer, "every_n", None, "Every n-th frame, for --frame_selection=strided."),
    )


def define_distillation():
    _group(
        "Distillation",
        (
            flags.DEFINE_enum,
            "mode",
            "teacher",
            configs.MODES,
            "teacher: train one network, a teacher or a baseline; serial: train a student of a trained teacher; parallel: "
            "train both together.",
        ),
        (flags.DEFINE_string, "teacher_dir", "", "Training directory of the teacher (serial)."),
        (
            flags.DEFINE_string,
            "teacher_targets_dir",
            "",
            "Folder for the teacher's targets (serial). They are computed once, and any number of students read them "
            "instead of running the teacher.",
        ),
        (
            flags.DEFINE_enum,
            "student_model",
            None,
            configs.MODELS,
            "Network family of the student. Default: the teacher's. A mixture can also teach the kind of network it "
            "consists of, with --student_loss=pred,ce.",
        ),
    )
    GROUPS["Distillation"] += setting_flags.define_all(configs.DistillationConfig)


def define_training():
    """All of TrainingConfig, in three groups: the recipe, what the run's folder holds, and how files are read."""
    names = setting_flags.define_all(configs.TrainingConfig)
    of_folder, of_data = ("checkpoint_steps", "validation_steps", "max_to_keep"), ("num_readers",)
    GROUPS["Folder"] += of_folder
    GROUPS["Data"] += of_data
    title = "Training (defaults of the H-RNN; other families have their own, printed when a run starts)"
    GROUPS[title] = [name for name in names if name not in of_folder + of_data]
    flags.DEFINE_enum("label_loss", "CrossEntropyLoss", ["CrossEntropyLoss"], "Loss between predictions and labels, L_CE.")
    GROUPS[title].append("label_loss")


def define_training_folder():
    _group(
        "Folder",
        (
            flags.DEFINE_string,
            "train_dir",
            "/tmp/yt8m_model/",
            "Folder for checkpoints, config.json and logs. A run that is there is resumed.",
        ),
        (
            flags.DEFINE_boolean,
            "start_new_model",
            False,
            "Replace the run in --train_dir. A folder that holds anything else is never touched.",
        ),
    )


def define_trained_network():
    _group(
        "Network to use",
        (flags.DEFINE_string, "train_dir", "", "Training directory of the network."),
        (
            flags.DEFINE_enum,
            "network",
            None,
            [schema.TEACHER, schema.STUDENT],
            "Which network of the run. Default: the student if there is one.",
        ),
        (
            flags.DEFINE_string,
            "checkpoint",
            None,
            "best, last, or a step. Default: best; the newest when yt8m eval follows a training.",
        ),
        (
            flags.DEFINE_integer,
            "batch_size",
            None,
            "Videos per batch, over all GPUs together. Default: depends on the frames that the network sees; per GPU 128 "
            "videos of 300 frames, 1,024 of 37 frames or fewer.",
            1,
        ),
        (
            flags.DEFINE_boolean,
            "mixed_precision",
            None,
            "Compute the encoder in bfloat16; classifier and scores stay float32. Default: as in training.",
        ),
    )


def define_top_k():
    flags.DEFINE_integer("top_k", schema.TOP_K, "Number of best classes of each video to keep.", 1)
    GROUPS.setdefault("Output", []).append("top_k")


class _Refused(flags.ArgumentParser):
    """Refuses every value of a flag of the starter code that is not supported, with the reason."""

    def __init__(self, reason):
        super().__init__()
        self.reason = reason

    def parse(self, argument):
        raise ValueError(self.reason)


def define_refused(**reasons):
    for name, reason in reasons.items():
        # Boolean, so that `--name` alone is refused too, and does not consume the next argument.
        flags.DEFINE_flag(flags.Flag(_Refused(reason), None, name, None, "Not supported: " + reason, boolean=True))


READERS = "files are read one after the other; only training reads several at a time"
SEGMENTS = "segment-level labels are not in this version; train and predict on whole videos"


def feature_config() -> configs.FeatureConfig:
    """FeatureConfig from the flags; names and sizes that are not given are those the model reads."""
    video_level = configs.FAMILY_OF[FLAGS.model].is_video_level
    if FLAGS.frame_features is not None and FLAGS.frame_features == video_level:
        raise SettingError(
            "frame_features", f"{FLAGS.model} reads {'video' if video_level else 'frame'}-level files.", FLAGS.frame_features
        )
    names = FLAGS.feature_names or (schema.VIDEO_FEATURES if video_level else schema.FRAME_FEATURES)
    names = [name.strip() for name in names]
    return configs.FeatureConfig(
        names=tuple(names),
        sizes=_feature_sizes(names),
        frame_features=not video_level,
        dtype="float32" if video_level else "uint8",
    )


def _feature_sizes(names):
    if FLAGS.feature_sizes is not None:
        try:
            return tuple(int(size) for size in FLAGS.feature_sizes)
        except ValueError:
            raise SettingError("feature_sizes", "give whole numbers.", ",".join(FLAGS.feature_sizes)) from None
    unknown = [name for name in names if name not in schema.FEATURE_SIZES]
    if unknown:
        raise SettingError(
            "feature_sizes", f"is needed for {', '.join(unknown)}; known are {', '.join(schema.FEATURE_SIZES)}."
        )
    return tuple(schema.FEATURE_SIZES[name] for name in names)


def frame_view(default_selection: FrameSelection) -> configs.FrameView:
    """FrameView from --frame_selection, --frames_per_video and --every_n."""
    selection = FLAGS.frame_selection
    if selection is None and FLAGS.every_n is not None:
        selection = "strided"
    if selection is None and FLAGS.frames_per_video is not None:
        selection = "uniform"
    selection = selection or default_selection
    k = FLAGS.frames_per_video
    if k is None and selection not in ("all", "strided"):
        k = 30
    return configs.FrameView(frame_selection=selection, frames_per_video=k, every_n=FLAGS.every_n)


def given(*names: str) -> dict[str, Any]:
    """The named flags that were given, as a dict name -> value."""
    return {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}


def require_given(*names: str) -> None:
    """Refuses a command line without one of these flags.

    Raises:
        SettingError: naming the first that is missing.
    """
    for name in names:
        if not FLAGS[name].value:
            raise SettingError(name, "is missing; see --helpshort.")
