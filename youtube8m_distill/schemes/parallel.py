"""Parallel training: teacher and student learn together, on the same minibatch (CVPR 2019, section 4)."""

from typing import Any

import tensorflow as tf

from youtube8m_distill.families.mixture.network import Network
from youtube8m_distill.schema import STUDENT, TEACHER
from youtube8m_distill.schemes.objectives import LABELS_ALONE, LabelObjective, StudentTerms
from youtube8m_distill.schemes.scheme import Batch, Losses, TrainingScheme, by_role


class ParallelDistiller(TrainingScheme):
    """In one step, the teacher minimizes its label terms and the student minimizes its own terms.

    Both use the weights from before the step. The student's terms treat the teacher's encoding and predictions as
    constants, so they change the teacher only through a shared classifier.

    Args:
        student: VideoClassifier or NetworkMixture.
        teacher: likewise. The two share a classifier by holding the same layer objects.
        terms: what the student minimizes.
        teacher_objective: LabelObjective, or OnlineMixtureObjective if the teacher is a mixture.
    """

    def __init__(
        self,
        student: Network,
        teacher: Network,
        terms: StudentTerms,
        teacher_objective: LabelObjective = LABELS_ALONE,
        **kwargs: Any,
    ) -> None:
        self.terms, self.teacher_objective = terms, teacher_objective
        weights = {**by_role(TEACHER, teacher_objective.weights), **terms.loss_weights}
        super().__init__({STUDENT: student, TEACHER: teacher}, weights, **kwargs)

    def compute_losses(self, batch: Batch, training: bool) -> tuple[Losses, dict[str, tf.Tensor]]:
        states = self.terms.needs_frame_states
        teacher = self.networks[TEACHER](batch[TEACHER], training=training, frame_states=states)
        student = self.networks[STUDENT](batch[STUDENT], training=training, frame_states=states)
        # The student matches predictions without dropout, too.
        targets = {**teacher, **self.networks[TEACHER].classify_without_dropout(teacher, training)}
        terms = self.teacher_objective(teacher, batch)
        losses = {**by_role(TEACHER, terms), **self.terms(student, targets, batch)}
        return losses, {STUDENT: student["predictions"], TEACHER: teacher["predictions"]}
