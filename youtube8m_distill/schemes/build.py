"""Builds the student of a run and the stages of its training. The only file in this package that reads configurations."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import keras

from youtube8m_distill.config import WEIGHT_OF, DistillationConfig, NetworkConfig, RunConfig
from youtube8m_distill.families.build import build_model
from youtube8m_distill.families.mixture.network import Network
from youtube8m_distill.layers.base import sharing_weights
from youtube8m_distill.schema import STUDENT, TEACHER
from youtube8m_distill.schemes.frame_choice import FrameChoiceObjective
from youtube8m_distill.schemes.objectives import LabelObjective, OnlineMixtureObjective, StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.scheme import TrainingScheme
from youtube8m_distill.schemes.serial import SerialDistiller
from youtube8m_distill.schemes.supervised import Supervised

TERMS = {  # in settings -> in schemes
    "rep": "representation_loss",
    "pred": "prediction_loss",
    "ce": "label_loss",
    "relation": "relation_loss",
    "topk_logit": "topk_logit_loss",
}


class Stage(NamedTuple):
    """A part of a training that has its own optimizer and schedule."""

    name: str  # for messages
    build_scheme: Callable[[], TrainingScheme]  # not compiled; sets what it trains: call it when the stage starts
    roles: tuple[str, ...]  # the networks whose frames a batch holds
    num_epochs: int
    stored_targets: bool = False  # whether a batch holds the teacher's targets instead of its frames


def build_student(
    config: RunConfig, teacher: Network, dtype: str = "float32", member_devices: Sequence[str] = ()
) -> Network:
    """The student of a run, with the classifier that its settings ask for.

    `teacher` is built, of several the first; `dtype` and `member_devices` are as for `build_model`.

    Serial: a layer of its own that starts from the teacher's weights; if frozen, the teacher's layer itself. Parallel:
    one layer for both, except that each network has its own moving statistics, since they see different frames. Without
    sharing: a layer of its own, newly initialized.
    """
    distillation = config.distillation
    assert distillation is not None, "RunConfig requires it of students"
    shared = None
    if distillation.share_classifier and config.mode == "parallel":
        shared = [sharing_weights(layer) for layer in teacher.output_layers]
    elif distillation.freeze_classifier:
        shared = teacher.output_layers
    student = build_model(config.networks[STUDENT], dtype, shared, STUDENT, member_devices)
    if all(config.networks[role].settings().get("reverse_whitening") for role in (TEACHER, STUDENT)):
        student.preprocessing.set_weights(teacher.preprocessing.get_weights())
    if distillation.share_classifier and shared is None:
        for own, taught in zip(student.output_layers, teacher.output_layers, strict=True):
            own.set_weights(taught.get_weights())
    return student


def label_objective(network: NetworkConfig, label_loss: str = "CrossEntropyLoss") -> LabelObjective:
    """What a network minimizes to fit the labels."""
    settings = network.settings()
    if network.family.chooses_frames:
        return FrameChoiceObjective(settings["skip_reward"], settings["skip_entropy_weight"], label_loss=label_loss)
    if not network.is_mixture:
        return LabelObjective(label_loss=label_loss)
    return OnlineMixtureObjective(settings["cl_temperature"], settings["stop_mixture_gradient"], label_loss=label_loss)


def student_terms(
    distillation: DistillationConfig, student: NetworkConfig, label_loss: str = "CrossEntropyLoss"
) -> StudentTerms:
    """What a student minimizes."""
    weights = {TERMS[name]: getattr(distillation, WEIGHT_OF[name]) for name in distillation.student_loss}
    if distillation.match_intermediate:
        weights["intermediate_representation_loss"] = distillation.intermediate_weight
    return StudentTerms(
        weights,
        distillation.prediction_distance,
        distillation.intermediate_reduction,
        label_objective(student, label_loss),
        distillation.rep_scale,
        distillation.topk_temperature,
    )


def build_stages(config: RunConfig, networks: dict[str, Network]) -> list[Stage]:
    """The stages of a run, in order, from its networks by role.

    There is one stage, except in a serial run on `rep` or `relation` alone: there the encoder first matches the teacher's,
    then encoder and classifier are fine-tuned on the label loss with a new optimizer and schedule (CVPR 2019, training (a)).
    """
    training, distillation = config.training, config.distillation
    options = {"regularization_penalty": training.regularization_penalty, "clip_gradient_norm": training.clip_gradient_norm}
    teacher, of_teacher = networks[TEACHER], label_objective(config.networks[TEACHER], training.label_loss)
    if distillation is None:
        build = partial(Supervised, teacher, TEACHER, of_teacher, **options)
        return [Stage("training", build, (TEACHER,), training.num_epochs)]

    student, terms = networks[STUDENT], student_terms(distillation, config.networks[STUDENT], training.label_loss)
    if config.mode == "parallel":
        build = partial(ParallelDistiller, student, teacher, terms, of_teacher, **options)
        return [Stage("parallel", build, (TEACHER, STUDENT), training.num_epochs)]

    def train_outputs(trainable):
        for layer in student.output_layers:
            layer.trainable = trainable and not distillation.freeze_classifier

    stored = distillation.needs_teacher and bool(config.teacher_targets_dir)
    runs_teacher = distillation.needs_teacher and not stored

    def match():
        train_outputs(distillation.trains_classifier)
        teachers = {role: networks[role] for role in config.teacher_roles} if runs_teacher else None
        return SerialDistiller(student, teachers, terms, _projection(student, teacher, terms), **options)

    def fine_tune():
        train_outputs(True)
        return Supervised(student, STUDENT, terms.objective, **options)

    name = "serial" if distillation.trains_classifier else "matching"
    roles = (*config.teacher_roles, STUDENT) if runs_teacher else (STUDENT,)
    stages = [Stage(name, match, roles, training.num_epochs, stored)]
    if not distillation.trains_classifier:
        stages.append(Stage("fine-tuning", fine_tune, (STUDENT,), training.finetune_epochs))
    return stages


def _projection(student, teacher, terms):
    """The layer that `representation_loss` needs between encodings of different sizes; None if it needs none."""
    if student.encoding_size == teacher.encoding_size or "representation_loss" not in terms.weights:
        return None
    layer = keras.layers.Dense(teacher.encoding_size, dtype="float32", name="projection")
    layer.build((None, student.encoding_size))
    return layer
