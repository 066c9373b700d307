"""What networks minimize: one number per video (CVPR 2019, equations 1 to 4).

The teacher's side is a constant in every distillation loss: its gradient is stopped here, once.
"""

from keras import ops

EPSILON = 1e-5  # the starter code's


def label_loss(labels, predictions):
    """L_CE: the starter's `CrossEntropyLoss`, *summed* over the classes (Keras' own averages).

    Args:
        labels: uint8, bool or float [batch, num_classes], 0 or 1.
        predictions: float32 [batch, num_classes], 0 .. 1.
    Returns:
        float32 [batch].
    """
    labels = ops.cast(labels, "float32")
    present = labels * ops.log(predictions + EPSILON)
    absent = (1.0 - labels) * ops.log(1.0 - predictions + EPSILON)
    return -ops.sum(present + absent, axis=-1)


def representation_loss(student, teacher):
    """L_rep: squared L2 distance between two video encodings (equation 2).

    Args:
        student, teacher: float [batch, D]. Encodings without dropout.
    Returns:
        float32 [batch].
    """
    teacher = ops.stop_gradient(ops.cast(teacher, "float32"))
    return ops.sum(ops.square(teacher - ops.cast(student, "float32")), axis=-1)


def intermediate_representation_loss(student_states, teacher_states, student_indices, teacher_indices, reduction="mean"):
    """L_rep^I: squared distance of the lower LSTM's states after each frame that both networks saw (equation 3).

    Args:
        student_states: float [batch, k, D]. State after each frame of the student.
        teacher_states: float [batch, T, D].
        student_indices: int32 [batch, k]. Frame of the video in each row; negative in padding.
        teacher_indices: int32 [batch, T].
        reduction: "mean" over the common frames, or "sum" as the equation is printed.
    Returns:
        float32 [batch]; 0 where no frame is common.
    """
    same = ops.equal(student_indices[:, :, None], teacher_indices[:, None, :])  # [B, k, T]
    same = ops.logical_and(same, student_indices[:, :, None] >= 0)
    common = ops.cast(ops.any(same, axis=-1), "float32")  # [B, k]
    rows = ops.argmax(ops.cast(same, "int32"), axis=-1)  # [B, k]
    matched = ops.take_along_axis(ops.stop_gradient(teacher_states), rows[:, :, None], axis=1)
    difference = ops.cast(matched, "float32") - ops.cast(student_states, "float32")
    distance = ops.sum(common * ops.sum(ops.square(difference), axis=-1), axis=-1)
    return distance if reduction == "sum" else distance / ops.maximum(ops.sum(common, axis=-1), 1.0)


def bernoulli_kl(teacher, student):
    """KL(P_T || P_S) of independent Bernoullis, summed over the classes: the labels are independent sigmoids.

    Args:
        teacher, student: float32 [batch, num_classes], clipped to 1e-5 .. 1 - 1e-5.
    Returns:
        float32 [batch].
    """
    p = ops.clip(teacher, EPSILON, 1.0 - EPSILON)
    q = ops.clip(student, EPSILON, 1.0 - EPSILON)
    return ops.sum(p * ops.log(p / q) + (1.0 - p) * ops.log((1.0 - p) / (1.0 - q)), axis=-1)


def categorical_kl(teacher, student):
    """KL of the probabilities normalized over the classes, as the paper's released code has it.

    Args:
        teacher, student: float32 [batch, num_classes], clipped to 1e-5 .. 1 - 1e-5 before they are normalized.
    Returns:
        float32 [batch].
    """
    p = ops.clip(teacher, EPSILON, 1.0 - EPSILON)
    q = ops.clip(student, EPSILON, 1.0 - EPSILON)
    p = p / ops.sum(p, axis=-1, keepdims=True)
    q = q / ops.sum(q, axis=-1, keepdims=True)
    return ops.sum(p * ops.log(p / q), axis=-1)


def squared(teacher, student):
    """Squared L2 distance of the probabilities. float32 [batch]."""
    return ops.sum(ops.square(teacher - student), axis=-1)


DISTANCES = {"kl": bernoulli_kl, "categorical_kl": categorical_kl, "squared": squared}


def prediction_loss(student, teacher, distance="kl"):
    """L_pred = d(P_T, P_S) (equation 4).

    Args:
        student, teacher: float32 [batch, num_classes], 0 .. 1.
        distance: a key of DISTANCES.
    Returns:
        float32 [batch].
    """
    return DISTANCES[distance](ops.stop_gradient(teacher), student)
