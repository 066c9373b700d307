"""Serial training: a trained, frozen teacher guides a student (CVPR 2019, section 4, training (a) to (e))."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from youtube8m_distill.families.mixture.network import Network
from youtube8m_distill.schema import STUDENT, TARGETS, TEACHER
from youtube8m_distill.schemes import targets
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.scheme import Batch, Losses, TrainingScheme


class SerialDistiller(TrainingScheme):
    """A student that matches a frozen teacher. The teacher runs without dropout and none of its state changes.

    >>> all_frames = network_config("FrameLevelLogisticModel", num_classes=5)
    >>> ten_frames = all_frames.with_view(FrameView(frame_selection="uniform", frames_per_video=10))
    >>> terms = StudentTerms({"prediction_loss": 0.5, "label_loss": 1.0})
    >>> scheme = SerialDistiller(build_model(ten_frames), build_model(all_frames), terms)
    >>> scheme.loss_weights
    {'student/prediction_loss': 0.5, 'student/label_loss': 1.0}

    Args:
        student: VideoClassifier or NetworkMixture, trained by this scheme.
        teacher: the same kind; it is set to `trainable=False`. It may share a classifier with the student only if that
            layer is frozen too. Several, by role, teach the mean of their predictions, but no encoding. None if batches hold
            its targets, `schema.TARGETS` from `targets.pack`, or if the terms need no teacher: then it does not run, and
            batches need no frames for it.
        terms: what the student minimizes.
        projection: a built layer from the student's encoding to the size of the teacher's, for `representation_loss` of
            encodings of different sizes. It is trained with the student, which does not contain it.
    """

    def __init__(
        self,
        student: Network,
        teacher: Network | Mapping[str, Network] | None,
        terms: StudentTerms,
        projection: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        teachers = {} if teacher is None else dict(teacher) if isinstance(teacher, Mapping) else {TEACHER: teacher}
        for each in teachers.values():
            each.trainable = False
        if not teachers and terms.needs_frame_states:
            reason = "needs the teacher's frame states, and stored targets have none: pass the teacher itself."
            raise ValueError(f"intermediate_representation_loss {reason}")
        if len(teachers) > 1 and terms.needs_encoding:
            raise ValueError(f"{', '.join(terms.weights)}: several teachers have no common encoding; use their predictions.")
        self.terms = terms
        super().__init__({STUDENT: student}, terms.loss_weights, **kwargs)
        self.teachers, self.projection = teachers, projection

    @property
    def teacher(self) -> Network | None:
        """The teacher, of several the first; None if it does not run."""
        return self.teachers.get(TEACHER)

    @property
    def auxiliary_variables(self) -> list[keras.Variable]:
        return [] if self.projection is None else self.projection.variables

    def compute_losses(self, batch: Batch, training: bool) -> tuple[Losses, dict[str, tf.Tensor]]:
        network, states = self.networks[STUDENT], self.terms.needs_frame_states
        if not self.terms.needs_teacher:
            teacher = {}
        elif self.teachers:
            teacher = targets.of_teachers(self.teachers, batch, states)
        else:
            teacher = targets.unpack(batch[TARGETS], network.num_classes)
        student = network(batch[STUDENT], training=training, frame_states=states)
        outputs = student
        if self.projection is not None:
            outputs = {**student, "projected_encoding": self.projection(student["encoding"])}
        return self.terms(outputs, teacher, batch), {STUDENT: student["predictions"]}
