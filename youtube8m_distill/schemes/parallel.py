"""Parallel training: teacher and student learn together, on the same minibatch (CVPR 2019, section 4)."""

from youtube8m_distill import schema
from youtube8m_distill.schemes.objectives import LABELS_ALONE
from youtube8m_distill.schemes.scheme import TrainingScheme


class ParallelDistiller(TrainingScheme):
    """The teacher minimizes its label objective, L_CE, and the student its own terms, in one step.

    Both start from the weights before that step. The student's terms hold the teacher's encoding and predictions
    constant, so they move the teacher through a shared classifier only.

    Args:
        student, teacher: VideoClassifier or NetworkMixture. With sharing, each of their `classifiers` is one object.
        terms: StudentTerms.
        teacher_objective: LabelObjective, or OnlineMixtureObjective where the teacher is a mixture.
        **kwargs: of TrainingScheme, but for `networks` and `loss_weights`.
    """

    def __init__(self, student, teacher, terms, teacher_objective=LABELS_ALONE, **kwargs):
        self.terms = terms
        self.teacher_objective = teacher_objective
        weights = {f"{schema.TEACHER}/{term}": weight for term, weight in teacher_objective.weights.items()}
        super().__init__({schema.STUDENT: student, schema.TEACHER: teacher}, {**weights, **terms.loss_weights}, **kwargs)

    def compute_losses(self, batch, training):
        states = self.terms.needs_frame_states
        teacher = self.networks[schema.TEACHER](batch[schema.TEACHER], training=training, frame_states=states)
        student = self.networks[schema.STUDENT](batch[schema.STUDENT], training=training, frame_states=states)
        own = self.teacher_objective(teacher, batch[schema.LABELS])
        losses = {
            **{f"{schema.TEACHER}/{term}": value for term, value in own.items()},
            **self.terms(student, self._targets(teacher, training), batch),
        }
        return losses, {schema.STUDENT: student["predictions"], schema.TEACHER: teacher["predictions"]}

    def _targets(self, outputs, training):
        """The teacher's outputs as the student is to match them: its predictions too without dropout."""
        predictions = self.networks[schema.TEACHER].predictions_without_dropout(outputs, training)
        return {**outputs, "predictions": predictions}
