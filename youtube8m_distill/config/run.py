"""The configuration of a run, as its `config.json` holds it, and the checks across its parts."""

from typing import Literal, get_args

from youtube8m_distill import schema
from youtube8m_distill.config.network import NetworkConfig, differences
from youtube8m_distill.config.recipes import RecipeName
from youtube8m_distill.config.training import DistillationConfig, TrainingConfig
from youtube8m_distill.config.video import Reading
from youtube8m_distill.errors import SettingError
from youtube8m_distill.settings import Settings, require, setting

Mode = Literal["teacher", "serial", "parallel"]
MODES = get_args(Mode)


class RunConfig(Settings):
    """Everything in a run folder's `config.json`. `networks` maps roles to networks; a serial run includes its teacher's.

    The last five fields are fingerprints: a run resumes only with the same files, wherever they are, and the same teacher.
    """

    mode: Mode
    networks: dict[str, NetworkConfig]
    training: TrainingConfig
    distillation: DistillationConfig | None = None
    recipe: RecipeName = setting(
        "default",
        "Named set of values: default; cvpr2019, as written in that paper; release, as in its authors' code; starter, as in "
        "the starter code; mod_pretrain and mod_finetune, as in the MOD paper. Other flags override single values.",
        may_change=True,
    )
    train_data_pattern: str = setting("", "Globs of training files, comma-separated, local or gs://.", may_change=True)
    validation_data_pattern: str = setting(
        "", "Globs of validation files: the best checkpoint is chosen on them.", may_change=True
    )
    teacher_dir: str = setting("", "Training directory of the teacher (serial).", may_change=True, is_path=True)
    pca_eigenvalues: str = setting(
        "", "eigenvals.npy of the features' PCA: NeXtVLADModel and its mixtures reverse its whitening.", is_path=True
    )
    init_from: str = setting(
        "",
        "Training directory whose best weights to start from; the classifier's only if they fit.",
        may_change=True,
        is_path=True,
    )
    teacher_targets_dir: str = setting(
        "",
        "Folder for the teacher's targets (serial): computed once, read by all its students.",
        may_change=True,
        is_path=True,
    )
    exclude_records: str = setting("", "CSV of records to skip, as `yt8m check` writes it.", may_change=True, is_path=True)
    reading: Reading = Reading()
    train_files: str = ""
    validation_files: str = ""
    teacher_weights: str = ""
    init_weights: str = ""
    teacher_targets: str = ""

    def model_post_init(self, context, /):
        roles = {schema.TEACHER} if self.mode == "teacher" else {schema.TEACHER, schema.STUDENT}
        reason = f"has the networks {', '.join(sorted(roles))}. Received: {', '.join(sorted(self.networks))}."
        require(set(self.networks) == roles, "mode", reason, self.mode)
        reason = "a teacher has no distillation settings, a student needs them."
        require((self.distillation is None) == (self.mode == "teacher"), "mode", reason, self.mode)
        teacher = self.networks[schema.TEACHER]
        if self.distillation is not None:
            student = self.networks[schema.STUDENT]
            _check_pair(teacher, student, self.distillation)
            _check_terms(student.family, self.distillation)
            if self.mode == "parallel":
                _check_parallel(self.distillation)
        if self.reading.segment_labels:
            _check_segments(self)
        if self.teacher_targets_dir:
            _check_stored(self.mode, teacher.view, self.distillation, self.teacher_targets_dir)

    @property
    def main_role(self) -> str:
        """The role of the network that the run is about: the student if there is one."""
        return schema.STUDENT if schema.STUDENT in self.networks else schema.TEACHER

    def title(self, role: str) -> str:
        """What messages call a network: teacher or student, or just a network if the run has only one."""
        return "network" if self.mode == "teacher" else role

    @property
    def trained_roles(self) -> tuple[str, ...]:
        return (schema.STUDENT,) if self.mode == "serial" else tuple(sorted(self.networks))


def _check_pair(teacher, student, distillation):
    """Teacher and student must have the same family, data and sizes, or the student is what the teacher mixes."""
    require(not teacher.is_video_level, "model", "reads video-level files; distillation is over frames.", teacher.model)
    like = teacher
    while like.is_mixture and like.model != student.model:
        like = like.member()
    for name, (students, teachers) in differences(student, like).items():
        reason = f"for the student, and {teachers} for the teacher: distillation is between networks of one family and size."
        raise SettingError(name, reason, students)
    if like is not teacher:
        both = f"between a {teacher.model} and a {student.model}"
        reason = f"no encoding is common {both}; use pred,ce."
        require("rep" not in distillation.student_loss, "student_loss", reason, distillation.student_loss)
        require(not distillation.share_classifier, "share_classifier", f"no classifier is common {both}.", True)


def _check_terms(family, distillation):
    matches, freezes = distillation.match_intermediate, distillation.freeze_classifier
    reason = f"has no meaning with model={family.model}, which has no state after each frame."
    require(family.has_frame_states or not matches, "match_intermediate", reason, True)
    reason = f"trains no policy of {family.model}: only the label loss does. Add ce."
    terms = distillation.student_loss
    require(not family.chooses_frames or "ce" in terms, "student_loss", reason, terms)
    if not family.encoder_has_weights:
        what = f"the encoding of {family.model} has no weights"
        reason = f"trains nothing: {what}. Add pred, topk_logit, or ce."
        require(distillation.trains_classifier, "student_loss", reason, distillation.student_loss)
        require(not freezes, "freeze_classifier", f"leaves nothing to train: {what}.", True)


def _check_parallel(distillation):
    reason = "in mode=parallel would leave the classifier untrained: it needs the trained teacher of mode=serial."
    require(not distillation.freeze_classifier, "freeze_classifier", reason, True)
    reason = "without share_classifier leaves the student's classifier untrained; share it, or add pred, topk_logit, or ce."
    trained = distillation.share_classifier or distillation.trains_classifier
    require(trained, "student_loss", reason, distillation.student_loss)


def _check_segments(config):
    model, label_loss = config.networks[config.main_role].model, config.training.label_loss
    reason = f"has no effect with model={model}, which reads video-level files."
    require(not config.networks[config.main_role].is_video_level, "segment_labels", reason, True)
    reason = "is over all classes, also those that nobody has rated; use CrossEntropyLoss with segment_labels."
    require(label_loss == "CrossEntropyLoss", "label_loss", reason, label_loss)


def _check_stored(mode, view, distillation, folder):
    """Targets can be stored only for a frozen teacher that always sees the same frames."""
    reason = f"has no effect with mode={mode}: only a trained teacher's targets stay the same."
    require(mode == "serial", "teacher_targets_dir", reason, folder)
    reason = "needs the teacher's states after each frame, which teacher_targets_dir does not hold. Leave out one of them."
    require(not distillation.match_intermediate, "match_intermediate", reason, True)
    reason = "cannot hold this teacher's targets: it sees other frames in each epoch (frame_selection=random)."
    require(view.frame_selection != "random", "teacher_targets_dir", reason, folder)
