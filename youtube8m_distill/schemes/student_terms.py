"""The student's objective, the same in serial and parallel training: which terms, at which weight."""

import dataclasses
import typing

from youtube8m_distill import schema
from youtube8m_distill.schemes import losses
from youtube8m_distill.schemes.objectives import LABELS_ALONE


@dataclasses.dataclass(frozen=True)
class StudentTerms:
    """Computes the loss terms of a student from its own and its teacher's outputs.

    Args:
        weights: dict from `representation_loss`, `prediction_loss`, `label_loss` and
            `intermediate_representation_loss` to a float; the terms that are minimized. `label_loss` stands for the
            student's whole label objective: it is a factor on each of that one's terms.
        prediction_distance: a key of `losses.DISTANCES`.
        intermediate_reduction: "mean" or "sum".
        objective: LabelObjective, or OnlineMixtureObjective where the student is a mixture.

    Mixtures fit in: a mixture's encoding is its members', one after the other, so `representation_loss` of two mixtures
    is the sum over corresponding networks. A single student may match a mixture's predictions.
    """

    weights: dict
    prediction_distance: str = "kl"
    intermediate_reduction: str = "mean"
    objective: typing.Any = LABELS_ALONE

    @property
    def needs_frame_states(self):
        return "intermediate_representation_loss" in self.weights

    @property
    def loss_weights(self):
        """Weights under the names that a training scheme logs: `student/term`."""
        weights = {}
        for term, weight in self.weights.items():
            own = self.objective.weights if term == "label_loss" else {term: 1.0}
            weights.update({f"{schema.STUDENT}/{name}": weight * factor for name, factor in own.items()})
        return weights

    def __call__(self, student, teacher, batch):
        """The terms of `loss_weights`.

        Args:
            student, teacher: outputs of the networks (`encoding`, `predictions`, where needed `frame_states`).
            batch: the nested batch of `schema.py`.
        Returns:
            dict `student/term` -> float32 [batch].
        """
        compute = {
            "representation_loss": lambda: losses.representation_loss(student["encoding"], teacher["encoding"]),
            "prediction_loss": lambda: losses.prediction_loss(
                student["predictions"], teacher["predictions"], self.prediction_distance
            ),
            "intermediate_representation_loss": lambda: losses.intermediate_representation_loss(
                student["frame_states"],
                teacher["frame_states"],
                batch[schema.STUDENT][schema.FRAME_INDICES],
                batch[schema.TEACHER][schema.FRAME_INDICES],
                self.intermediate_reduction,
            ),
        }
        terms = {}
        for term in self.weights:
            own = self.objective(student, batch[schema.LABELS]) if term == "label_loss" else {term: compute[term]()}
            terms.update({f"{schema.STUDENT}/{name}": value for name, value in own.items()})
        return terms
