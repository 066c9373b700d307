"""From the flags of a training to the RunConfig that they ask for."""

import pathlib
from typing import TYPE_CHECKING

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.cli import networks
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import exclusions, frame_view, given, settings_given
from youtube8m_distill.errors import SettingError
from youtube8m_distill.settings import fields_with, require

if TYPE_CHECKING:
    from youtube8m_distill import runs

SELECTION_FLAGS = ("frame_selection", "frames_per_video", "every_n")
TRAINING_FLAGS = fields_with(configs.TrainingConfig, has_flag=True)
DISTILLATION_FLAGS = fields_with(configs.DistillationConfig, has_flag=True)

OF_SERIAL = ("teacher_dir", "teacher_targets_dir", "finetune_epochs")
WITHOUT_EFFECT = {  # mode -> flags
    "teacher": (*DISTILLATION_FLAGS, "student_model", "student_frames_per_block", *OF_SERIAL),
    "serial": (networks.BLOCK, "frame_features"),
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
    networks.refuse(WITHOUT_EFFECT[FLAGS.mode], f"has no effect with --mode={FLAGS.mode}; leave it out{hint}.")
    _refuse_settings_of_absent_terms(FLAGS.student_loss or configs.CVPR_LOSSES)
    of_teachers = [("teacher_dir", folder) for folder in networks.teacher_dirs()]
    for name, folder in (("init_from", FLAGS.init_from), *of_teachers):
        if folder and pathlib.Path(folder).resolve() == pathlib.Path(FLAGS.train_dir).resolve():
            raise SettingError(name, "is the same as --train_dir; the new run needs its own folder.", folder)
    if FLAGS.mode != "serial":
        _run_config(networks.new_network())
        return
    if not FLAGS.teacher_dir:
        raise SettingError("teacher_dir", "is missing; --mode=serial needs the training directory of a trained teacher.")
    networks.check_eigenvalues(FLAGS.student_model, "student_model")
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
    view = None if configs.FAMILY_OF[FLAGS.model].is_video_level else networks.own_view()
    _set_unless_given(recipe.of_network(FLAGS.model, view))


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
    teachers = (
        networks.trained_teachers(runs)
        if FLAGS.mode == "serial"
        else [networks.as_stored(networks.new_network(), runs, record_files)]
    )
    return _run_config(*teachers), record_files


def _run_config(*teachers):
    """The RunConfig of the flags with its teachers or, with --mode=teacher, the only network."""
    by_role, distillation, main = dict(zip(schema.teacher_roles(len(teachers)), teachers)), None, teachers[0]
    if FLAGS.mode != "teacher":
        by_role[schema.STUDENT] = main = networks.student_of(teachers[0])
        distillation = _distillation(teachers, main)
    if main.view is None or not main.view.takes_one_frame_per_span:
        _leave_out_of_recipe("jitter_frames")
    reason = "has an effect only on mixtures (MixNeXtVladModel, MODNeXtVladModel); leave it out."
    is_mixture = any(network.is_mixture for network in by_role.values())
    require(is_mixture or not FLAGS.place_members, "place_members", reason, True)
    return configs.RunConfig(
        mode=FLAGS.mode,
        networks=by_role,
        training=settings_given(configs.TrainingConfig, **main.family.training),
        distillation=distillation,
        reading=settings_given(configs.Reading),
        **{**given(*fields_with(configs.RunConfig, has_flag=True)), "teacher_dir": ",".join(networks.teacher_dirs())},
    )


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
            networks.refuse(names, f"has an effect only {condition}; leave it out, or give that too.")


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
