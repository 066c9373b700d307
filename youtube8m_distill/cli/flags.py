"""Command-line flags by group, and the way from flags to configurations.

Names, types and meanings are the starter code's and the authors' where they still have one. A flag that is not given
takes the model's published recipe, or in serial training the teacher's value.
"""

import re
import sys

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.cli import setting_flags
from youtube8m_distill.data.exclusions import read_exclusions
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS
GROUPS = {}  # title -> names, in the order in which --helpshort prints them


def _group(title, *definitions):
    """Defines flags and notes them under a title. A definition: (define, name, default, help, *more)."""
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
    """The entries of the list in --exclude_records.

    Raises:
        SettingError: if it is not an exclusion list.
    """
    return read_exclusions(FLAGS.exclude_records) if FLAGS.exclude_records else ()


def define_run():
    _group(
        "Devices",
        (flags.DEFINE_integer, "num_gpu", None, "GPUs to use; all there are if not given, the CPU if there is none."),
        (flags.DEFINE_boolean, "log_device_placement", False, "Print the device of every operation."),
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
        (flags.DEFINE_list, "feature_sizes", None, "Their sizes. Default: 1024,128."),
        (
            flags.DEFINE_boolean,
            "frame_features",
            None,
            "Whether files are frame-level (SequenceExample). Follows from --model.",
        ),
        (
            flags.DEFINE_string,
            "pca_eigenvalues",
            "",
            "File eigenvals.npy of the feature extractor's PCA: NeXtVLADModel "
            "and its mixtures then reverse the whitening of the frames, as published, instead of normalizing them.",
        ),
        (
            flags.DEFINE_string,
            "init_from",
            "",
            "Training directory whose best weights a new run starts from: all of "
            "them, or the encoder's where the classifiers differ.",
        ),
    )
    groups = setting_flags.define_family_groups()
    flags.DEFINE_alias("drop_rate", "dropout")
    GROUPS["Network"] += [*setting_flags.COMMON_FIELDS, "drop_rate"]
    GROUPS["Classifiers"] = setting_flags.define_classifiers()
    GROUPS.update(groups)
    flags.DEFINE_integer(
        "student_frames_per_block", None, "Block length of the H-RNN student. Default: 5 if that divides k, otherwise 3."
    )
    next(names for names in groups.values() if setting_flags.FRAMES_PER_BLOCK in names).append("student_frames_per_block")


def define_frames(
    title="Frames that the network sees (in serial and parallel mode: the student)",
    default="all in mode=teacher, uniform otherwise",
):
    _group(
        title,
        (
            flags.DEFINE_enum,
            "frame_selection",
            None,
            configs.FRAME_SELECTIONS,
            f"Default: {default}; strided where --every_n is given.",
        ),
        (flags.DEFINE_integer, "frames_per_video", None, "k, for every selection but all and strided. Default: 30."),
        (flags.DEFINE_integer, "every_n", None, "Stride of --frame_selection=strided."),
    )


def define_distillation():
    _group(
        "Distillation",
        (
            flags.DEFINE_enum,
            "mode",
            "teacher",
            configs.MODES,
            "teacher: one network (teacher or baseline); serial: student of a trained teacher; parallel: both together.",
        ),
        (flags.DEFINE_string, "teacher_dir", "", "Training directory of the teacher (serial)."),
        (
            flags.DEFINE_string,
            "teacher_targets_dir",
            "",
            "Folder for the teacher's targets (serial): computed once, then read in its place, by any number of students.",
        ),
        (
            flags.DEFINE_enum,
            "student_model",
            None,
            configs.MODELS,
            "Network family of the student. Default: the "
            "teacher's; of a mixture also what it is made of, with --student_loss=pred,ce.",
        ),
    )
    GROUPS["Distillation"] += setting_flags.define_all(configs.DistillationConfig)


def define_training():
    """All of TrainingConfig, in three groups: the recipe, what a run's folder holds, and how files are read."""
    names = setting_flags.define_all(configs.TrainingConfig)
    of_folder, of_data = ("checkpoint_steps", "validation_steps", "max_to_keep"), ("num_readers",)
    GROUPS["Folder"] += of_folder
    GROUPS["Data"] += of_data
    title = "Training (defaults: the H-RNN's; other families have their own, printed when a run starts)"
    GROUPS[title] = [name for name in names if name not in of_folder + of_data]
    flags.DEFINE_enum("label_loss", "CrossEntropyLoss", ["CrossEntropyLoss"], "L_CE.")
    GROUPS[title].append("label_loss")


def define_training_folder():
    _group(
        "Folder",
        (
            flags.DEFINE_string,
            "train_dir",
            "/tmp/yt8m_model/",
            "Where checkpoints, config.json and logs go. A run there is resumed.",
        ),
        (
            flags.DEFINE_boolean,
            "start_new_model",
            False,
            "Replace the run in --train_dir. A folder that holds something else is never touched.",
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
            "Which network of the run; the student where there is one.",
        ),
        (
            flags.DEFINE_string,
            "checkpoint",
            None,
            "best, last, or a step. Default: best; where eval.py follows a training, the newest.",
        ),
        (
            flags.DEFINE_integer,
            "batch_size",
            None,
            "Videos at a time, over all GPUs together. Default: by the frames "
            "that the network sees, on each GPU 128 videos of 300 frames, 1,024 of 37 and fewer.",
            1,
        ),
        (
            flags.DEFINE_boolean,
            "mixed_precision",
            None,
            "Compute the encoder in bfloat16; classifier and scores stay float32. Default: as the network was trained.",
        ),
    )


def define_top_k():
    flags.DEFINE_integer("top_k", schema.TOP_K, "Best classes of each video that count.", 1)
    GROUPS.setdefault("Output", []).append("top_k")


class _Refused(flags.ArgumentParser):
    """A flag that is known and cannot be served: setting it is an error with a reason, never ignored."""

    def __init__(self, reason):
        super().__init__()
        self.reason = reason

    def parse(self, argument):
        raise ValueError(self.reason)


def define_refused(**reasons):
    for name, reason in reasons.items():
        # boolean: `--name` alone is refused too, and does not swallow the argument after it.
        flags.DEFINE_flag(flags.Flag(_Refused(reason), None, name, None, "Not served: " + reason, boolean=True))


READERS = "files are read in their order, one after the other; only training reads several at a time"
SEGMENTS = "segment-level labels are not in this version; train and predict on whole videos"


def feature_config():
    """FeatureConfig from the flags: names and sizes given, or the recipe of the model."""
    video_level = configs.FAMILY_OF[FLAGS.model].is_video_level
    if FLAGS.frame_features is not None and FLAGS.frame_features == video_level:
        raise SettingError(
            "frame_features", f"{FLAGS.model} reads {'video' if video_level else 'frame'}-level files.", FLAGS.frame_features
        )
    names = FLAGS.feature_names or (schema.VIDEO_FEATURES if video_level else schema.FRAME_FEATURES)
    names = [name.strip() for name in names]
    return configs.FeatureConfig(tuple(names), _feature_sizes(names), not video_level, "float32" if video_level else "uint8")


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


def frame_view(default_selection):
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
    return configs.FrameView(selection, k, FLAGS.every_n)


def given(*names):
    """Those of the named flags that were given, as a dict."""
    return {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}


def warn(line):
    """Prints a line to standard error, if there is one."""
    if line:
        print(line, file=sys.stderr, flush=True)


def flag_of(message):
    """A message, or an error's, with `--` in front where it is about a flag."""
    if isinstance(message, SettingError):
        return f"--{message}" if message.name in FLAGS else str(message)
    message = str(message)
    match = re.match(r"(\w+)( is | in | has | asks |=)", message)
    return f"--{message}" if match and match[1] in FLAGS else message
