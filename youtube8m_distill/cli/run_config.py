"""From the flags of a training to the RunConfig that they ask for."""

import pathlib

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli import setting_flags
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS

NETWORK_FLAGS = setting_flags.network_flags()


def check_flags() -> None:
    """Refuses flags that are wrong whatever the files and the teacher are. Does not load TensorFlow.

    Raises:
        SettingError: naming the flag.
    """
    _refuse_flags_without_effect()
    _refuse_settings_of_absent_terms(FLAGS.student_loss or configs.STUDENT_LOSSES)
    for name, reason in (
        ("init_from", "is the same as --train_dir; a new run needs its own folder."),
        ("teacher_dir", "is the same as --train_dir; the student needs its own folder."),
    ):
        if FLAGS[name].value and _same_folder(FLAGS[name].value, FLAGS.train_dir):
            raise SettingError(name, reason, FLAGS[name].value)
    if FLAGS.mode != "serial":
        _run_config(_new_network())
        return
    if not FLAGS.teacher_dir:
        raise SettingError("teacher_dir", "is missing; --mode=serial needs the training directory of a trained teacher.")
    our_flags.frame_view("uniform")
    configs.TrainingConfig(**our_flags.given(*setting_flags.training_flags()))
    configs.DistillationConfig(**our_flags.given(*setting_flags.distillation_flags()))


def config_from_flags() -> configs.RunConfig:
    """The RunConfig that the command line asks for, after `check_flags`. Loads TensorFlow to read files.

    Raises:
        SettingError: naming the flag.
    """
    from youtube8m_distill import runs

    return _run_config(_trained_teacher(runs) if FLAGS.mode == "serial" else _as_stored(_new_network(), runs))


def _run_config(teacher):
    """The RunConfig of the flags with a teacher or, with --mode=teacher, the only network."""
    networks, distillation = {schema.TEACHER: teacher}, None
    if FLAGS.mode != "teacher":
        networks[schema.STUDENT] = _student_of(teacher)
        distillation = _distillation(networks)
    model = networks[schema.STUDENT if distillation else schema.TEACHER].model
    training = configs.TrainingConfig(
        **{**configs.FAMILY_OF[model].training, **our_flags.given(*setting_flags.training_flags())}
    )
    return configs.RunConfig(
        mode=FLAGS.mode,
        networks=networks,
        training=training,
        distillation=distillation,
        train_data_pattern=FLAGS.train_data_pattern,
        validation_data_pattern=FLAGS.validation_data_pattern,
        teacher_dir=FLAGS.teacher_dir,
        pca_eigenvalues=FLAGS.pca_eigenvalues,
        init_from=FLAGS.init_from,
        teacher_targets_dir=FLAGS.teacher_targets_dir,
        exclude_records=FLAGS.exclude_records,
    )


def _refuse_flags_without_effect():
    """Refuses flags that the mode does not use."""
    without_effect = {
        "teacher": [
            *setting_flags.distillation_flags(),
            "teacher_dir",
            "teacher_targets_dir",
            "student_model",
            "student_frames_per_block",
            "finetune_epochs",
        ],
        "serial": ["frames_per_block", "frame_features", "pca_eigenvalues"],
        "parallel": ["teacher_dir", "teacher_targets_dir", "finetune_epochs"],
    }[FLAGS.mode]
    for name in without_effect:
        if FLAGS[name].present:
            raise SettingError(
                name,
                f"has no effect with --mode={FLAGS.mode}; leave it out"
                + (", or choose --mode=serial or parallel." if FLAGS.mode == "teacher" else "."),
            )


def _refuse_settings_of_absent_terms(terms):
    """Refuses settings of terms that are not in the student's loss (`terms`), and of a stage that the run does not have."""
    needed_for = {
        "rep_weight": ("with rep in --student_loss", "rep" in terms),
        "pred_weight": ("with pred in --student_loss", "pred" in terms),
        "prediction_distance": ("with pred in --student_loss", "pred" in terms),
        "ce_weight": ("with ce in --student_loss", "ce" in terms),
        "intermediate_weight": ("with --match_intermediate", FLAGS.match_intermediate),
        "intermediate_reduction": ("with --match_intermediate", FLAGS.match_intermediate),
        "finetune_epochs": ("with --student_loss=rep", list(terms) == ["rep"]),
    }
    for name, (condition, holds) in needed_for.items():
        if FLAGS[name].present and not holds:
            raise SettingError(name, f"has an effect only {condition}; leave it out, or give that too.")


def _distillation(networks):
    """DistillationConfig from the flags. A mixture and a single network have no encoding or classifier in common."""
    options = our_flags.given(*setting_flags.distillation_flags())
    if networks[schema.STUDENT].model != networks[schema.TEACHER].model:
        defaults = {"student_loss": ("pred", "ce"), "share_classifier": False}
        options.update({name: value for name, value in defaults.items() if not FLAGS[name].present})
        _refuse_settings_of_absent_terms(options["student_loss"])
    return configs.DistillationConfig(**options)


def _new_network():
    """The network that the flags describe, for files in the official format."""
    family = configs.FAMILY_OF[FLAGS.model]
    if FLAGS.mode == "parallel" and family.is_video_level:
        raise SettingError(
            "model", "reads video-level files, and --mode=parallel selects frames; choose another model.", FLAGS.model
        )
    if FLAGS.pca_eigenvalues and "reverse_whitening" not in family.model_fields:
        raise SettingError(
            "pca_eigenvalues", f"has no effect with --model={FLAGS.model}, which normalizes frames by length."
        )
    options = our_flags.given(*NETWORK_FLAGS, setting_flags.FRAMES_PER_BLOCK)
    view = _view() if FLAGS.mode == "teacher" else configs.FrameView()
    return configs.network_config(
        FLAGS.model, features=our_flags.feature_config(), view=view, classifier=FLAGS.video_level_classifier_model, **options
    )


def _view():
    """FrameView of a network that is trained alone; None for a video-level model."""
    if not configs.FAMILY_OF[FLAGS.model].is_video_level:
        return our_flags.frame_view("all")
    for name in ("frame_selection", "frames_per_video", "every_n", "video_level_classifier_model"):
        if FLAGS[name].present:
            raise SettingError(name, f"has no effect with --model={FLAGS.model}, which sees the mean of all frames.")
    return None


def _as_stored(network, runs):
    """The network for the training files and eigenvalues as they are."""
    changes = {}
    if not network.is_video_level:
        names = network.features.names
        dtype = runs.stored_dtype("train_data_pattern", FLAGS.train_data_pattern, names, our_flags.exclusions())
        changes["features"] = network.features.replace(dtype=dtype)
    if "reverse_whitening" in network.settings():
        changes["reverse_whitening"] = bool(FLAGS.pca_eigenvalues) or runs.has_eigenvalues(FLAGS.init_from)
    return network.replace(**changes)


def _trained_teacher(runs):
    """The network in --teacher_dir; refuses flags that ask for another one."""
    try:
        run = runs.open_run(FLAGS.teacher_dir)
        run.weights_folder()
    except (FileNotFoundError, ValueError) as error:
        raise SettingError("teacher_dir", f"{error}", FLAGS.teacher_dir) from error
    teacher = run.config.networks[run.config.main_role]
    if teacher.is_video_level:
        raise SettingError(
            "teacher_dir", f"a {teacher.model} reads video-level files, and distillation selects frames.", FLAGS.teacher_dir
        )
    asked = our_flags.given(*(name for name in NETWORK_FLAGS if setting_flags.shapes_weights(name)))
    if FLAGS["model"].present:
        asked["model"] = FLAGS.model
    if FLAGS.video_level_classifier_model is not None:
        asked["video_level_classifier_model"] = FLAGS.video_level_classifier_model
    if FLAGS.feature_names is not None or FLAGS.feature_sizes is not None:
        asked["feature_names"] = our_flags.feature_config().replace(dtype=teacher.features.dtype)
    known = {
        **teacher.settings(),
        "num_classes": teacher.num_classes,
        "model": teacher.model,
        "video_level_classifier_model": teacher.classifier.model,
        "feature_names": teacher.features,
    }
    for flag, value in asked.items():
        if known.get(flag) != value:
            hint = " Give --student_model for the student's." if flag == "model" and teacher.is_mixture else ""
            raise SettingError(
                flag,
                f"the teacher in {FLAGS.teacher_dir} has {_shown(known.get(flag))}. Distillation is between networks of one "
                f"family and size.{hint}",
                _shown(value),
            )
    return teacher


def _same_folder(path, other):
    return pathlib.Path(path).resolve() == pathlib.Path(other).resolve()


def _shown(value):
    """A setting as a user writes it; features by name and size."""
    if isinstance(value, configs.FeatureConfig):
        return f"{','.join(value.names)} with feature_sizes={','.join(map(str, value.sizes))}"
    return "no such setting" if value is None else str(value)


def _student_of(teacher):
    """The teacher's network, or the member of a mixture with the model asked for, with the student's frames."""
    network = teacher
    while FLAGS.student_model is not None and network.model != FLAGS.student_model:
        if not network.is_mixture:
            raise SettingError(
                "student_model",
                f"the teacher is a {teacher.model}, and distillation is within one family; only a mixture can also teach "
                "the kind of network it consists of.",
                FLAGS.student_model,
            )
        network = network.member()
    follows = {"frames_per_block": FLAGS.student_frames_per_block}
    if setting_flags.FRAMES_PER_BLOCK not in network.settings():
        if FLAGS.student_frames_per_block is not None:
            raise SettingError("student_frames_per_block", f"has no effect with model={network.model}; leave it out.")
        follows = {}
    own = our_flags.given(*(name for name in NETWORK_FLAGS if not setting_flags.shapes_weights(name)))
    if FLAGS.mode == "parallel":  # a mixture may have settings that its member does not have
        own = {name: value for name, value in own.items() if name in network.settings()}
    return network.replace(view=our_flags.frame_view("uniform"), **follows, **own)
