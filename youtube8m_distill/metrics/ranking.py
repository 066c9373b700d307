"""The best classes of each video, on the host: what GAP and mAP look at instead of all predictions.

Equal scores are ordered by class index, lower first, also at the cut. This is the order of `tf.math.top_k`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Ranking(NamedTuple):
    """The k best classes of each video of a batch, and the labels they are judged by. Read-only: metrics keep them."""

    classes: np.ndarray  # int32 [B, k]
    scores: np.ndarray  # float32 [B, k], falling; equal scores by rising class
    hits: np.ndarray  # bool [B, k]: is this class a label of the video?
    num_labels: np.ndarray  # int32 [B]: all labels of the video, also those below the k best
    label_classes: np.ndarray  # int32 [sum of num_labels]: the labels, video after video, rising within each
    num_classes: int  # how many classes there are to choose from

    def cut(self, top_k: int, num_classes: int | None = None) -> "Ranking":
        """The `top_k` best classes only. ValueError if there are fewer than a metric of `num_classes` needs."""
        own, depth = self.num_classes, self.scores.shape[1]
        if num_classes not in (None, own):
            raise ValueError(f"The batch has {own} classes, the metric {num_classes}: give both the same num_classes.")
        if depth < min(top_k, own):
            raise ValueError(f"The ranking holds {depth} classes a video, of {own}; top_k={top_k} are needed. Rank as many.")
        classes, scores, hits = (array[:, :top_k] for array in self[:3])
        return self._replace(classes=classes, scores=scores, hits=hits)


def ranking_from_top(labels: ArrayLike, top_classes: ArrayLike, top_scores: ArrayLike) -> Ranking:
    """The ranking of the best classes of each video, as the metrics take it, from `tf.math.top_k` or a like function.

    Args:
        labels: any numeric dtype [B, num_classes]; a class is a label where the value is above 0.
        top_classes: integers [B, k], different within a row. Of equals at the cut the caller keeps the lower classes.
        top_scores: float [B, k], the predictions of these classes; compared as float32.
    Raises:
        ValueError: if shapes do not fit, a class lies outside the labels or a score is not finite.
    """
    labels, classes, scores = np.asarray(labels), np.asarray(top_classes), finite_float32(top_scores, "top_scores")
    if labels.ndim != 2 or labels.shape[1] < 1:
        raise ValueError(f"labels must be multi-hot, [batch, num_classes]. Received shape {labels.shape}.")
    if classes.ndim != 2 or classes.shape != scores.shape or len(classes) != len(labels):
        found = f"{classes.shape}, {scores.shape} and labels {labels.shape}"
        raise ValueError(f"top_classes and top_scores must both be [batch, k], with the batch of labels. Received {found}.")
    last = labels.shape[1] - 1
    if classes.size and not 0 <= classes.min() <= classes.max() <= last:
        raise ValueError(f"top_classes={classes.min()} to {classes.max()}: the labels have classes 0 to {last}.")
    labels = (finite_float32(labels, "labels") if labels.dtype.kind == "f" else labels) > 0
    order = np.lexsort((classes, -scores), axis=-1)
    classes, scores = np.take_along_axis(classes, order, axis=1), np.take_along_axis(scores, order, axis=1)
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


def finite_float32(values, what):
    """`values` as float32, refused with `what` as their name if one is NaN or infinite."""
    values = np.asarray(values, dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        count, row = np.count_nonzero(~finite), int(np.argwhere(~finite)[0][0])
        raise ValueError(f"{what} must be finite. Received {count} that are NaN or infinite, the first in row {row}.")
    return values


def checked_top_k(top_k):
    """`top_k`, refused if it keeps no class."""
    if top_k < 1:
        raise ValueError(f"top_k={top_k}: keep at least 1 class a video.")
    return top_k
