"""From the flags of train.py to the RunConfig that they ask for."""

import dataclasses
import pathlib

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill import runs, schema
from youtube8m_distill.cli import flags as our_flags

FLAGS = flags.FLAGS

NETWORK_FLAGS = ("num_classes",
                 *(name for name in configs.SETTINGS if name not in ("reverse_whitening", "frames_per_block")))
TRAINING_FLAGS = ("batch_size", "num_epochs", "finetune_epochs", "max_steps", "optimizer", "base_learning_rate",
                  "learning_rate_decay", "learning_rate_decay_examples", "regularization_penalty", "clip_gradient_norm",
                  "seed", "mixed_precision", "train_fraction", "num_readers", "checkpoint_steps",
                  "validation_steps", "max_to_keep", "skip_bad_records", "max_bad_fraction")


def config_from_flags():
    """The RunConfig that the command line asks for.

    Raises:
        ValueError, FileNotFoundError: beginning with the name of the flag that is to blame.
    """
    if not FLAGS.train_data_pattern:
        raise ValueError("train_data_pattern is missing: give the training files, as in "
                         "--train_data_pattern='yt8m/train*.tfrecord'.")
    _refuse_flags_without_effect()
    _refuse_settings_of_absent_terms(FLAGS.student_loss)
    our_flags.skipping()
    if FLAGS.init_from and _same_folder(FLAGS.init_from, FLAGS.train_dir):
        raise ValueError(f"init_from={FLAGS.init_from} is --train_dir too: a new run needs a folder of its own.")
    distillation = None
    if FLAGS.mode == "teacher":
        networks = {schema.TEACHER: _new_network(_frames("all"))}
    else:
        teacher = _trained_teacher() if FLAGS.mode == "serial" else _new_network(configs.FrameConfig())
        networks = {schema.TEACHER: teacher, schema.STUDENT: _student_of(teacher)}
        distillation = _distillation(networks)
    model = networks[schema.STUDENT if distillation else schema.TEACHER].model
    training = configs.TrainingConfig(**{**configs.published_training(model), **our_flags.given(*TRAINING_FLAGS)})
    return configs.RunConfig(FLAGS.mode, networks, training, distillation, FLAGS.train_data_pattern,
                             FLAGS.validation_data_pattern, FLAGS.teacher_dir, FLAGS.pca_eigenvalues, FLAGS.init_from,
                             FLAGS.teacher_targets_dir)


def _refuse_flags_without_effect():
    """A flag that this mode would not read is a misunderstanding, so it is an error."""
    without_effect = {
        "teacher": [field.name for field in dataclasses.fields(configs.DistillationConfig)]
        + ["teacher_dir", "teacher_targets_dir", "student_model", "student_frames_per_block", "finetune_epochs"],
        "serial": ["frames_per_block", "frame_features", "pca_eigenvalues"],
        "parallel": ["teacher_dir", "teacher_targets_dir", "finetune_epochs"],
    }[FLAGS.mode]
    for name in without_effect:
        if FLAGS[name].present:
            raise ValueError(f"{name} has no effect with --mode={FLAGS.mode}; leave it out"
                             + (", or give --mode=serial or --mode=parallel." if FLAGS.mode == "teacher" else "."))


def _refuse_settings_of_absent_terms(terms):
    """The same for settings of a loss term or a stage that is not asked for. `terms`: of the student's loss."""
    needed_for = {
        "rep_weight": ("--student_loss has rep", "rep" in terms),
        "pred_weight": ("--student_loss has pred", "pred" in terms),
        "prediction_distance": ("--student_loss has pred", "pred" in terms),
        "ce_weight": ("--student_loss has ce", "ce" in terms),
        "intermediate_weight": ("--match_intermediate is set", FLAGS.match_intermediate),
        "intermediate_reduction": ("--match_intermediate is set", FLAGS.match_intermediate),
        "finetune_epochs": ("--student_loss=rep", terms == ["rep"]),
    }
    for name, (condition, holds) in needed_for.items():
        if FLAGS[name].present and not holds:
            raise ValueError(f"{name} has an effect only where {condition}; leave it out, or change that.")


def _distillation(networks):
    """DistillationConfig from the flags. Between a mixture and one network there is less to match, and nothing to share."""
    names = [field.name for field in dataclasses.fields(configs.DistillationConfig)]
    options = our_flags.given(*names)
    if networks[schema.STUDENT].model != networks[schema.TEACHER].model:
        defaults = {"student_loss": ["pred", "ce"], "share_classifier": False}
        options.update({name: value for name, value in defaults.items() if not FLAGS[name].present})
        _refuse_settings_of_absent_terms(options["student_loss"])
    return configs.DistillationConfig(**options)


def _new_network(frames):
    if FLAGS.mode == "parallel" and FLAGS.model in configs.VIDEO_LEVEL_MODELS:
        raise ValueError(f"model={FLAGS.model} reads video-level files; distillation is over frames, so choose another "
                         "model, or leave --mode=parallel out.")
    features = our_flags.feature_config()
    if features.frame_features:
        dtype = runs.stored_dtype("train_data_pattern", FLAGS.train_data_pattern, features.names,
                                  FLAGS.skip_bad_records)
        features = dataclasses.replace(features, dtype=dtype)
    options = our_flags.given(*NETWORK_FLAGS, "frames_per_block")
    network = configs.NetworkConfig(FLAGS.model, features=features, frames=frames,
                                    classifier=FLAGS.video_level_classifier_model, **options)
    if network.reverse_whitening is None and FLAGS.pca_eigenvalues:
        raise ValueError(f"pca_eigenvalues has no effect with --model={FLAGS.model}, which normalises frames by length.")
    if network.reverse_whitening is None:
        return network
    whitened = bool(FLAGS.pca_eigenvalues) or runs.has_eigenvalues(FLAGS.init_from)
    return dataclasses.replace(network, reverse_whitening=whitened)


def _frames(default_selection):
    """None for a video-level model, which takes no frame selection."""
    if FLAGS.model not in configs.VIDEO_LEVEL_MODELS:
        return our_flags.frame_config(default_selection)
    for name in ("frame_selection", "frames_per_video", "every_n", "video_level_classifier_model"):
        if FLAGS[name].present:
            raise ValueError(f"{name} has no effect with --model={FLAGS.model}, which sees the video's mean.")
    return None


def _trained_teacher():
    """The network in --teacher_dir, refused where other flags ask for another one."""
    if not FLAGS.teacher_dir:
        raise ValueError("teacher_dir is missing: --mode=serial needs the training directory of a trained teacher.")
    if _same_folder(FLAGS.teacher_dir, FLAGS.train_dir):
        raise ValueError(f"teacher_dir={FLAGS.teacher_dir} is --train_dir too: the student needs a folder of its own.")
    try:
        run = runs.open_run(FLAGS.teacher_dir)
        run.weights_folder()
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"teacher_dir={FLAGS.teacher_dir}: {error}") from error
    teacher = run.config.networks[run.config.main_role]
    asked = our_flags.given(*(name for name in NETWORK_FLAGS if name not in configs.NOT_OF_THE_SHAPE))
    if FLAGS["model"].present:
        asked["model"] = FLAGS.model
    if FLAGS.video_level_classifier_model is not None:
        asked["classifier"] = FLAGS.video_level_classifier_model
    if FLAGS.feature_names is not None or FLAGS.feature_sizes is not None:
        asked["features"] = dataclasses.replace(our_flags.feature_config(), dtype=teacher.features.dtype)
    for name, value in asked.items():
        if getattr(teacher, name) != value:
            flag = {"classifier": "video_level_classifier_model", "features": "feature_names"}.get(name, name)
            hint = " Give --student_model for the student's." if name == "model" and teacher.is_mixture else ""
            raise ValueError(f"{flag} asks for {_shown(value)}, and the teacher in {FLAGS.teacher_dir} has "
                             f"{_shown(getattr(teacher, name))}: distillation is between networks of one family and size."
                             + hint)
    return teacher


def _same_folder(path, other):
    return pathlib.Path(path).resolve() == pathlib.Path(other).resolve()


def _shown(value):
    """A setting as a user writes it: features by name and size."""
    if isinstance(value, configs.FeatureConfig):
        return f"{','.join(value.names)} with feature_sizes={','.join(map(str, value.sizes))}"
    return "no such setting" if value is None else str(value)


def _student_of(teacher):
    """The teacher's network on the student's frames; or, of a mixture, the network that it is made of."""
    network = teacher
    while FLAGS.student_model is not None and network.model != FLAGS.student_model:
        if not network.is_mixture:
            raise ValueError(f"student_model={FLAGS.student_model}: the teacher is a {teacher.model}, and distillation is "
                             "within one family; a mixture may also teach a network of the kind that it is made of.")
        network = configs.member_config(network)
    if FLAGS.student_frames_per_block is not None and network.frames_per_block is None:
        raise ValueError(f"student_frames_per_block has no effect with model={network.model}; leave it out.")
    own = our_flags.given(*(name for name in NETWORK_FLAGS if name in configs.NOT_OF_THE_SHAPE))
    if FLAGS.mode == "parallel":        # there they are the teacher's too, which may have some that its member has not
        own = {name: value for name, value in own.items() if getattr(network, name) is not None}
    return dataclasses.replace(network, frames=our_flags.frame_config("uniform"),
                               frames_per_block=FLAGS.student_frames_per_block, **own)
