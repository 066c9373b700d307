"""Parallel training: teacher and student learn together, on the same minibatch (CVPR 2019, section 4)."""

from typing import Any

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.families.mixture.network import Network
from youtube8m_distill.schemes.objectives import LABELS_ALONE, LabelTerms
from youtube8m_distill.schemes.scheme import Batch, Losses, TrainingScheme, by_role
from youtube8m_distill.schemes.student_terms import StudentTerms


class ParallelDistiller(TrainingScheme):
    """In one step, the teacher minimizes its label terms and the student minimizes its own terms.

    Both use the weights from before the step. The student's terms treat the teacher's encoding and predictions as
    constants, so they change the teacher only through a shared classifier.

    Args:
        student: VideoClassifier or NetworkMixture.
        teacher: likewise. The two share a classifier by holding the same layer objects.
        terms: what the student minimizes.
        teacher_objective: LabelObjective, or OnlineMixtureObjective if the teacher is a mixture.
        **kwargs: of TrainingScheme.
    """

    def __init__(
        self,
        student: Network,
        teacher: Network,
        terms: StudentTerms,
        teacher_objective: LabelTerms = LABELS_ALONE,
        **kwargs: Any,
    ) -> None:
        self.terms = terms
        self.teacher_objective = teacher_objective
        weights = {**by_role(schema.TEACHER, teacher_objective.weights), **terms.loss_weights}
        super().__init__({schema.STUDENT: student, schema.TEACHER: teacher}, weights, **kwargs)

    def compute_losses(self, batch: Batch, training: bool) -> tuple[Losses, dict[str, tf.Tensor]]:
        states = self.terms.needs_frame_states
        teacher = self.networks[schema.TEACHER](batch[schema.TEACHER], training=training, frame_states=states)
        student = self.networks[schema.STUDENT](batch[schema.STUDENT], training=training, frame_states=states)
        losses = {
            **by_role(schema.TEACHER, self.teacher_objective(teacher, batch[schema.LABELS])),
            **self.terms(student, self._targets(teacher, training), batch),
        }
        return losses, {schema.STUDENT: student["predictions"], schema.TEACHER: teacher["predictions"]}

    def _targets(self, outputs, training):
        """The teacher's outputs that the student matches: the predictions, too, are those without dropout."""
        predictions = self.networks[schema.TEACHER].predictions_without_dropout(outputs, training)
        return {**outputs, "predictions": predictions}
