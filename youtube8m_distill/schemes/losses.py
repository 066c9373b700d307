"""What networks minimize: one number per video (CVPR 2019, equations 1 to 4; MOD 2019, equation 7).

The teacher is a constant in every distillation loss; its gradient is stopped here.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from keras import ops

from youtube8m_distill.schema import TOP_K

EPSILON = 1e-5  # of the starter code
TINY = 1e-30  # a normal number of float32
SAME_ENCODING = 1e-12  # a squared distance below this share of the squared lengths is 0: float32 resolves no less
STANDARD_DEVIATION_EPSILON = 1e-7  # of the code of logit standardization
# Larger logits carry no information: sigmoid(30) is 1 in float32, sigmoid(-30) is 1e-13, and the losses clip at 1e-5.
LARGEST_LOGIT = 30.0


def label_loss(
    labels: tf.Tensor, predictions: tf.Tensor, logits: tf.Tensor | None = None, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """L_CE: the starter code's `CrossEntropyLoss`, *summed* over the classes (Keras' loss takes the mean).

    >>> loss = label_loss(tf.constant([[1, 0]]), tf.constant([[0.5, 0.5]]))  # 2 log 2
    >>> print(f"{float(loss[0]):.3f}")
    1.386

    Labels are 0 or 1 in any numeric dtype, predictions float32 from 0 to 1, both [batch, num_classes]. `logits` are those of
    the predictions, if the classifier has them: where a prediction rounds to 1, they keep its gradient. `weights`, like the
    labels, multiply the terms of the sum: a class with weight 0 contributes nothing. float32 [batch].
    """
    labels = ops.cast(labels, "float32")
    complement = 1.0 - predictions if logits is None else ops.sigmoid(-logits)
    present = labels * ops.log(predictions + EPSILON)
    absent = (1.0 - labels) * ops.log(complement + EPSILON)
    terms = present + absent
    return -ops.sum(terms if weights is None else terms * ops.cast(weights, "float32"), axis=-1)


def softmax_loss(
    labels: tf.Tensor, predictions: tf.Tensor, logits: tf.Tensor | None = None, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Cross-entropy with one distribution over all classes, for videos of one class each.

    Unlike the starter code's `SoftmaxLoss`, which takes the softmax of predictions that are already probabilities, this is
    the softmax of the logits or, if the classifier has none, the predictions divided by their sum. Several labels share the
    probability equally; a video without labels costs 0. Arguments and result as for `label_loss`, but without weights: the
    distribution is over all classes, also those that nobody has rated.
    """
    if weights is not None:
        raise ValueError("SoftmaxLoss takes no label weights; use CrossEntropyLoss for segments.")
    labels = ops.cast(labels, "float32")
    share = labels / ops.maximum(ops.sum(labels, axis=-1, keepdims=True), 1.0)
    scores = ops.log(_squeezed(predictions)) if logits is None else logits
    return -ops.sum(share * ops.log_softmax(scores, axis=-1), axis=-1)


LABEL_LOSSES = {"CrossEntropyLoss": label_loss, "SoftmaxLoss": softmax_loss}


def representation_loss(student: tf.Tensor, teacher: tf.Tensor, scale: str = "none") -> tf.Tensor:
    """L_rep (equation 2): squared L2 distance of encodings without dropout, float [batch, D]. float32 [batch].

    With `scale` "dimension", it is divided by D.
    """
    difference = ops.stop_gradient(ops.cast(teacher, "float32")) - ops.cast(student, "float32")
    reduce = ops.mean if scale == "dimension" else ops.sum
    return reduce(ops.square(difference), axis=-1)


def relation_loss(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """The distance-wise loss of relational distillation (RKD-D; Park et al., CVPR 2019), one number for each row.

    The Euclidean distances between the encodings of a minibatch, divided by their mean over all pairs of different
    encodings, are compared by the Huber loss with threshold 1. Row i is the mean over the pairs of video i, so the mean over
    the batch is the mean over all pairs.

    Args:
        student, teacher: encodings without dropout, float [batch, D_S] and [batch, D_T]; the sizes may differ.
    Returns:
        float32 [batch]; 0 for a batch of one.
    """
    difference = ops.abs(_relative_distances(student) - _relative_distances(ops.stop_gradient(teacher)))  # [B, B]
    huber = ops.where(difference < 1.0, 0.5 * ops.square(difference), difference - 0.5)
    others = ops.maximum(ops.shape(student)[0] - 1, 1)
    return ops.cast(ops.sum(huber, axis=-1) / ops.cast(others, huber.dtype), "float32")


def _relative_distances(encodings):
    """Distances between all rows, divided by their mean over the pairs that are apart. float64 [batch, batch]."""
    # In float64: the squared distance is a difference of products, which a GPU may round to few bits.
    x = ops.cast(encodings, "float64")
    squares = ops.sum(ops.square(x), axis=-1)
    sums = squares[:, None] + squares[None, :]
    squared_distances = sums - 2.0 * ops.matmul(x, ops.transpose(x))
    apart = squared_distances > SAME_ENCODING * sums
    apart = ops.logical_and(apart, ops.logical_not(ops.eye(ops.shape(x)[0], dtype="bool")))
    # The root of 0 would have an infinite gradient, and 0 times that is NaN.
    distances = ops.where(apart, ops.sqrt(ops.where(apart, squared_distances, 1.0)), 0.0)
    count = ops.sum(ops.cast(apart, "float64"))
    return distances / ops.where(count > 0, ops.sum(distances) / ops.maximum(count, 1.0), 1.0)


def intermediate_representation_loss(
    student_states: tf.Tensor,
    teacher_states: tf.Tensor,
    student_indices: tf.Tensor,
    teacher_indices: tf.Tensor,
    reduction: str = "mean",
) -> tf.Tensor:
    """L_rep^I: squared distance of the lower LSTM's states after each frame that both networks saw (equation 3).

    Args:
        student_states, teacher_states: float [batch, k, D] and [batch, T, D], the state after each frame.
        student_indices, teacher_indices: int32 [batch, k] and [batch, T], the frame index of each; negative in padding.
        reduction: "mean" over the common frames, or "sum" as in the equation.
    Returns:
        float32 [batch]; 0 for videos without common frames.
    """
    same = ops.equal(student_indices[:, :, None], teacher_indices[:, None, :])  # [B, k, T]
    same = ops.logical_and(same, student_indices[:, :, None] >= 0)
    common = ops.cast(ops.any(same, axis=-1), "float32")  # [B, k]
    rows = ops.argmax(ops.cast(same, "int32"), axis=-1)  # [B, k]
    matched = ops.take_along_axis(ops.stop_gradient(teacher_states), rows[:, :, None], axis=1)
    difference = ops.cast(matched, "float32") - ops.cast(student_states, "float32")
    distance = ops.sum(common * ops.sum(ops.square(difference), axis=-1), axis=-1)
    return distance if reduction == "sum" else distance / ops.maximum(ops.sum(common, axis=-1), 1.0)


def bernoulli_kl(teacher: tf.Tensor, student: tf.Tensor, student_logits: tf.Tensor | None = None) -> tf.Tensor:
    """KL(P_T || P_S) of independent Bernoullis, summed over the classes."""
    if student_logits is None:
        p, not_p = _squeezed(teacher), _squeezed(1.0 - teacher)
        log_q, log_not_q = ops.log(_squeezed(student)), ops.log(_squeezed(1.0 - student))
    else:
        p, not_p = teacher, 1.0 - teacher
        log_q, log_not_q = ops.log_sigmoid(student_logits), ops.log_sigmoid(-student_logits)
    return ops.sum(p * (_log(p) - log_q) + not_p * (_log(not_p) - log_not_q), axis=-1)


def categorical_kl(teacher: tf.Tensor, student: tf.Tensor, student_logits: tf.Tensor | None = None) -> tf.Tensor:
    """KL of the probabilities normalized over the classes, as in the paper's released code."""
    if student_logits is None:
        teacher, log_q = _squeezed(teacher), ops.log(_squeezed(student))
    else:
        log_q = ops.log_sigmoid(student_logits)
    p = teacher / ops.maximum(ops.sum(teacher, axis=-1, keepdims=True), TINY)
    return ops.sum(p * (_log(p) - log_q), axis=-1) + ops.logsumexp(log_q, axis=-1)


def squared(teacher: tf.Tensor, student: tf.Tensor, student_logits: tf.Tensor | None = None) -> tf.Tensor:
    """Squared L2 distance of float32 [batch, D]."""
    return ops.sum(ops.square(teacher - student), axis=-1)


def _squeezed(probabilities):
    """0 .. 1 mapped to EPSILON .. 1 - EPSILON. Unlike clipping, this has a gradient everywhere."""
    return EPSILON + (1.0 - 2.0 * EPSILON) * probabilities


def _log(probabilities):
    """The logarithm, finite at 0, where it is multiplied by 0."""
    return ops.log(ops.maximum(probabilities, TINY))


DISTANCES = {"kl": bernoulli_kl, "categorical_kl": categorical_kl, "squared": squared}


def prediction_loss(
    student: tf.Tensor, teacher: tf.Tensor, distance: str = "kl", student_logits: tf.Tensor | None = None
) -> tf.Tensor:
    """L_pred = d(P_T, P_S) (equation 4); `distance` is a key of DISTANCES. float32 [batch].

    Predictions are float32 [batch, num_classes], from 0 to 1. The KLs are computed from the student's logits if its
    classifier has them. Otherwise both predictions are first mapped linearly to 1e-5 .. 1 - 1e-5. Either way, a student
    that is confident and wrong has a gradient.
    """
    return DISTANCES[distance](ops.stop_gradient(teacher), student, student_logits)


def logits_of(outputs: Mapping[str, Any]) -> tf.Tensor:
    """A frozen network's logits, or those of its probabilities, from -30 to 30. float32 [batch, num_classes]."""
    p = outputs["predictions"]
    logits = outputs["logits"] if "logits" in outputs else ops.log(p) - ops.log1p(-p)  # infinite at 0 and 1
    return ops.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)


def topk_logit_loss(
    student: Mapping[str, Any], teacher: Mapping[str, Any], temperature: float = 2.0, num_best: int = TOP_K
) -> tf.Tensor:
    """Distillation of standardized logits (Sun et al., CVPR 2024), among the teacher's best classes alone.

    T^2 KL(softmax(Z(z_T) / T) || softmax(Z(z_S) / T)), where Z subtracts the mean over the classes and divides by the
    standard deviation. Both are over the `num_best` best classes of the teacher, or all if there are fewer.

    Args:
        student, teacher: a network's `predictions` [batch, num_classes], and `logits` if its classifier has them. Without
            logits of the student, those of both predictions are used, after a linear map to 1e-5 .. 1 - 1e-5, so that a
            student that is confident and wrong has a gradient.
    Returns:
        float32 [batch].
    """
    if "logits" in student:
        student_logits, teacher_logits = student["logits"], logits_of(teacher)
    else:
        student_logits, teacher_logits = _squeezed_logits(student["predictions"]), _squeezed_logits(teacher["predictions"])
    num_best = min(num_best, ops.shape(teacher_logits)[-1])
    taught, classes = ops.top_k(ops.stop_gradient(teacher_logits), num_best)
    own = ops.take_along_axis(student_logits, classes, axis=-1)
    return temperature**2 * softened_kl(_standardized(taught), _standardized(own), temperature)


def _squeezed_logits(probabilities):
    return ops.log(_squeezed(probabilities)) - ops.log(_squeezed(1.0 - probabilities))


def _standardized(logits):
    """Logits with mean 0 and standard deviation 1; zeros if they are all equal."""
    centered = logits - ops.mean(logits, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centered), axis=-1, keepdims=True)
    deviation = ops.where(variance > 0, ops.sqrt(ops.where(variance > 0, variance, 1.0)), 0.0)  # its gradient is finite
    return centered / (deviation + STANDARD_DEVIATION_EPSILON)


def softened_kl(parent_logits: tf.Tensor, member_logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """KL(softmax(z_e / T) || softmax(z_m / T)) over the classes, of float32 [batch, num_classes]. float32 [batch]."""
    # The release adds 1e-8 inside its logarithms. A log-softmax does not need it: it is finite for finite logits, and so
    # is its product with a probability that has underflowed to 0.
    log_p = ops.log_softmax(parent_logits / temperature, axis=-1)
    log_q = ops.log_softmax(member_logits / temperature, axis=-1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
