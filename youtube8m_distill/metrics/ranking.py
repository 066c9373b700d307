"""The best classes of each video, on the host: what GAP and mAP look at instead of all predictions.

Equal scores are ordered by class index, lower first, also at the cut. This is the order of `tf.math.top_k`, so that a
ranking made on the device and one made here are the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Ranking(NamedTuple):
    """The k best classes of each video of a batch, best first, and the labels they are judged by.

    The arrays belong to the metrics that keep them and are read-only.
    """

    classes: np.ndarray  # int32 [B, k]
    scores: np.ndarray  # float32 [B, k], falling; equal scores by rising class
    hits: np.ndarray  # bool [B, k]: is this class a label of the video?
    num_labels: np.ndarray  # int32 [B]: all labels of the video, also those below the k best
    label_classes: np.ndarray  # int32 [sum of num_labels]: the labels, video after video, rising within each
    num_classes: int  # how many classes there are to choose from


def ranking_from_top(labels: ArrayLike, top_classes: ArrayLike, top_scores: ArrayLike) -> "Ranking":
    """The ranking of the best classes of each video, as the metrics take it, from `tf.math.top_k` or a like function.

    Args:
        labels: any numeric dtype [B, num_classes]; a class is a label where the value is above 0.
        top_classes: integers [B, k], different within a row. Of equals at the cut the caller keeps the lower classes.
        top_scores: float [B, k], the predictions of these classes; compared as float32.
    Raises:
        ValueError: if shapes do not fit, a class lies outside the labels or a score is not finite.
    """
    labels, scores = _multi_hot(labels), finite_float32(top_scores, "top_scores")
    classes = np.asarray(top_classes)
    if classes.ndim != 2 or classes.shape != scores.shape or len(classes) != len(labels):
        raise ValueError(
            "top_classes and top_scores must both be [batch, k], with the batch of labels. Received "
            f"{classes.shape}, {scores.shape} and labels {labels.shape}."
        )
    if classes.size and not 0 <= classes.min() <= classes.max() < labels.shape[1]:
        raise ValueError(
            f"top_classes={classes.min()} to {classes.max()}: the labels have classes 0 to {labels.shape[1] - 1}."
        )
    order = np.lexsort((classes, -scores), axis=-1)
    return _judge(labels, *(np.take_along_axis(array, order, axis=1) for array in (classes, scores)))


def finite_float32(values, what):
    """`values` as float32, refused with `what` as their name if one is NaN or infinite."""
    values = np.asarray(values, dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        raise ValueError(
            f"{what} must be finite. Received {np.count_nonzero(~finite)} that are NaN or infinite, "
            f"the first in row {row}: no metric is computed from such predictions."
        )
    return values


def checked_top_k(top_k):
    """`top_k`, refused if it keeps no class."""
    if top_k < 1:
        raise ValueError(f"top_k={top_k}: keep at least 1 class a video.")
    return top_k


def require_depth(ranking, top_k):
    """Refuses a ranking that was cut above the `top_k` classes a metric counts."""
    depth = ranking.scores.shape[1]
    if depth < min(top_k, ranking.num_classes):
        raise ValueError(
            f"The ranking holds {depth} classes a video, of {ranking.num_classes}; top_k={top_k} are "
            "needed. Rank with the top_k of the metric."
        )


def require_classes(received, num_classes):
    """Refuses a batch of another number of classes than the metric was made for."""
    if received != num_classes:
        raise ValueError(f"The batch has {received} classes, the metric {num_classes}: give both the same num_classes.")


def _multi_hot(labels):
    """Labels as bool [B, num_classes]."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] < 1:
        raise ValueError(f"labels must be multi-hot, [batch, num_classes]. Received shape {labels.shape}.")
    if labels.dtype.kind == "f":
        labels = finite_float32(labels, "labels")
    return labels > 0


def _judge(labels, classes, scores):
    """The `Ranking` of ordered classes and scores [B, k] against bool labels [B, num_classes]."""
    videos, label_classes = np.divmod(np.flatnonzero(labels), labels.shape[1])
    arrays = (
        classes.astype(np.int32),
        scores,
        np.take_along_axis(labels, classes, axis=1),
        np.bincount(videos, minlength=len(labels)).astype(np.int32),
        label_classes.astype(np.int32),
    )
    for array in arrays:
        array.setflags(write=False)
    return Ranking(*arrays, num_classes=labels.shape[1])
