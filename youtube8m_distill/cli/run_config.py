"""From the flags of a training to the RunConfig that they ask for."""

import os
import pathlib
from typing import TYPE_CHECKING

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS, KINDS
from youtube8m_distill.cli.values import exclusions, feature_config, frame_view, given, settings_given
from youtube8m_distill.errors import SettingError, written
from youtube8m_distill.settings import fields_with, require

if TYPE_CHECKING:
    from youtube8m_distill import runs

BLOCK = "frames_per_block"  # the student has a flag of its own
CLASSIFIER = "video_level_classifier_model"
SELECTION_FLAGS = ("frame_selection", "frames_per_video", "every_n")
TRAINING_FLAGS = fields_with(configs.TrainingConfig, has_flag=True)
DISTILLATION_FLAGS = fields_with(configs.DistillationConfig, has_flag=True)
# The settings of a network except the block length, and those in which teacher and student must agree.
_SETTINGS = dict.fromkeys(name for kind in KINDS for name in fields_with(kind, has_flag=True))
NETWORK_FLAGS = ("num_classes", *(name for name in _SETTINGS if name != BLOCK))
SHAPE_FLAGS = {"num_classes", *(name for kind in KINDS for name in fields_with(kind, shapes_weights=True))}

OF_SERIAL = ("teacher_dir", "teacher_targets_dir", "finetune_epochs")
WITHOUT_EFFECT = {  # mode -> flags
    "teacher": (*DISTILLATION_FLAGS, "student_model", "student_frames_per_block", *OF_SERIAL),
    "serial": (BLOCK, "frame_features", "pca_eigenvalues"),
    "parallel": OF_SERIAL,
}


def check_flags() -> None:
    """Raises SettingError for flags that are wrong whatever the files and the teacher are. Does not load TensorFlow."""
    names = FLAGS.feature_names or ()
    of_means = names and all(name.strip() in schema.VIDEO_FEATURES for name in names)
    if of_means or FLAGS.frame_features is False or FLAGS.model not in configs.RECIPES[FLAGS.recipe or "default"].models:
        _default_to_video_level()
    apply_recipe()
    hint = ", or choose --mode=serial or parallel" if FLAGS.mode == "teacher" else ""
    _refuse(WITHOUT_EFFECT[FLAGS.mode], f"has no effect with --mode={FLAGS.mode}; leave it out{hint}.")
    _refuse_settings_of_absent_terms(FLAGS.student_loss or configs.CVPR_LOSSES)
    of_teachers = [("teacher_dir", folder) for folder in _teacher_dirs()]
    for name, folder in (("init_from", FLAGS.init_from), *of_teachers):
        if folder and pathlib.Path(folder).resolve() == pathlib.Path(FLAGS.train_dir).resolve():
            raise SettingError(name, "is the same as --train_dir; the new run needs its own folder.", folder)
    if FLAGS.mode != "serial":
        _run_config(_new_network())
        return
    if not FLAGS.teacher_dir:
        raise SettingError("teacher_dir", "is missing; --mode=serial needs the training directory of a trained teacher.")
    frame_view("uniform", max_video_frames=schema.LONGEST_VIDEO)  # the teacher's value is not known yet
    settings_given(configs.TrainingConfig)
    settings_given(configs.DistillationConfig)


def _default_to_video_level():
    """Makes the starter code's first model the one to train on video-level files, unless --model is given."""
    if not FLAGS["model"].present and FLAGS.mode == "teacher":
        FLAGS.model = "LogisticModel"


def apply_recipe() -> None:
    """Gives the values of --recipe to flags that are not given. A serial student's network comes from its teacher."""
    name = FLAGS.recipe or "default"
    recipe, mode = configs.RECIPES[name], FLAGS.mode
    _set_unless_given(recipe.training)
    if mode != "teacher":
        if not any(FLAGS[name].present for name in SELECTION_FLAGS):
            _set_unless_given(recipe.student_frames)
        published = configs.TrainingConfig(**configs.FAMILY_OF[FLAGS.model].training)
        terms, batch_size = FLAGS.student_loss or recipe.student_loss, FLAGS.batch_size or published.batch_size
        _set_unless_given(recipe.of_distillation(terms, batch_size))
    if mode == "serial":
        return
    recipe.check(name, FLAGS.model, mode)
    view = None if configs.FAMILY_OF[FLAGS.model].is_video_level else _own_view()
    _set_unless_given(recipe.of_network(FLAGS.model, view))


def _own_view():
    """The view of a network that does not come from --teacher_dir. The teacher of a parallel run sees all frames."""
    return frame_view("all") if FLAGS.mode == "teacher" else configs.FrameView(**given("max_video_frames"))


def _leave_out_of_recipe(name):
    """Takes back the value that a recipe gave to a flag, since this network cannot have it."""
    if not FLAGS[name].present:
        FLAGS[name].value = None


def _set_unless_given(values):
    for name, value in values.items():
        if not FLAGS[name].present:
            FLAGS[name].value = value.value


def from_flags() -> "tuple[configs.RunConfig, runs.RecordFiles]":
    """The RunConfig that the command line asks for, after `check_flags`, and the files that were found for it."""
    from youtube8m_distill import runs  # loads TensorFlow

    record_files = runs.RecordFiles(exclusions(), settings_given(configs.Reading))
    if FLAGS.mode == "teacher" and not FLAGS["model"].present and FLAGS.feature_names is None:
        if record_files.are_video_level("train_data_pattern", FLAGS.train_data_pattern):
            _default_to_video_level()
            check_flags()
    teachers = _trained_teachers(runs) if FLAGS.mode == "serial" else [_as_stored(_new_network(), runs, record_files)]
    return _run_config(*teachers), record_files


def _run_config(*teachers):
    """The RunConfig of the flags with its teachers or, with --mode=teacher, the only network."""
    networks, distillation, main = dict(zip(schema.teacher_roles(len(teachers)), teachers)), None, teachers[0]
    if FLAGS.mode != "teacher":
        networks[schema.STUDENT] = main = _student_of(teachers[0])
        distillation = _distillation(teachers, main)
    if main.view is None or not main.view.takes_one_frame_per_span:
        _leave_out_of_recipe("jitter_frames")
    reason = "has an effect only on mixtures (MixNeXtVladModel, MODNeXtVladModel); leave it out."
    is_mixture = any(network.is_mixture for network in networks.values())
    require(is_mixture or not FLAGS.place_members, "place_members", reason, True)
    return configs.RunConfig(
        mode=FLAGS.mode,
        networks=networks,
        training=settings_given(configs.TrainingConfig, **main.family.training),
        distillation=distillation,
        reading=settings_given(configs.Reading),
        **{**given(*fields_with(configs.RunConfig, has_flag=True)), "teacher_dir": ",".join(_teacher_dirs())},
    )


def _teacher_dirs() -> tuple[str, ...]:
    """The folders in --teacher_dir. A comma in the name of an existing folder does not separate two."""
    text = FLAGS.teacher_dir or ""
    if "," not in text or pathlib.Path(text).is_dir():
        return (text,) if text else ()
    folders = tuple(os.path.expanduser(part.strip()) for part in text.split(","))
    require(all(folders), "teacher_dir", "contains an empty name.", text)
    places = {pathlib.Path(folder).resolve() for folder in folders}
    require(len(places) == len(folders), "teacher_dir", "contains duplicates.", text)
    return folders


def _refuse(names, reason):
    """Refuses the first of these flags that is given."""
    for name in names:
        if FLAGS[name].present:
            raise SettingError(name, reason)


def _refuse_settings_of_absent_terms(terms):
    """Refuses settings of terms that are not in the student's loss (`terms`), and of a stage that the run does not have."""
    matches = FLAGS.match_intermediate
    for holds, condition, *names in (
        ("rep" in terms, "with rep in --student_loss", "rep_weight", "rep_scale"),
        ("pred" in terms, "with pred in --student_loss", "pred_weight", "prediction_distance"),
        ("ce" in terms, "with ce in --student_loss", "ce_weight"),
        ("relation" in terms, "with relation in --student_loss", "relation_weight"),
        ("topk_logit" in terms, "with topk_logit in --student_loss", "topk_weight", "topk_temperature"),
        (matches, "with --match_intermediate", "intermediate_weight", "intermediate_reduction"),
        (matches or set(terms) != {"ce"}, "with a term besides ce in --student_loss", "teacher_targets_dir"),
        (set(terms) <= set(configs.ENCODING_LOSSES), "with --student_loss=rep, relation, or both", "finetune_epochs"),
    ):
        if not holds:
            _refuse(names, f"has an effect only {condition}; leave it out, or give that too.")


def _distillation(teachers, student):
    """DistillationConfig from the flags. Several teachers, or one whose classifier does not fit, teach their predictions."""
    if FLAGS.init_from or not configs.can_share_encoder(student, teachers[0]):
        _leave_out_of_recipe("start_from_teacher")
    fits = configs.can_share_classifier(student, teachers[0])
    if fits and len(teachers) == 1:
        return settings_given(configs.DistillationConfig)
    own = FLAGS.student_loss if len(teachers) == 1 or FLAGS["student_loss"].present else None  # not a recipe's
    terms = FLAGS["student_loss"].value = own or ("pred", "ce")
    _refuse_settings_of_absent_terms(terms)
    for name, term in configs.TERM_OF.items():  # a recipe may have set those of absent terms
        if term not in terms:
            FLAGS[name].value = None
    return settings_given(configs.DistillationConfig, share_classifier=fits)


def _new_network():
    """The network that the flags describe, for files in the official format."""
    family, view = configs.FAMILY_OF[FLAGS.model], None
    if not family.is_video_level:
        view = _own_view()
    elif FLAGS.mode == "parallel":
        reason = "reads video-level files, and --mode=parallel selects frames; choose another model."
        raise SettingError("model", reason, FLAGS.model)
    else:
        names = (*configs.FrameView.model_fields, "video_level_classifier_model")
        _refuse(names, f"has no effect with --model={FLAGS.model}, which sees the mean of all frames.")
    if "reverse_whitening" not in family.model_fields:
        _refuse(["pca_eigenvalues"], f"has no effect with --model={FLAGS.model}, which normalizes frames by length.")
    return configs.network_config(
        FLAGS.model,
        features=feature_config(),
        view=view,
        classifier=FLAGS.video_level_classifier_model,
        **given(*NETWORK_FLAGS, BLOCK),
    )


def _as_stored(network, runs, record_files):
    """The network for the training files and eigenvalues as they are."""
    changes = {}
    if not network.is_video_level:
        dtype = record_files.stored_dtype("train_data_pattern", FLAGS.train_data_pattern, network.features.names)
        changes["features"] = network.features.replace(dtype=dtype)
    if "reverse_whitening" in network.settings():
        changes["reverse_whitening"] = bool(FLAGS.pca_eigenvalues) or runs.has_eigenvalues(FLAGS.init_from)
    return network.replace(**changes)


def _trained_teachers(runs):
    """The networks in --teacher_dir, which have the same classes and features."""
    first_folder, *folders = _teacher_dirs()
    first = _trained_network(first_folder, runs)
    _check_asked(first, first_folder)
    others = [_trained_network(folder, runs) for folder in folders]
    expected = _in_common(first)
    for folder, found in zip(folders, map(_in_common, others)):
        for name, value in found.items():
            reason = f"{folder} has {name}={value}, and {first_folder} has {expected[name]}; all teachers must agree in it."
            require(value == expected[name], "teacher_dir", reason, FLAGS.teacher_dir)
    return [first, *others]


def _in_common(network):
    """What all teachers of a student must have in common, in words."""
    features = network.features
    return {
        "num_classes": written(network.num_classes),
        "feature_names": written(features.names),
        "feature_sizes": written(features.sizes),
        "dtype": features.dtype,
    }


def _trained_network(folder, runs):
    """The network in one folder of --teacher_dir."""
    with entry.about("teacher_dir"):
        run = runs.open_run(folder)
        run.weights_folder()
    teacher = run.config.networks[run.config.main_role]
    if teacher.is_video_level:
        reason = f"a {teacher.model} reads video-level files, and distillation selects frames."
        raise SettingError("teacher_dir", reason, folder)
    name = FLAGS.recipe or "default"
    configs.RECIPES[name].check(name, teacher.model, FLAGS.mode)
    return teacher


def _check_asked(teacher, folder):
    """Refuses flags that ask for another teacher. With --student_model, sizes are the student's."""
    asked = given("num_classes")
    if FLAGS.student_model is None:
        asked |= given(*(name for name in NETWORK_FLAGS if name in SHAPE_FLAGS), CLASSIFIER)
    if FLAGS["model"].present:
        asked["model"] = FLAGS.model
    if FLAGS.feature_names is not None or FLAGS.feature_sizes is not None:
        asked["feature_names"] = _described(feature_config())
    found = {
        **teacher.settings(),
        "num_classes": teacher.num_classes,
        "model": teacher.model,
        CLASSIFIER: teacher.classifier.model,
        "feature_names": _described(teacher.features),
    }
    for name, value in asked.items():
        if found.get(name) != value:
            reason = f"the teacher in {folder} has {written(found.get(name, 'no such setting'))}."
            hint = "Both networks must have the same classes and features."
            if name not in ("num_classes", "feature_names"):
                hint = "Give --student_model for a student of another family or size."
            raise SettingError(name, f"{reason} {hint}", value)


def _described(features):
    return f"{','.join(features.names)} with feature_sizes={written(features.sizes)}"


def _student_of(teacher):
    """The student's network, with its frames and with the settings that flags give it."""
    view = frame_view("uniform", max_video_frames=teacher.max_video_frames)
    network = _sized_student(teacher, view)
    own = given(*(name for name in NETWORK_FLAGS if name not in SHAPE_FLAGS))
    if FLAGS.mode == "parallel":  # a mixture may have settings that its member does not have
        own = {name: value for name, value in own.items() if name in network.settings()}
    if BLOCK in network.settings():
        of_recipe = configs.RECIPES[FLAGS.recipe or "default"].of_network(network.model, view).get(BLOCK)
        own[BLOCK] = FLAGS.student_frames_per_block or (of_recipe and of_recipe.value)
    elif FLAGS.student_frames_per_block is not None:
        raise SettingError("student_frames_per_block", f"has no effect with model={network.model}; leave it out.")
    return network.replace(view=view, **own)


def _sized_student(teacher, view):
    """A network of the family in --student_model, by default the teacher's: like the teacher or its member if they have
    this family, otherwise of published size. Flags of a serial run change its sizes."""
    model, network = FLAGS.student_model or teacher.model, teacher
    while network.is_mixture and network.model != model:
        network = network.member()
    if FLAGS.mode == "parallel" and network.model != model:
        reason = f"the teacher is a {teacher.model}: choose its family or, if it is a mixture, that of its members. For any "
        raise SettingError("student_model", f"{reason}other student, train the teacher first and use --mode=serial.", model)
    if FLAGS.mode == "parallel" or FLAGS.student_model is None:
        return network
    family = configs.FAMILY_OF[model]
    require(not family.is_video_level, "student_model", "reads video-level files, and a student selects frames.", model)
    classifier, settings = _student_defaults(network, model, view)
    if FLAGS[CLASSIFIER].value not in (None, classifier):  # the default classifier's settings are not this one's
        classifier = FLAGS[CLASSIFIER].value
        settings = {name: value for name, value in settings.items() if name in family.model_fields}
    settings |= given(*(name for name in NETWORK_FLAGS if name in SHAPE_FLAGS and name != "num_classes"))
    return configs.network_config(model, teacher.num_classes, teacher.features, view, classifier, **settings)


def _student_defaults(teacher, model, view):
    """Classifier (None for the published one) and settings of a student of this family, before its flags."""
    if teacher.model == model:
        return teacher.classifier.model, teacher.settings()
    name = FLAGS.recipe or "default"
    recipe = configs.RECIPES[name]
    recipe.check(name, model, FLAGS.mode)
    settings = {name: value.value for name, value in recipe.of_network(model, view).items()}
    if "reverse_whitening" in configs.FAMILY_OF[model].model_fields:
        settings["reverse_whitening"] = teacher.settings().get("reverse_whitening", False)
    return settings.pop(CLASSIFIER, None), settings
