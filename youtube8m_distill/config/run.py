"""The configuration of a run, as its `config.json` holds it, and the checks across its parts."""

from typing import Literal, get_args

from youtube8m_distill import schema
from youtube8m_distill.config.network import NetworkConfig, can_share_classifier, can_share_encoder, differences
from youtube8m_distill.config.recipes import RecipeName
from youtube8m_distill.config.training import ENCODING_LOSSES, DistillationConfig, TrainingConfig
from youtube8m_distill.config.video import Reading
from youtube8m_distill.errors import SettingError
from youtube8m_distill.settings import Settings, fields_with, require, setting

Mode = Literal["teacher", "serial", "parallel"]
MODES = get_args(Mode)


class RunConfig(Settings):
    """Everything in a run folder's `config.json`. `networks` maps roles to networks; a serial run includes its teachers'.

    The last five fields are fingerprints: a run resumes only with the same files, wherever they are, and the same teacher.
    """

    mode: Mode
    networks: dict[str, NetworkConfig]
    training: TrainingConfig
    distillation: DistillationConfig | None = None
    recipe: RecipeName = setting(
        "default",
        "Named set of values: default; cvpr2019, as written in that paper; release, as in its authors' code; starter, as in "
        "the starter code; mod_pretrain and mod_finetune, as in the MOD paper; best, our choice for serial students. Other "
        "flags override single values.",
        may_change=True,
    )
    train_data_pattern: str = setting("", "Globs of training files, comma-separated: local, gs://, s3://.", may_change=True)
    validation_data_pattern: str = setting(
        "", "Globs of validation files: the best checkpoint is chosen on them.", may_change=True
    )
    teacher_dir: str = setting(
        "",
        "Training directory of the teacher (serial), or of several, comma-separated: the student then learns from the mean "
        "of their predictions.",
        may_change=True,
        is_path=True,
    )
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
        if self.mode == "serial":
            roles |= set(schema.teacher_roles(len(self.networks) - 1))
        reason = f"has the networks {', '.join(sorted(roles))}. Received: {', '.join(sorted(self.networks))}."
        require(set(self.networks) == roles, "mode", reason, self.mode)
        reason = "a teacher has no distillation settings, a student needs them."
        require((self.distillation is None) == (self.mode == "teacher"), "mode", reason, self.mode)
        teacher, *others = [self.networks[role] for role in self.teacher_roles]
        if self.distillation is not None:
            student = self.networks[schema.STUDENT]
            if self.mode == "parallel":
                _check_parallel(teacher, student, self.distillation)
            for each in (teacher, *others):
                _check_pair(each, student)
            _check_sharing(teacher, student, self.distillation)
            if others:
                _check_several(len(others) + 1, self.teacher_dirs, self.distillation)
            _check_terms(teacher, student, self.distillation)
            _check_relation(self.distillation, self.training.batch_size)
            if self.distillation.start_from_teacher:
                _check_start(self)
        if self.training.jitter_frames:
            views = [self.networks[role].view for role in self.trained_roles]
            reason = "has an effect only on networks with frame_selection=uniform or centered; this run trains none."
            require(any(view and view.takes_one_frame_per_span for view in views), "jitter_frames", reason, True)
        if self.reading.segment_labels:
            _check_segments(self)
        if self.teacher_targets_dir:
            for each in (teacher, *others):
                _check_stored(self.mode, each.view, self.distillation, self.teacher_targets_dir)

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

    @property
    def teacher_roles(self) -> tuple[str, ...]:
        """The roles of the teachers or, without a student, of the only network."""
        return schema.teacher_roles(len(self.networks) - (schema.STUDENT in self.networks))

    @property
    def teacher_dirs(self) -> tuple[str, ...]:
        """The training directories of the teachers of a serial run, in the order of `teacher_roles`."""
        return tuple(self.teacher_dir.split(",")) if len(self.teacher_roles) > 1 else (self.teacher_dir,)

    @property
    def read_roles(self) -> tuple[str, ...]:
        """The roles whose frames are read from the training files. A teacher that no term needs is not run."""
        needs_teacher = self.distillation is None or self.distillation.needs_teacher
        return tuple(self.networks) if needs_teacher else self.trained_roles


def _check_pair(teacher, student):
    """Teacher and student must read the same features and have the same classes. What else they share must be equal."""
    require(not teacher.is_video_level, "model", "reads video-level files; distillation is over frames.", teacher.model)
    reason = "reads video-level files, and a student selects frames; choose another family."
    require(not student.is_video_level, "student_model", reason, student.model)
    differing = differences(student, teacher)
    for name in ("num_classes", "features"):
        students, teachers = differing.get(name, (None, None))
        reason = f"for the student, and {teachers} for the teacher: both must have the same classes and features."
        require(name not in differing, name, reason, students)


def _check_sharing(teacher, student, distillation):
    if distillation.share_classifier and not can_share_classifier(student, teacher):
        ours, theirs = (f"{n.encoding_size} numbers of a {n.model} to a {n.classifier.model}" for n in (student, teacher))
        reason = f"needs equal encoding sizes and classifiers: the student has {ours}, and the teacher {theirs}."
        raise SettingError("share_classifier", f"{reason} Leave it out, or give --noshare_classifier.", True)


def _check_start(config):
    """A student's encoder can start from that of a trained teacher of its own family and size, and from no other."""
    teacher, student = config.networks[schema.TEACHER], config.networks[schema.STUDENT]
    reason = "needs a teacher that is trained: choose mode=serial."
    require(config.mode == "serial", "start_from_teacher", reason, True)
    reason = f"contradicts init_from={config.init_from}: the encoder starts from one of the two."
    require(not config.init_from, "start_from_teacher", reason, True)
    both = "; ".join(
        f"{name} is {ours} in the student, {theirs} in the teacher"
        for name, (ours, theirs) in differences(student, teacher).items()
    )
    reason = f"needs an encoder with weights that both networks have{': ' if both else ''}{both}."
    require(can_share_encoder(student, teacher), "start_from_teacher", reason, True)


def _check_several(count, folders, distillation):
    """Several teachers have predictions in common, but no encoding."""
    reason = f"names {len(folders)} folder(s) for {count} teachers."
    require(len(folders) in (1, count), "teacher_dir", reason, ",".join(folders))
    encoding = [term for term in distillation.student_loss if term in ENCODING_LOSSES]
    reason = f"compares encodings ({', '.join(encoding)}), and {count} teachers have none in common. Use pred,topk_logit,ce."
    require(not encoding, "student_loss", reason, distillation.student_loss)
    reason = f"compares the states of one teacher, and there are {count}. Leave it out, or name one teacher."
    require(not distillation.match_intermediate, "match_intermediate", reason, True)


def _check_terms(teacher, student, distillation):
    matches, freezes, family = distillation.match_intermediate, distillation.freeze_classifier, student.family
    reason = f"has no meaning with model={family.model}, which has no state after each frame."
    require(family.has_frame_states or not matches, "match_intermediate", reason, True)
    reason = f"trains no policy of {family.model}: only the label loss does. Add ce."
    terms = distillation.student_loss
    require(not family.chooses_frames or "ce" in terms, "student_loss", reason, terms)
    differing = differences(student, teacher)
    of_states = [differing[name] for name in ("model", *fields_with(type(family), shapes_weights=True)) if name in differing]
    both = " and ".join(f"{ours} in the student, {theirs} in the teacher" for ours, theirs in of_states)
    reason = f"needs two {family.model}s of the same sizes: {both}."
    require(not (matches and of_states), "match_intermediate", reason, True)
    if not family.encoder_has_weights:
        what = f"the encoding of {family.model} has no weights"
        reason = f"trains nothing: {what}. Add pred, topk_logit, or ce."
        require(distillation.trains_classifier, "student_loss", reason, distillation.student_loss)
        require(not freezes, "freeze_classifier", f"leaves nothing to train: {what}.", True)


def _check_relation(distillation, batch_size):
    """Divided by its mean, the only distance between two videos is 1 in every network."""
    reason = "is too small for the term relation, which compares the distances between videos: give 3 or more."
    require(batch_size >= 3 or "relation" not in distillation.student_loss, "batch_size", reason, batch_size)


def _check_parallel(teacher, student, distillation):
    """The student must be like its teacher, or like a member of it."""
    like = teacher
    while like.is_mixture and like.model != student.model:
        like = like.member()
    for name, (students, teachers) in differences(student, like).items():
        reason = f"for the student, and {teachers} for the teacher: in mode=parallel, both have one family and size."
        raise SettingError(name, f"{reason} Train the teacher first and use mode=serial.", students)
    reason = f"no encoding is common between a {teacher.model} and a {student.model}; leave out rep, or use mode=serial."
    require(like is teacher or "rep" not in distillation.student_loss, "student_loss", reason, distillation.student_loss)
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
