"""The student's objective, the same in serial and parallel training: which terms, at which weight."""

import dataclasses

from youtube8m_distill import schema
from youtube8m_distill.distillation import losses
from youtube8m_distill.training.losses import label_loss


@dataclasses.dataclass(frozen=True)
class StudentTerms:
    """Computes the loss terms of a student from its own and its teacher's outputs.

    Args:
        weights: dict from `representation_loss`, `prediction_loss`, `label_loss` and
            `intermediate_representation_loss` to a float; the terms that are minimised.
        prediction_distance: a key of `losses.DISTANCES`.
        intermediate_reduction: "mean" or "sum".
    """

    weights: dict
    prediction_distance: str = "kl"
    intermediate_reduction: str = "mean"

    @property
    def needs_frame_states(self):
        return "intermediate_representation_loss" in self.weights

    @property
    def loss_weights(self):
        """Weights under the names that a training scheme logs: `student/term`."""
        return {f"{schema.STUDENT}/{term}": weight for term, weight in self.weights.items()}

    def __call__(self, student, teacher, batch):
        """The terms named in `weights`.

        Args:
            student, teacher: outputs of the networks (`encoding`, `predictions`, where needed `frame_states`).
            batch: the nested batch of `schema.py`.
        Returns:
            dict `student/term` -> float32 [batch].
        """
        compute = {
            "representation_loss": lambda: losses.representation_loss(student["encoding"], teacher["encoding"]),
            "prediction_loss": lambda: losses.prediction_loss(student["predictions"], teacher["predictions"],
                                                              self.prediction_distance),
            "label_loss": lambda: label_loss(batch[schema.LABELS], student["predictions"]),
            "intermediate_representation_loss": lambda: losses.intermediate_representation_loss(
                student["frame_states"], teacher["frame_states"],
                batch[schema.STUDENT][schema.FRAME_INDICES], batch[schema.TEACHER][schema.FRAME_INDICES],
                self.intermediate_reduction),
        }
        return {f"{schema.STUDENT}/{term}": compute[term]() for term in self.weights}
