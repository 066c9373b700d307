"""Hit@1 and PERR: one number per video, computed on the device (eagerly or in a graph).

Definitions are those of the starter code (`eval_util.py`); among equal predictions the lower class index comes first. A
graph cannot raise on a value, so a video with a prediction that is not finite gets NaN, and `Evaluator` raises for it.
"""

import keras
from keras import KerasTensor, ops

# Videos rarely have more labels than this (at most 19 in 2018). On a CPU, finding the best 32 of 3862 classes takes a
# twelfth of the time of sorting them all. Batches with more labels are sorted in full, so the value is always exact.
SHALLOW_DEPTH = 32


def hit_at_one(labels: KerasTensor, predictions: KerasTensor) -> KerasTensor:
    """1.0 if the most confident class is a label of the video, otherwise 0.0.

    Both are [batch, num_classes], of any numeric dtype; a class is true where its label is above 0. float32 [batch].
    ValueError if the two shapes differ.
    """
    positive, predictions = positives_and_scores(labels, predictions)
    # Not argmax, which orders -0.0 below 0.0 on a CPU, unlike every ranking.
    _, best = ops.top_k(predictions, 1)  # [B, 1]
    hits = ops.take_along_axis(positive, best, axis=-1)[:, 0]
    return nan_unless_finite(ops.cast(hits, "float32"), predictions)


def perr(labels: KerasTensor, predictions: KerasTensor, best: tuple[KerasTensor, KerasTensor] | None = None) -> KerasTensor:
    """Precision at equal recall rate: the share of labels among a video's n best classes, n its number of labels.

    A class counts only if its prediction is above 0; a video without labels gets 0.0.

    >>> import numpy as np
    >>> np.asarray(perr(np.array([[1, 0, 1]]), np.array([[0.9, 0.6, 0.1]]))).tolist()  # the best two are 0 and 1
    [0.5]

    Arguments and result are those of `hit_at_one`. `best` is `ops.top_k(predictions, depth)` of any depth, if the caller has
    it. It is reused unless a video has more than `depth` labels.
    """
    positive, predictions = positives_and_scores(labels, predictions)
    num_labels = ops.sum(ops.cast(positive, "int32"), axis=-1)  # [B]
    best = ops.top_k(predictions, min(SHALLOW_DEPTH, predictions.shape[-1])) if best is None else best

    def precision(scores, classes):
        hits = ops.take_along_axis(positive, classes, axis=-1)  # [B, depth]
        within = ops.arange(classes.shape[-1], dtype="int32")[None, :] < num_labels[:, None]
        found = ops.logical_and(ops.logical_and(hits, within), scores > 0)
        return ops.sum(ops.cast(found, "float32"), axis=-1) / ops.cast(ops.maximum(num_labels, 1), "float32")

    depth, num_classes = best[0].shape[-1], predictions.shape[-1]
    if depth == num_classes:
        values = precision(*best)
    else:
        values = ops.cond(
            ops.max(num_labels, initial=0) <= depth,
            lambda: precision(*best),
            lambda: precision(*ops.top_k(predictions, num_classes)),
        )
    return nan_unless_finite(values, predictions)


def rated_only(predictions: KerasTensor, weights: KerasTensor | None) -> KerasTensor:
    """Predictions with 0 for the classes of a segment that nobody has rated, so that metrics ignore them.

    Without `weights`, all count.
    """
    return predictions if weights is None else predictions * ops.cast(weights, predictions.dtype)


def positives_and_scores(labels: KerasTensor, predictions: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    """Checks the inputs of a metric. Returns bool labels and float32 predictions, both [batch, num_classes]."""
    labels, predictions = ops.convert_to_tensor(labels), ops.convert_to_tensor(predictions)
    one, other = tuple(labels.shape), tuple(predictions.shape)
    same = all(a == b or None in (a, b) for a, b in zip(one, other))
    if not (len(one) == len(other) == 2 and same):
        raise ValueError(f"labels and predictions must both be [batch, num_classes]. Received shapes {one} and {other}.")
    positive = labels if keras.backend.standardize_dtype(labels.dtype) == "bool" else labels > 0
    return positive, ops.cast(predictions, "float32")


def nan_unless_finite(values: KerasTensor, predictions: KerasTensor) -> KerasTensor:
    """`values` [batch], but NaN for each video whose `predictions` [batch, num_classes] hold NaN or infinity."""
    return ops.where(ops.all(ops.isfinite(predictions), axis=-1), values, float("nan"))
