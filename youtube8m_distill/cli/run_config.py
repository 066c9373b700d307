"""From the flags of train.py to the RunConfig that they ask for."""

import pathlib

from absl import flags

from youtube8m_distill import config as configs
from youtube8m_distill import runs, schema
from youtube8m_distill.cli import flags as our_flags
from youtube8m_distill.cli import setting_flags
from youtube8m_distill.errors import SettingError

FLAGS = flags.FLAGS

NETWORK_FLAGS = setting_flags.network_flags()


def config_from_flags():
    """The RunConfig that the command line asks for.

    Raises:
        ValueError, FileNotFoundError: beginning with the name of the flag that is to blame.
    """
    if not FLAGS.train_data_pattern:
        raise SettingError(
            "train_data_pattern", "is missing: give the training files, as in --train_data_pattern='yt8m/train*.tfrecord'."
        )
    _refuse_flags_without_effect()
    _refuse_settings_of_absent_terms(FLAGS.student_loss or configs.STUDENT_LOSSES)
    if FLAGS.init_from and _same_folder(FLAGS.init_from, FLAGS.train_dir):
        raise SettingError("init_from", "is --train_dir too: a new run needs a folder of its own.", FLAGS.init_from)
    distillation = None
    if FLAGS.mode == "teacher":
        networks = {schema.TEACHER: _new_network(_view("all"))}
    else:
        teacher = _trained_teacher() if FLAGS.mode == "serial" else _new_network(configs.FrameView())
        networks = {schema.TEACHER: teacher, schema.STUDENT: _student_of(teacher)}
        distillation = _distillation(networks)
    model = networks[schema.STUDENT if distillation else schema.TEACHER].model
    training = configs.TrainingConfig(
        **{**configs.FAMILY_OF[model].training, **our_flags.given(*setting_flags.training_flags())}
    )
    return configs.RunConfig(
        FLAGS.mode,
        networks,
        training,
        distillation,
        FLAGS.train_data_pattern,
        FLAGS.validation_data_pattern,
        FLAGS.teacher_dir,
        FLAGS.pca_eigenvalues,
        FLAGS.init_from,
        FLAGS.teacher_targets_dir,
        FLAGS.exclude_records,
    )


def _refuse_flags_without_effect():
    """A flag that this mode would not read is a misunderstanding, so it is an error."""
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
                + (", or give --mode=serial or --mode=parallel." if FLAGS.mode == "teacher" else "."),
            )


def _refuse_settings_of_absent_terms(terms):
    """The same for settings of a loss term or a stage that is not asked for. `terms`: of the student's loss."""
    needed_for = {
        "rep_weight": ("--student_loss has rep", "rep" in terms),
        "pred_weight": ("--student_loss has pred", "pred" in terms),
        "prediction_distance": ("--student_loss has pred", "pred" in terms),
        "ce_weight": ("--student_loss has ce", "ce" in terms),
        "intermediate_weight": ("--match_intermediate is set", FLAGS.match_intermediate),
        "intermediate_reduction": ("--match_intermediate is set", FLAGS.match_intermediate),
        "finetune_epochs": ("--student_loss=rep", list(terms) == ["rep"]),
    }
    for name, (condition, holds) in needed_for.items():
        if FLAGS[name].present and not holds:
            raise SettingError(name, f"has an effect only where {condition}; leave it out, or change that.")


def _distillation(networks):
    """DistillationConfig from the flags. Between a mixture and one network there is less to match, and nothing to share."""
    options = our_flags.given(*setting_flags.distillation_flags())
    if networks[schema.STUDENT].model != networks[schema.TEACHER].model:
        defaults = {"student_loss": ("pred", "ce"), "share_classifier": False}
        options.update({name: value for name, value in defaults.items() if not FLAGS[name].present})
        _refuse_settings_of_absent_terms(options["student_loss"])
    return configs.DistillationConfig(**options)


def _new_network(view):
    family = configs.FAMILY_OF[FLAGS.model]
    if FLAGS.mode == "parallel" and family.is_video_level:
        raise SettingError(
            "model",
            "reads video-level files; distillation is over frames, so choose another model, or leave --mode=parallel out.",
            FLAGS.model,
        )
    features = our_flags.feature_config()
    if features.frame_features:
        dtype = runs.stored_dtype("train_data_pattern", FLAGS.train_data_pattern, features.names, our_flags.exclusions())
        features = features.replace(dtype=dtype)
    options = our_flags.given(*NETWORK_FLAGS, setting_flags.FRAMES_PER_BLOCK)
    if "reverse_whitening" in family.model_fields:
        options["reverse_whitening"] = bool(FLAGS.pca_eigenvalues) or runs.has_eigenvalues(FLAGS.init_from)
    elif FLAGS.pca_eigenvalues:
        raise SettingError(
            "pca_eigenvalues", f"has no effect with --model={FLAGS.model}, which normalizes frames by length."
        )
    return configs.network_config(
        FLAGS.model, features=features, view=view, classifier=FLAGS.video_level_classifier_model, **options
    )


def _view(default_selection):
    """None for a video-level model, which takes no frame selection."""
    if not configs.FAMILY_OF[FLAGS.model].is_video_level:
        return our_flags.frame_view(default_selection)
    for name in ("frame_selection", "frames_per_video", "every_n", "video_level_classifier_model"):
        if FLAGS[name].present:
            raise SettingError(name, f"has no effect with --model={FLAGS.model}, which sees the video's mean.")
    return None


def _trained_teacher():
    """The network in --teacher_dir, refused where other flags ask for another one."""
    if not FLAGS.teacher_dir:
        raise SettingError("teacher_dir", "is missing: --mode=serial needs the training directory of a trained teacher.")
    if _same_folder(FLAGS.teacher_dir, FLAGS.train_dir):
        raise SettingError("teacher_dir", "is --train_dir too: the student needs a folder of its own.", FLAGS.teacher_dir)
    try:
        run = runs.open_run(FLAGS.teacher_dir)
        run.weights_folder()
    except (FileNotFoundError, ValueError) as error:
        raise SettingError("teacher_dir", f"{error}", FLAGS.teacher_dir) from error
    teacher = run.config.networks[run.config.main_role]
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
                f"asks for {_shown(value)}, and the teacher in {FLAGS.teacher_dir} has "
                f"{_shown(known.get(flag))}: distillation is between networks of one family and size." + hint,
            )
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
            raise SettingError(
                "student_model",
                f"the teacher is a {teacher.model}, and distillation is "
                "within one family; a mixture may also teach a network of the kind that it is made of.",
                FLAGS.student_model,
            )
        network = network.member()
    follows = {"frames_per_block": FLAGS.student_frames_per_block}
    if setting_flags.FRAMES_PER_BLOCK not in network.settings():
        if FLAGS.student_frames_per_block is not None:
            raise SettingError("student_frames_per_block", f"has no effect with model={network.model}; leave it out.")
        follows = {}
    own = our_flags.given(*(name for name in NETWORK_FLAGS if not setting_flags.shapes_weights(name)))
    if FLAGS.mode == "parallel":  # there they are the teacher's too, which may have some that its member has not
        own = {name: value for name, value in own.items() if name in network.settings()}
    return network.replace(view=our_flags.frame_view("uniform"), **follows, **own)
