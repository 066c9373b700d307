"""The student's loss terms and their weights, the same in serial and in parallel training."""

import dataclasses
from collections.abc import Mapping

from youtube8m_distill import schema
from youtube8m_distill.schemes import losses
from youtube8m_distill.schemes.objectives import LABELS_ALONE, LabelObjective, Outputs
from youtube8m_distill.schemes.scheme import Batch, Losses, by_role
from youtube8m_distill.settings import require

TERMS = ("representation_loss", "prediction_loss", "label_loss", "intermediate_representation_loss")


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
    Raises:
        SettingError: if a term is unknown.
    """

    weights: Mapping[str, float]
    prediction_distance: str = "kl"
    intermediate_reduction: str = "mean"
    objective: LabelObjective = LABELS_ALONE

    def __post_init__(self) -> None:
        for term in self.weights:
            require(term in TERMS, "weights", f"{term!r} is unknown; choose among {', '.join(TERMS)}.")

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

        Args:
            student, teacher: outputs of the networks: `encoding`, `predictions` and, if needed, `frame_states`.
            batch: nested by role, as in `schema.py`.
        """
        terms = {}
        for term in self.weights:
            if term == "label_loss":
                terms.update(self.objective(student, batch[schema.LABELS]))
            elif term == "representation_loss":
                terms[term] = losses.representation_loss(student["encoding"], teacher["encoding"])
            elif term == "prediction_loss":
                pair = student["predictions"], teacher["predictions"]
                terms[term] = losses.prediction_loss(*pair, self.prediction_distance)
            else:
                states = student["frame_states"], teacher["frame_states"]
                seen = batch[schema.STUDENT][schema.FRAME_INDICES], batch[schema.TEACHER][schema.FRAME_INDICES]
                terms[term] = losses.intermediate_representation_loss(*states, *seen, self.intermediate_reduction)
        return by_role(schema.STUDENT, terms)
