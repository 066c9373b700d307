"""Serial training: a trained teacher, frozen, guides a student (CVPR 2019, section 4, training (a) to (e))."""

from youtube8m_distill import schema
from youtube8m_distill.schemes import targets
from youtube8m_distill.schemes.scheme import TrainingScheme


class SerialDistiller(TrainingScheme):
    """A student that matches a frozen teacher: no dropout in the teacher, none of its state moves.

    Args:
        student: VideoClassifier or NetworkMixture, trained.
        teacher: the same, left exactly as it is. It may share a classifier with the student only where that layer is
            frozen too. None where batches hold its targets, `schema.TARGETS` as `targets.pack` makes them: it is then
            not run, and batches need no frames of its own.
        terms: StudentTerms.
        **kwargs: of TrainingScheme, but for `networks` and `loss_weights`.
    """

    def __init__(self, student, teacher, terms, **kwargs):
        if teacher is None and terms.needs_frame_states:
            raise ValueError(
                "intermediate_representation_loss needs the teacher's frame states, and stored targets have "
                "none: hand over the teacher itself."
            )
        if teacher is not None:
            teacher.trainable = False
        self.terms = terms
        super().__init__({schema.STUDENT: student}, terms.loss_weights, **kwargs)
        self.teacher = teacher

    def compute_losses(self, batch, training):
        teacher, states = self._teach(batch), self.terms.needs_frame_states
        student = self.networks[schema.STUDENT](batch[schema.STUDENT], training=training, frame_states=states)
        return self.terms(student, teacher, batch), {schema.STUDENT: student["predictions"]}

    def _teach(self, batch):
        """What the student is to match: outputs of the teacher, run now or before the training."""
        if self.teacher is None:
            return targets.unpack(batch[schema.TARGETS], self.networks[schema.STUDENT].num_classes)
        return self.teacher(batch[schema.TEACHER], training=False, frame_states=self.terms.needs_frame_states)
