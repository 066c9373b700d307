"""Parallel training: teacher and student learn together, on the same minibatch (CVPR 2019, section 4)."""

from youtube8m_distill import schema
from youtube8m_distill.training.losses import label_loss
from youtube8m_distill.training.step import TrainingScheme


class ParallelDistiller(TrainingScheme):
    """The teacher minimises L_CE and the student its own terms, in one step, from the weights before that step.

    The student's terms hold the teacher's encoding and predictions constant, so they move the teacher through a shared
    classifier only.

    Args:
        student, teacher: VideoClassifier. With sharing, their `classifier` is one object.
        terms: StudentTerms.
        **kwargs: of TrainingScheme, but for `networks` and `loss_weights`.
    """

    def __init__(self, student, teacher, terms, **kwargs):
        self.terms = terms
        super().__init__({schema.STUDENT: student, schema.TEACHER: teacher},
                         {f"{schema.TEACHER}/label_loss": 1.0, **terms.loss_weights}, **kwargs)

    def compute_losses(self, batch, training):
        states = self.terms.needs_frame_states
        teacher = self.networks[schema.TEACHER](batch[schema.TEACHER], training=training, frame_states=states)
        student = self.networks[schema.STUDENT](batch[schema.STUDENT], training=training, frame_states=states)
        losses = {f"{schema.TEACHER}/label_loss": label_loss(batch[schema.LABELS], teacher["predictions"]),
                  **self.terms(student, self._targets(teacher), batch)}
        return losses, {schema.STUDENT: student["predictions"], schema.TEACHER: teacher["predictions"]}

    def _targets(self, outputs):
        """The teacher's outputs as the student is to match them: its predictions too without dropout."""
        return {**outputs, "predictions": self.networks[schema.TEACHER].classifier(outputs["encoding"])}
