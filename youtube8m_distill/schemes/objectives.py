"""What a network minimizes, from the labels, the mixture that it is in, or its teacher: named terms and their weights."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from keras import ops

from youtube8m_distill import schema
from youtube8m_distill.layers.replicas import gather_over_replicas, own_rows
from youtube8m_distill.schemes import losses
from youtube8m_distill.schemes.scheme import Batch, Losses, by_role
from youtube8m_distill.settings import require

TERMS = (
    "representation_loss",
    "prediction_loss",
    "label_loss",
    "relation_loss",
    "topk_logit_loss",
    "intermediate_representation_loss",
)
Outputs = Mapping[str, Any]  # of a network; a mixture's `members` are a list of such


@dataclasses.dataclass(frozen=True)
class LabelObjective:
    """L_CE alone (CVPR 2019, equation 1): for every network that is not a mixture. A subclass may have other terms.

    Args:
        label_loss: a key of `losses.LABEL_LOSSES`.
    """

    label_loss: str = dataclasses.field(default="CrossEntropyLoss", kw_only=True)

    @property
    def weights(self) -> Mapping[str, float]:
        """Term -> weight. A training scheme minimizes the weighted sum of these terms."""
        return {"label_loss": 1.0}

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        """The terms named in `weights`, float32 [batch], from a network's outputs and the labels of the batch."""
        return {"label_loss": self._label_loss(outputs, batch)}

    def _label_loss(self, outputs, batch):
        found = outputs["predictions"], outputs.get("logits"), batch.get(schema.LABEL_WEIGHTS)
        return losses.LABEL_LOSSES[self.label_loss](batch[schema.LABELS], *found)


LABELS_ALONE = LabelObjective()


@dataclasses.dataclass(frozen=True)
class OnlineMixtureObjective(LabelObjective):
    """For a mixture, which teaches its members: label losses of all its networks, and KL (MOD 2019, equations 6 and 7).

    L = L_CE(mixture) + sum of L_CE(sub-model) + T^2 sum over (mixture, member) of KL(mixture || member)

    A MOD of 4 x 3 has 1 + 4 + 12 label losses and 4 + 12 divergences. In the release, T^2 is a separate setting.

    Args:
        temperature: T; 0 leaves the divergences out. The paper fine-tunes with 20; its release pretrains with 1.
        stop_mixture_gradient: whether the divergences treat the mixtures as constants. In the release they do not.
    """

    temperature: float
    stop_mixture_gradient: bool = False

    def __post_init__(self) -> None:
        reason = "choose a finite number above 0, or 0 to leave the online distillation loss out."
        require(0 <= self.temperature < math.inf, "temperature", reason, self.temperature)

    @property
    def weights(self) -> Mapping[str, float]:
        labels = {"label_loss": 1.0, "submodel_label_loss": 1.0}
        # T^2 makes up for the division of the logits by T, which shrinks gradients.
        return {**labels, "online_distillation_loss": self.temperature**2} if self.temperature else labels

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        edges = _edges(outputs)
        terms = {
            "label_loss": self._label_loss(outputs, batch),
            "submodel_label_loss": sum(self._label_loss(member, batch) for _, member in edges),
        }
        if self.temperature:
            taught = ops.stop_gradient if self.stop_mixture_gradient else lambda logits: logits
            terms["online_distillation_loss"] = sum(
                losses.softened_kl(taught(parent["logits"]), member["logits"], self.temperature) for parent, member in edges
            )
        return terms


def _edges(outputs):
    """Every pair of a mixture's outputs and the outputs of one of its members, from the root down."""
    below = [(outputs, member) for member in outputs["members"]]
    return below + [edge for member in outputs["members"] if "members" in member for edge in _edges(member)]


@dataclasses.dataclass(frozen=True)
class StudentTerms:
    """The loss terms of a student, from its own and its teacher's outputs.

    Mixtures fit in: a mixture's encoding is the concatenation of its members' encodings, so `representation_loss` of two
    mixtures is the sum over corresponding networks. A single student may match a mixture's predictions.

    Args:
        weights: from some of TERMS to a weight; these terms are minimized. `label_loss` stands for the whole label
            objective: its weight multiplies each of its terms.
        prediction_distance: a key of `losses.DISTANCES`.
        intermediate_reduction: "mean" or "sum".
        objective: LabelObjective, or OnlineMixtureObjective if the student is a mixture.
        representation_scale: "none", or "dimension" to divide `representation_loss` by the size of the encoding.
        topk_temperature: T of `topk_logit_loss`.
    """

    weights: Mapping[str, float]
    prediction_distance: str = "kl"
    intermediate_reduction: str = "mean"
    objective: LabelObjective = LABELS_ALONE
    representation_scale: str = "none"
    topk_temperature: float = 2.0

    def __post_init__(self) -> None:
        for term in self.weights:
            require(term in TERMS, "weights", f"{term!r} is unknown; choose among {', '.join(TERMS)}.")

    @property
    def needs_teacher(self) -> bool:
        """Whether any term compares the student with its teacher."""
        return set(self.weights) != {"label_loss"}

    @property
    def needs_encoding(self) -> bool:
        """Whether any term compares encodings or states."""
        return not {"representation_loss", "relation_loss", "intermediate_representation_loss"}.isdisjoint(self.weights)

    @property
    def needs_frame_states(self) -> bool:
        """Whether networks must return their state after each frame."""
        return "intermediate_representation_loss" in self.weights

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weights under the names that a training scheme logs: `student/term`."""
        weights = {}
        for term, weight in self.weights.items():
            own = self.objective.weights if term == "label_loss" else {term: 1.0}
            weights.update({name: weight * factor for name, factor in own.items()})
        return by_role(schema.STUDENT, weights)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> Losses:
        """The terms named in `loss_weights`, float32 [batch].

        Of the networks' outputs, they use `encoding`, `predictions`, `logits` if there are any and, if needed,
        `frame_states`. `representation_loss` is that of the student's `projected_encoding` if it is given.
        """
        terms = {}
        for term in self.weights:
            if term == "label_loss":
                terms.update(self.objective(student, batch))
            elif term == "representation_loss":
                pair = student.get("projected_encoding", student["encoding"]), teacher["encoding"]
                terms[term] = losses.representation_loss(*pair, self.representation_scale)
            elif term == "relation_loss":
                terms[term] = _relation_loss(student["encoding"], teacher["encoding"])
            elif term == "topk_logit_loss":
                terms[term] = losses.topk_logit_loss(student, teacher, self.topk_temperature)
            elif term == "prediction_loss":
                pair = student["predictions"], teacher["predictions"]
                terms[term] = losses.prediction_loss(*pair, self.prediction_distance, student.get("logits"))
            elif term == "intermediate_representation_loss":
                states = student["frame_states"], teacher["frame_states"]
                seen = batch[schema.STUDENT][schema.FRAME_INDICES], batch[schema.TEACHER][schema.FRAME_INDICES]
                terms[term] = losses.intermediate_representation_loss(*states, *seen, self.intermediate_reduction)
            else:
                raise NotImplementedError(term)
        return by_role(schema.STUDENT, terms)


def _relation_loss(student, teacher):
    """The relation loss of this replica's videos, with the pairs of the whole global batch."""
    encodings = [ops.cast(encoding, "float32") for encoding in (student, teacher)]
    rows = losses.relation_loss(*gather_over_replicas(encodings))
    return own_rows(rows, ops.shape(student)[0])
