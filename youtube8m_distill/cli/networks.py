"""The networks that the flags of a training ask for: a new one, the trained teachers, and the student of a teacher."""

import os
import pathlib

from youtube8m_distill import config as configs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS, KINDS
from youtube8m_distill.cli.values import feature_config, frame_view, given
from youtube8m_distill.errors import SettingError, written
from youtube8m_distill.settings import fields_with, require

BLOCK = "frames_per_block"  # the student has a flag of its own
CLASSIFIER = "video_level_classifier_model"
# The settings of a network except the block length, and those in which teacher and student must agree.
_SETTINGS = dict.fromkeys(name for kind in KINDS for name in fields_with(kind, has_flag=True))
NETWORK_FLAGS = ("num_classes", *(name for name in _SETTINGS if name != BLOCK))
SHAPE_FLAGS = {"num_classes", *(name for kind in KINDS for name in fields_with(kind, shapes_weights=True))}


def refuse(names, reason):
    """Refuses the first of these flags that is given."""
    for name in names:
        if FLAGS[name].present:
            raise SettingError(name, reason)


def own_view():
    """The view of a network that does not come from --teacher_dir. The teacher of a parallel run sees all frames."""
    return frame_view("all") if FLAGS.mode == "teacher" else configs.FrameView(**given("max_video_frames"))


def new_network():
    """The network that the flags describe, for files in the official format."""
    family, view = configs.FAMILY_OF[FLAGS.model], None
    if not family.is_video_level:
        view = own_view()
    elif FLAGS.mode == "parallel":
        reason = "reads video-level files, and --mode=parallel selects frames; choose another model."
        raise SettingError("model", reason, FLAGS.model)
    else:
        names = (*configs.FrameView.model_fields, "video_level_classifier_model")
        refuse(names, f"has no effect with --model={FLAGS.model}, which sees the mean of all frames.")
    check_eigenvalues(FLAGS.model, "model")
    return configs.network_config(
        FLAGS.model,
        features=feature_config(),
        view=view,
        classifier=FLAGS.video_level_classifier_model,
        **given(*NETWORK_FLAGS, BLOCK),
    )


def check_eigenvalues(model, flag):
    """Refuses --pca_eigenvalues for a network that cannot use them. `model` is the value of this flag."""
    if model is None:
        refuse(["pca_eigenvalues"], f"has no effect with --mode={FLAGS.mode} without --{flag}; leave it out.")
    elif "reverse_whitening" not in configs.FAMILY_OF[model].model_fields:
        refuse(["pca_eigenvalues"], f"has no effect with --{flag}={model}, which normalizes frames by length.")


def as_stored(network, runs, record_files):
    """The network for the training files and eigenvalues as they are."""
    changes = {}
    if not network.is_video_level:
        dtype = record_files.stored_dtype("train_data_pattern", FLAGS.train_data_pattern, network.features.names)
        changes["features"] = network.features.replace(dtype=dtype)
    if "reverse_whitening" in network.settings():
        changes["reverse_whitening"] = bool(FLAGS.pca_eigenvalues) or runs.has_eigenvalues(FLAGS.init_from)
    return network.replace(**changes)


def teacher_dirs() -> tuple[str, ...]:
    """The folders in --teacher_dir. A comma in the name of an existing folder does not separate two."""
    text = FLAGS.teacher_dir or ""
    if "," not in text or pathlib.Path(text).is_dir():
        return (text,) if text else ()
    folders = tuple(os.path.expanduser(part.strip()) for part in text.split(","))
    require(all(folders), "teacher_dir", "contains an empty name.", text)
    places = {pathlib.Path(folder).resolve() for folder in folders}
    require(len(places) == len(folders), "teacher_dir", "contains duplicates.", text)
    return folders


def trained_teachers(runs):
    """The networks in --teacher_dir, which have the same classes and features."""
    first_folder, *folders = teacher_dirs()
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


def student_of(teacher):
    """The student's network, with its frames and with the settings that flags give it."""
    family = configs.FAMILY_OF[FLAGS.student_model or teacher.model]
    view = frame_view("all" if family.chooses_frames else "uniform", max_video_frames=teacher.max_video_frames)
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
    if FLAGS.pca_eigenvalues:
        settings["reverse_whitening"] = True
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
