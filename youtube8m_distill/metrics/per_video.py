"""Hit@1 and PERR: one number for each video, computed where the predictions are (eagerly or in a graph).

Definitions are those of the YouTube-8M starter code (`eval_util.py`), with a fixed rule for equal predictions: the
lower class index comes first. A graph cannot raise on a value, so a video with a prediction that is not finite gets
NaN, which no mean can hide; `Evaluator` then refuses it by name.
"""

import keras
from keras import ops

# Hardly a video has more labels than this (19 at most in 2018), and on a CPU the best 32 of 3862 classes are found in a
# twelfth of the time of sorting them all. A batch with such a video is sorted in full, so the value is always exact.
SHALLOW_DEPTH = 32


def hit_at_one(labels, predictions):
    """1.0 where the most confident class is a true label, else 0.0; also 0.0 for a video without labels.

    Args:
        labels: any numeric dtype [batch, num_classes]; a class is true where the value is above 0.
        predictions: float [batch, num_classes].
    Returns:
        float32 [batch].
    Raises:
        ValueError: if the two shapes differ.
    """
    positive, predictions = positives_and_scores(labels, predictions)
    # Not argmax: Keras's puts -0.0 below 0.0 on a CPU, and would then disagree with every ranking.
    _, best = ops.top_k(predictions, 1)  # [B, 1]
    hits = ops.take_along_axis(positive, best, axis=-1)[:, 0]
    return nan_unless_finite(ops.cast(hits, "float32"), predictions)


def perr(labels, predictions, best=None):
    """Precision at equal recall rate: the true share of a video's n best classes, n being its number of labels.

    A class counts as found only if its prediction is above 0; a video without labels gets 0.0.

    Args:
        labels: any numeric dtype [batch, num_classes]; a class is true where the value is above 0.
        predictions: float [batch, num_classes].
        best: `ops.top_k(predictions, depth)` where the caller has it, of any depth. It spares finding the best classes
            again, unless a video has more labels than that.
    Returns:
        float32 [batch].
    Raises:
        ValueError: if the two shapes differ.
    """
    positive, predictions = positives_and_scores(labels, predictions)
    num_labels = ops.sum(ops.cast(positive, "int32"), axis=-1)  # [B]
    num_classes = predictions.shape[-1]
    best = ops.top_k(predictions, min(SHALLOW_DEPTH, num_classes)) if best is None else best

    def precision(scores, classes):
        hits = ops.take_along_axis(positive, classes, axis=-1)  # [B, depth]
        within = ops.arange(classes.shape[-1], dtype="int32")[None, :] < num_labels[:, None]
        found = ops.logical_and(ops.logical_and(hits, within), scores > 0)
        return ops.sum(ops.cast(found, "float32"), axis=-1) / ops.cast(ops.maximum(num_labels, 1), "float32")

    depth = best[0].shape[-1]
    if depth == num_classes:
        values = precision(*best)
    else:
        values = ops.cond(
            ops.max(num_labels, initial=0) <= depth,
            lambda: precision(*best),
            lambda: precision(*ops.top_k(predictions, num_classes)),
        )
    return nan_unless_finite(values, predictions)


def positives_and_scores(labels, predictions):
    """Checked inputs of an in-graph metric: bool labels and float32 predictions, both [batch, num_classes]."""
    labels, predictions = ops.convert_to_tensor(labels), ops.convert_to_tensor(predictions)
    shapes = tuple(labels.shape), tuple(predictions.shape)
    same = all(a == b or None in (a, b) for a, b in zip(*shapes))
    if len(shapes[0]) != 2 or len(shapes[1]) != 2 or not same:
        raise ValueError(
            f"labels and predictions must both be [batch, num_classes]. Received shapes {shapes[0]} and {shapes[1]}."
        )
    positive = labels if keras.backend.standardize_dtype(labels.dtype) == "bool" else labels > 0
    return positive, ops.cast(predictions, "float32")


def nan_unless_finite(values, predictions):
    """`values` [batch], NaN for each video whose `predictions` [batch, num_classes] hold NaN or infinity."""
    return ops.where(ops.all(ops.isfinite(predictions), axis=-1), values, float("nan"))
