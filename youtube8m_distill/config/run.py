"""Everything that a run folder's `config.json` holds, and what must fit together in it."""

import dataclasses

from youtube8m_distill import schema
from youtube8m_distill.checks import check_types, one_of, require
from youtube8m_distill.config.families import WITHOUT_WEIGHTS
from youtube8m_distill.config.network import NetworkConfig, differences, member_config
from youtube8m_distill.config.training import DistillationConfig, TrainingConfig

MODES = ("teacher", "serial", "parallel")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that a run folder's `config.json` holds."""

    mode: str
    networks: dict[str, NetworkConfig]              # role -> NetworkConfig; a serial run holds its teacher's too
    training: TrainingConfig
    distillation: DistillationConfig | None = None  # None for mode=teacher
    train_data_pattern: str = ""
    validation_data_pattern: str = ""
    teacher_dir: str = ""
    pca_eigenvalues: str = ""                       # file; once a run has begun, its weights hold them
    init_from: str = ""                             # folder of the run whose weights this one started with
    teacher_targets_dir: str = ""                   # folder of the teacher's outputs, stored; it may move
    train_files: str = ""                           # fingerprints: a run goes on with the same files and teacher only
    teacher_weights: str = ""
    init_weights: str = ""
    teacher_targets: str = ""

    def __post_init__(self):
        check_types(self)
        one_of("mode", self.mode, MODES)
        roles = {schema.TEACHER} if self.mode == "teacher" else {schema.TEACHER, schema.STUDENT}
        require(set(self.networks) == roles, f"mode={self.mode} has the networks {', '.join(sorted(roles))}. "
                f"Received: {', '.join(sorted(self.networks))}.")
        require((self.distillation is None) == (self.mode == "teacher"), f"mode={self.mode}: a teacher has no "
                "distillation settings, a student needs them.")
        if self.mode != "teacher":
            _check_pair(self.networks[schema.TEACHER], self.networks[schema.STUDENT], self.distillation)
            _check_terms(self.networks[schema.STUDENT], self.distillation)
        if self.mode == "parallel":
            _check_parallel(self.distillation)
        if self.teacher_targets_dir:
            _check_stored(self.mode, self.networks[schema.TEACHER], self.distillation)

    @property
    def main_role(self):
        """The network that the run is about: the student where there is one."""
        return schema.STUDENT if schema.STUDENT in self.networks else schema.TEACHER

    @property
    def trained_roles(self):
        return (schema.STUDENT,) if self.mode == "serial" else tuple(sorted(self.networks))


def _check_pair(teacher, student, distillation):
    """Same family, same data, same shape of encoding and classifier; or a network of a mixture's own kind."""
    require(not teacher.is_video_level, f"model={teacher.model} reads video-level files; distillation is over frames.")
    like = teacher
    while like.is_mixture and like.model != student.model:
        like = member_config(like)
    for name in differences(student, like):
        require(False, f"{name}={getattr(student, name)!r} for the student and {getattr(like, name)!r} for the teacher: "
                "distillation is between networks of one family and size.")
    if like is teacher:
        return
    both = f"between a {teacher.model} and a {student.model}"
    require("rep" not in distillation.student_loss, f"student_loss={','.join(distillation.student_loss)}: there is no one "
            f"encoding {both} to match; use pred,ce.")
    require(not distillation.share_classifier, f"share_classifier is set, and there is no one classifier {both}.")


def _check_terms(student, distillation):
    require(not distillation.match_intermediate or student.model == "HierarchicalLstmModel",
            f"match_intermediate has no meaning with model={student.model}: only HierarchicalLstmModel has states to match.")
    without_weights = student.model in WITHOUT_WEIGHTS
    require(not without_weights or distillation.trains_classifier, "student_loss=rep has nothing to train: the encoding of "
            f"{student.model} has no weights. Add pred or ce.")
    require(not without_weights or not distillation.freeze_classifier, "freeze_classifier leaves nothing to train: the "
            f"encoding of {student.model} has no weights.")


def _check_parallel(distillation):
    require(not distillation.freeze_classifier, "freeze_classifier in mode=parallel would leave the classifier "
            "untrained: it freezes a trained teacher's layer, so it needs mode=serial.")
    require(distillation.share_classifier or distillation.trains_classifier,
            "student_loss=rep without share_classifier in mode=parallel would leave the student's classifier "
            "untrained; share it, or add pred or ce.")


def _check_stored(mode, teacher, distillation):
    """What may be stored of a teacher: the outputs of one that is frozen and always sees the same frames."""
    require(mode == "serial", f"teacher_targets_dir has no effect with mode={mode}: only a trained teacher's targets stay "
            "the same.")
    require(not distillation.match_intermediate, "match_intermediate is set, and with teacher_targets_dir the teacher's "
            "states after each frame are not at hand: they would take a hundred times the space. Leave one of the two out.")
    require(teacher.frames.frame_selection != "random", "teacher_targets_dir has no use with this teacher: it sees other "
            "frames in each epoch (frame_selection=random), so its targets cannot be computed once.")
