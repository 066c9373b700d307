"""From the flags of train.py to the RunConfig that they ask for."""

import dataclasses
import pathlib

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill import runs, schema
from youtube8m_distill.cli import flags as our_flags

FLAGS = flags.FLAGS

NETWORK_FLAGS = ("num_classes", "lstm_cells", "lstm_layers", "moe_num_mixtures", "dropout")
TRAINING_FLAGS = ("batch_size", "num_epochs", "finetune_epochs", "max_steps", "optimizer", "base_learning_rate",
                  "learning_rate_decay", "learning_rate_decay_examples", "regularization_penalty", "clip_gradient_norm",
                  "seed", "mixed_precision", "train_fraction", "num_readers", "checkpoint_steps",
                  "validation_steps", "max_to_keep")


# What a model's training starts from where TrainingConfig's defaults, the H-RNN's, are not its own: the starter code's.
RECIPES = {name: {"batch_size": 1024, "base_learning_rate": 0.01, "regularization_penalty": 1.0}
           for name in configs.VIDEO_LEVEL_MODELS}


def config_from_flags():
    """The RunConfig that the command line asks for.

    Raises:
        ValueError, FileNotFoundError: beginning with the name of the flag that is to blame.
    """
    if not FLAGS.train_data_pattern:
        raise ValueError("train_data_pattern is missing: give the training files, as in "
                         "--train_data_pattern='yt8m/train*.tfrecord'.")
    _refuse_flags_without_effect()
    _refuse_settings_of_absent_terms()
    distillation = None
    if FLAGS.mode == "teacher":
        networks = {schema.TEACHER: _new_network(_frames("all"))}
    else:
        teacher = _trained_teacher() if FLAGS.mode == "serial" else _new_network(configs.FrameConfig())
        networks = {schema.TEACHER: teacher, schema.STUDENT: _student_of(teacher)}
        names = [field.name for field in dataclasses.fields(configs.DistillationConfig)]
        distillation = configs.DistillationConfig(**our_flags.given(*names))
    recipe = RECIPES.get(FLAGS.model, {})
    training = configs.TrainingConfig(**{**recipe, **our_flags.given(*TRAINING_FLAGS)})
    return configs.RunConfig(FLAGS.mode, networks, training,
                             distillation, FLAGS.train_data_pattern, FLAGS.validation_data_pattern, FLAGS.teacher_dir)


def _refuse_flags_without_effect():
    """A flag that this mode would not read is a misunderstanding, so it is an error."""
    without_effect = {
        "teacher": [field.name for field in dataclasses.fields(configs.DistillationConfig)]
        + ["teacher_dir", "student_frames_per_block", "finetune_epochs"],
        "serial": ["frames_per_block", "frame_features"],
        "parallel": ["teacher_dir", "finetune_epochs"],
    }[FLAGS.mode]
    for name in without_effect:
        if FLAGS[name].present:
            raise ValueError(f"{name} has no effect with --mode={FLAGS.mode}; leave it out"
                             + (", or give --mode=serial or --mode=parallel." if FLAGS.mode == "teacher" else "."))


def _refuse_settings_of_absent_terms():
    """The same for settings of a loss term, a stage or a layer that the other flags do not ask for."""
    terms = FLAGS.student_loss
    classifier = FLAGS.video_level_classifier_model or "MoeModel"
    needed_for = {
        "rep_weight": ("--student_loss has rep", "rep" in terms),
        "pred_weight": ("--student_loss has pred", "pred" in terms),
        "prediction_distance": ("--student_loss has pred", "pred" in terms),
        "ce_weight": ("--student_loss has ce", "ce" in terms),
        "intermediate_weight": ("--match_intermediate is set", FLAGS.match_intermediate),
        "intermediate_reduction": ("--match_intermediate is set", FLAGS.match_intermediate),
        "finetune_epochs": ("--student_loss=rep", terms == ["rep"]),
        "moe_num_mixtures": ("the classifier is MoeModel", "MoeModel" in (FLAGS.model, classifier)
                             and FLAGS.model != "LogisticModel"),
    }
    for name, (condition, holds) in needed_for.items():
        if FLAGS[name].present and not holds:
            raise ValueError(f"{name} has an effect only where {condition}; leave it out, or change that.")


def _new_network(frames):
    features = our_flags.feature_config()
    if features.frame_features:
        dtype = runs.stored_dtype("train_data_pattern", FLAGS.train_data_pattern, features.names)
        features = dataclasses.replace(features, dtype=dtype)
    options = our_flags.given(*NETWORK_FLAGS)
    if FLAGS.video_level_classifier_model is not None:
        options["classifier"] = FLAGS.video_level_classifier_model
    return configs.NetworkConfig(FLAGS.model, features=features, frames=frames,
                                 frames_per_block=FLAGS.frames_per_block, **options)


def _frames(default_selection):
    """None for a video-level model, which takes no frame selection."""
    if FLAGS.model not in configs.VIDEO_LEVEL_MODELS:
        return our_flags.frame_config(default_selection)
    for name in ("frame_selection", "frames_per_video", "every_n", "frames_per_block", "lstm_cells", "lstm_layers",
                 "dropout", "video_level_classifier_model"):
        if FLAGS[name].present:
            raise ValueError(f"{name} has no effect with --model={FLAGS.model}, which sees the video's mean.")
    return None


def _trained_teacher():
    """The network in --teacher_dir, refused where other flags ask for another one."""
    if not FLAGS.teacher_dir:
        raise ValueError("teacher_dir is missing: --mode=serial needs the training directory of a trained teacher.")
    if pathlib.Path(FLAGS.teacher_dir).resolve() == pathlib.Path(FLAGS.train_dir).resolve():
        raise ValueError(f"teacher_dir={FLAGS.teacher_dir} is --train_dir too: the student needs a folder of its own.")
    try:
        run = runs.open_run(FLAGS.teacher_dir)
        run.weights_folder()
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"teacher_dir={FLAGS.teacher_dir}: {error}") from error
    teacher = run.config.networks[run.config.main_role]
    asked = our_flags.given(*NETWORK_FLAGS[:-1])
    if FLAGS["model"].present:
        asked["model"] = FLAGS.model
    if FLAGS.video_level_classifier_model is not None:
        asked["classifier"] = FLAGS.video_level_classifier_model
    if FLAGS.feature_names is not None or FLAGS.feature_sizes is not None:
        asked["features"] = dataclasses.replace(our_flags.feature_config(), dtype=teacher.features.dtype)
    for name, value in asked.items():
        if getattr(teacher, name) != value:
            flag = {"classifier": "video_level_classifier_model", "features": "feature_names"}.get(name, name)
            raise ValueError(f"{flag} asks for {_shown(value)}, and the teacher in {FLAGS.teacher_dir} has "
                             f"{_shown(getattr(teacher, name))}: distillation is between networks of one family and size.")
    return teacher


def _shown(value):
    """A setting as a user writes it: features by name and size."""
    if isinstance(value, configs.FeatureConfig):
        return f"{','.join(value.names)} with feature_sizes={','.join(map(str, value.sizes))}"
    return str(value)


def _student_of(teacher):
    return dataclasses.replace(teacher, frames=our_flags.frame_config("uniform"),
                               frames_per_block=FLAGS.student_frames_per_block, **our_flags.given("dropout"))
