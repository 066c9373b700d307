"""The configuration of a run, as its `config.json` holds it, and the checks across its parts."""

from typing import Literal, get_args

from youtube8m_distill import schema
from youtube8m_distill.config.network import NetworkConfig, differences
from youtube8m_distill.config.training import DistillationConfig, TrainingConfig
from youtube8m_distill.errors import SettingError
from youtube8m_distill.settings import Settings, require, setting

Mode = Literal["teacher", "serial", "parallel"]
MODES = get_args(Mode)


class RunConfig(Settings):
    """Everything in a run folder's `config.json`.

    `networks` maps roles to networks; a serial run includes its teacher's. The last four fields are fingerprints: a run
    resumes only with the same files and the same teacher.
    """

    mode: Mode = setting(
        ..., "teacher: one network (teacher or baseline); serial: student of a trained teacher; parallel: both together."
    )
    networks: dict[str, NetworkConfig]
    training: TrainingConfig
    distillation: DistillationConfig | None = None
    train_data_pattern: str = setting("", "Globs of training files.")
    validation_data_pattern: str = setting("", "Globs of validation files.")
    teacher_dir: str = setting("", "Training directory of the teacher (serial).")
    pca_eigenvalues: str = setting("", "File of PCA eigenvalues; once a run has started, its weights hold them.")
    init_from: str = setting("", "Training directory of the run whose weights this one started from.")
    teacher_targets_dir: str = setting("", "Folder of the teacher's stored outputs; it may move.", may_change=True)
    exclude_records: str = setting("", "CSV of records to skip, as `yt8m check` writes it.", may_change=True)
    train_files: str = setting("", "Fingerprint of the training files, without excluded records.")
    teacher_weights: str = setting("", "Fingerprint of the teacher's weights.")
    init_weights: str = setting("", "Fingerprint of the weights this run started from.")
    teacher_targets: str = setting("", "Fingerprint of all that stored targets depend on.")

    def model_post_init(self, context, /):
        roles = {schema.TEACHER} if self.mode == "teacher" else {schema.TEACHER, schema.STUDENT}
        require(
            set(self.networks) == roles,
            "mode",
            f"has the networks {', '.join(sorted(roles))}. Received: {', '.join(sorted(self.networks))}.",
            self.mode,
        )
        require(
            (self.distillation is None) == (self.mode == "teacher"),
            "mode",
            "a teacher has no distillation settings, a student needs them.",
            self.mode,
        )
        if self.distillation is not None:
            teacher, student = self.networks[schema.TEACHER], self.networks[schema.STUDENT]
            _check_pair(teacher, student, self.distillation)
            _check_terms(student.family, self.distillation)
            if self.mode == "parallel":
                _check_parallel(self.distillation)
        if self.teacher_targets_dir:
            _check_stored(self.mode, self.networks[schema.TEACHER], self.distillation, self.teacher_targets_dir)

    @property
    def main_role(self) -> str:
        """The role of the network that the run is about: the student if there is one."""
        return schema.STUDENT if schema.STUDENT in self.networks else schema.TEACHER

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
        raise SettingError(
            name,
            f"for the student, and {teachers} for the teacher: distillation is between networks of one family and size.",
            students,
        )
    if like is teacher:
        return
    both = f"between a {teacher.model} and a {student.model}"
    require(
        "rep" not in distillation.student_loss,
        "student_loss",
        f"no encoding is common {both}; use pred,ce.",
        distillation.student_loss,
    )
    require(not distillation.share_classifier, "share_classifier", f"no classifier is common {both}.", True)


def _check_terms(family, distillation):
    require(
        not distillation.match_intermediate or family.has_frame_states,
        "match_intermediate",
        f"has no meaning with model={family.model}, which has no state after each frame.",
        True,
    )
    require(
        family.encoder_has_weights or distillation.trains_classifier,
        "student_loss",
        f"trains nothing: the encoding of {family.model} has no weights. Add pred or ce.",
        distillation.student_loss,
    )
    require(
        family.encoder_has_weights or not distillation.freeze_classifier,
        "freeze_classifier",
        f"leaves nothing to train: the encoding of {family.model} has no weights.",
        True,
    )


def _check_parallel(distillation):
    require(
        not distillation.freeze_classifier,
        "freeze_classifier",
        "in mode=parallel would leave the classifier untrained: "
        "it freezes a trained teacher's layer, so it needs mode=serial.",
        True,
    )
    require(
        distillation.share_classifier or distillation.trains_classifier,
        "student_loss",
        "without share_classifier in "
        "mode=parallel would leave the student's classifier untrained; share it, or add pred or ce.",
        distillation.student_loss,
    )


def _check_stored(mode, teacher, distillation, folder):
    """Targets can be stored only for a frozen teacher that always sees the same frames."""
    require(
        mode == "serial",
        "teacher_targets_dir",
        f"has no effect with mode={mode}: only a trained teacher's targets stay the same.",
        folder,
    )
    require(
        not distillation.match_intermediate,
        "match_intermediate",
        "needs the teacher's states after each frame, which "
        "teacher_targets_dir does not hold: they would take a hundred times the space. Leave out one of the two.",
        True,
    )
    require(
        teacher.view.frame_selection != "random",
        "teacher_targets_dir",
        "cannot be used with this teacher: it sees other "
        "frames in each epoch (frame_selection=random), so its targets change.",
        folder,
    )
