"""Serial training: a trained teacher, frozen, guides a student (CVPR 2019, section 4, training (a) to (e))."""

from youtube8m_distill import schema
from youtube8m_distill.training.step import TrainingScheme


class SerialDistiller(TrainingScheme):
    """A student that matches a frozen teacher: no dropout in the teacher, none of its state moves.

    Args:
        student: VideoClassifier or NetworkMixture, trained.
        teacher: the same, left exactly as it is. It may share a classifier with the student only where that layer is
            frozen too.
        terms: StudentTerms.
        **kwargs: of TrainingScheme, but for `networks` and `loss_weights`.
    """

    def __init__(self, student, teacher, terms, **kwargs):
        teacher.trainable = False
        self.terms = terms
        super().__init__({schema.STUDENT: student}, terms.loss_weights, **kwargs)
        self.teacher = teacher

    def compute_losses(self, batch, training):
        states = self.terms.needs_frame_states
        teacher = self.teacher(batch[schema.TEACHER], training=False, frame_states=states)
        student = self.networks[schema.STUDENT](batch[schema.STUDENT], training=training, frame_states=states)
        return self.terms(student, teacher, batch), {schema.STUDENT: student["predictions"]}
