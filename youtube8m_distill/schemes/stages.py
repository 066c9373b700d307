"""Builds the student of a run and the stages of its training. The only file in this package that reads configurations."""

import dataclasses
import functools
from collections.abc import Callable

from youtube8m_distill import schema
from youtube8m_distill.config import DistillationConfig, NetworkConfig, RunConfig
from youtube8m_distill.families.build import build_model
from youtube8m_distill.families.mixture.network import Network
from youtube8m_distill.schemes.objectives import LABELS_ALONE, LabelTerms
from youtube8m_distill.schemes.online_mixture import OnlineMixtureObjective
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.scheme import TrainingScheme
from youtube8m_distill.schemes.serial import SerialDistiller
from youtube8m_distill.schemes.student_terms import StudentTerms
from youtube8m_distill.schemes.supervised import Supervised


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a training that has its own optimizer and schedule.

    Attributes:
        name: for messages.
        build_scheme: returns the TrainingScheme, not yet compiled, and sets which weights it trains. Call it when the
            stage starts.
        roles: the networks whose frames a batch holds.
        num_epochs: passes over the training videos.
        stored_targets: whether a batch holds the teacher's targets instead of its frames.
    """

    name: str
    build_scheme: Callable[[], TrainingScheme]
    roles: tuple[str, ...]
    num_epochs: int
    stored_targets: bool = False


def build_student(config: RunConfig, teacher: Network, dtype: str = "float32") -> Network:
    """The student of a run, with the classifier that its settings ask for.

    Serial: a layer of its own that starts from the teacher's weights; if frozen, the teacher's layer itself. Parallel:
    one layer for both. Without sharing: a layer of its own, newly initialized.

    Args:
        config: of mode serial or parallel.
        teacher: the built teacher.
        dtype: as for `build_model`.
    """
    distillation = config.distillation
    assert distillation is not None, "RunConfig requires it of students"
    one_layer = distillation.share_classifier and (config.mode == "parallel" or distillation.freeze_classifier)
    student = build_model(
        config.networks[schema.STUDENT], dtype, teacher.output_layers if one_layer else None, schema.STUDENT
    )
    student.preprocessing.set_weights(teacher.preprocessing.get_weights())
    if distillation.share_classifier and not one_layer:
        for own, taught in zip(student.output_layers, teacher.output_layers, strict=True):
            own.set_weights(taught.get_weights())
    return student


def label_objective(network: NetworkConfig) -> LabelTerms:
    """What a network minimizes to fit the labels."""
    if network.is_mixture:
        settings = network.settings()
        return OnlineMixtureObjective(settings["cl_temperature"], settings["stop_mixture_gradient"])
    return LABELS_ALONE


def student_terms(distillation: DistillationConfig, student: NetworkConfig) -> StudentTerms:
    """What a student minimizes."""
    named = {
        "rep": ("representation_loss", distillation.rep_weight),
        "pred": ("prediction_loss", distillation.pred_weight),
        "ce": ("label_loss", distillation.ce_weight),
    }
    weights = dict(named[term] for term in distillation.student_loss)
    if distillation.match_intermediate:
        weights["intermediate_representation_loss"] = distillation.intermediate_weight
    return StudentTerms(
        weights, distillation.prediction_distance, distillation.intermediate_reduction, label_objective(student)
    )


def build_stages(config: RunConfig, networks: dict[str, Network]) -> list[Stage]:
    """The stages of a run, in order.

    There is one stage, except in a serial run on `rep` alone: there the encoder first matches the teacher's, then encoder
    and classifier are fine-tuned on the label loss with a new optimizer and schedule (CVPR 2019, training (a)).

    Args:
        config: of the run.
        networks: role -> network.
    """
    training, distillation = config.training, config.distillation
    options = {"regularization_penalty": training.regularization_penalty, "clip_gradient_norm": training.clip_gradient_norm}
    teacher = networks[schema.TEACHER]
    objectives = {role: label_objective(network) for role, network in config.networks.items()}
    if distillation is None:
        build = functools.partial(Supervised, teacher, schema.TEACHER, objectives[schema.TEACHER], **options)
        return [Stage("teacher", build, (schema.TEACHER,), training.num_epochs)]

    student, terms = networks[schema.STUDENT], student_terms(distillation, config.networks[schema.STUDENT])
    both, alone, stored = (schema.TEACHER, schema.STUDENT), (schema.STUDENT,), bool(config.teacher_targets_dir)
    if config.mode == "parallel":
        build = functools.partial(ParallelDistiller, student, teacher, terms, objectives[schema.TEACHER], **options)
        return [Stage("parallel", build, both, training.num_epochs)]

    def train_outputs(trainable):
        for layer in student.output_layers:
            layer.trainable = trainable and not distillation.freeze_classifier

    def match():
        train_outputs(distillation.trains_classifier)
        return SerialDistiller(student, None if stored else teacher, terms, **options)

    def fine_tune():
        train_outputs(True)
        return Supervised(student, schema.STUDENT, objectives[schema.STUDENT], **options)

    name = "serial" if distillation.trains_classifier else "matching"
    first = Stage(name, match, alone if stored else both, training.num_epochs, stored)
    if distillation.trains_classifier:
        return [first]
    return [first, Stage("fine-tuning", fine_tune, alone, training.finetune_epochs)]
