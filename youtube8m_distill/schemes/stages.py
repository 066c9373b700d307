"""From configurations to a student and the scheme that trains it. The only file of this room that knows them."""

import dataclasses
import typing

from youtube8m_distill import schema
from youtube8m_distill.families.build import build_model
from youtube8m_distill.schemes.objectives import LabelObjective
from youtube8m_distill.schemes.online_mixture import OnlineMixtureObjective
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.serial import SerialDistiller
from youtube8m_distill.schemes.student_terms import StudentTerms
from youtube8m_distill.schemes.supervised import Supervised


@dataclasses.dataclass(frozen=True)
class Stage:
    """One optimizer's worth of training.

    Attributes:
        name: for messages.
        build_scheme: function without arguments that returns the TrainingScheme, not yet compiled, and sets which
            weights move in it. Call it when the stage begins.
        roles: the networks whose frames a batch holds.
        num_epochs: int.
        stored_targets: bool, whether a batch holds the teacher's targets in place of its frames.
    """

    name: str
    build_scheme: typing.Callable
    roles: tuple
    num_epochs: int
    stored_targets: bool = False


def build_student(config, teacher, dtype="float32"):
    """The student of a run, with the classifier that its settings ask for.

    Serial: the student's own layer, which starts from the teacher's weights; or, frozen, the teacher's very layer.
    Parallel: one layer for both. Without sharing: its own layer, newly initialized.

    Args:
        config: RunConfig of mode serial or parallel.
        teacher: VideoClassifier.
        dtype: as for `build_model`.
    """
    distillation = config.distillation
    one_layer = distillation.share_classifier and (config.mode == "parallel" or distillation.freeze_classifier)
    student = build_model(
        config.networks[schema.STUDENT], dtype, teacher.output_layers if one_layer else None, schema.STUDENT
    )
    student.preprocessing.set_weights(teacher.preprocessing.get_weights())
    if distillation.share_classifier and not one_layer:
        for ours, theirs in zip(student.output_layers, teacher.output_layers, strict=True):
            ours.set_weights(theirs.get_weights())
    return student


def label_objective(network):
    """What a network minimizes where it learns from labels, from its NetworkConfig."""
    if network.is_mixture:
        return OnlineMixtureObjective(network.family.cl_temperature, network.family.stop_mixture_gradient)
    return LabelObjective()


def student_terms(distillation, student):
    """The StudentTerms of a DistillationConfig and the student's NetworkConfig."""
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


def build_stages(config, networks):
    """What a run trains, in order.

    One stage, but for a serial run on `rep` alone: there the encoder first matches the teacher's, then encoder and
    classifier are fine-tuned with the label loss, under a fresh optimizer and schedule (CVPR 2019, training (a)).

    Args:
        config: RunConfig.
        networks: dict role -> VideoClassifier.
    Returns:
        list of Stage.
    """
    training, distillation = config.training, config.distillation
    options = {"regularization_penalty": training.regularization_penalty, "clip_gradient_norm": training.clip_gradient_norm}
    teacher, student = networks[schema.TEACHER], networks.get(schema.STUDENT)
    both, alone = (schema.TEACHER, schema.STUDENT), (schema.STUDENT,)
    stored = bool(config.teacher_targets_dir)
    objectives = {role: label_objective(network) for role, network in config.networks.items()}

    def train_outputs(trainable):
        for layer in student.output_layers:
            layer.trainable = trainable and not distillation.freeze_classifier

    def match():
        train_outputs(distillation.trains_classifier)
        terms = student_terms(distillation, config.networks[schema.STUDENT])
        return SerialDistiller(student, None if stored else teacher, terms, **options)

    def fine_tune():
        train_outputs(True)
        return Supervised(student, schema.STUDENT, objectives[schema.STUDENT], **options)

    def together():
        terms = student_terms(distillation, config.networks[schema.STUDENT])
        return ParallelDistiller(student, teacher, terms, objectives[schema.TEACHER], **options)

    if config.mode == "teacher":
        return [
            Stage(
                "teacher",
                lambda: Supervised(teacher, schema.TEACHER, objectives[schema.TEACHER], **options),
                (schema.TEACHER,),
                training.num_epochs,
            )
        ]
    if config.mode == "parallel":
        return [Stage("parallel", together, both, training.num_epochs)]
    name = "serial" if distillation.trains_classifier else "matching"
    first = Stage(name, match, alone if stored else both, training.num_epochs, stored)
    if distillation.trains_classifier:
        return [first]
    return [first, Stage("fine-tuning", fine_tune, alone, training.finetune_epochs)]
