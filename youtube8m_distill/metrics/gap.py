"""GAP@20, the challenges' measure: one average precision over the pooled best predictions of all videos."""

import numpy as np
from keras import ops

from youtube8m_distill import schema
from youtube8m_distill.metrics.average_precision import average_precision
from youtube8m_distill.metrics.per_video import nan_unless_finite, positives_and_scores
from youtube8m_distill.metrics.ranking import checked_top_k, require_depth


class GlobalAveragePrecision:
    """Streaming, exact GAP@k.

    The `top_k` best (score, true or not) pairs of every video are pooled and ranked together. The denominator is all
    labels of all videos, also those outside the best `top_k`. The value does not depend on the order of the videos or
    on how batches are cut.

    Memory: 5 bytes a pair; at `top_k` 20 and 1.1 million videos (the validation set) 110 MB, and 220 MB
    more during `result`.
    """

    def __init__(self, top_k=schema.TOP_K):
        self.top_k = checked_top_k(top_k)
        self.reset_state()

    def update_state(self, ranking):
        """Takes in a batch. `ranking`: a `Ranking` of `top_k` classes or more (or of all, where there are fewer)."""
        require_depth(ranking, self.top_k)
        self._scores.append(ranking.scores[:, : self.top_k])
        self._hits.append(ranking.hits[:, : self.top_k])
        self._num_positives += int(ranking.num_labels.sum())

    def result(self):
        """GAP of everything seen since the last reset, a float; 0.0 if no video had a label."""
        if not self._scores:
            return 0.0
        return average_precision(
            np.concatenate([scores.ravel() for scores in self._scores]),
            np.concatenate([hits.ravel() for hits in self._hits]),
            self._num_positives,
        )

    def reset_state(self):
        """Forgets every video."""
        self._scores, self._hits, self._num_positives = [], [], 0


def minibatch_gap(labels, predictions, top_k=schema.TOP_K):
    """GAP@k of one batch, in a graph: the training monitor. Same definition as `GlobalAveragePrecision`.

    Args:
        labels: any numeric dtype [batch, num_classes]; a class is true where the value is above 0.
        predictions: float [batch, num_classes].
        top_k: pairs of each video that count; all of them if there are fewer classes.
    Returns:
        float32 scalar; NaN if a prediction is not finite, 0.0 if there are no labels.
    Raises:
        ValueError: if the two shapes differ or `top_k` is below 1.
    """
    positive, predictions = positives_and_scores(labels, predictions)
    scores, classes = ops.top_k(predictions, min(checked_top_k(top_k), predictions.shape[-1]))  # [B, k]
    hits = ops.reshape(ops.take_along_axis(positive, classes, axis=-1), [-1])
    scores = ops.reshape(scores, [-1])
    order = ops.argsort(scores)
    scores, hits = ops.take(scores, order), ops.cast(ops.take(hits, order), "int32")  # rising
    num_lower = ops.cast(ops.searchsorted(scores, scores, side="left"), "int32")
    as_high = ops.size(scores) - num_lower
    num_hits = ops.cumsum(hits)
    true_lower = ops.take(num_hits - hits, num_lower)  # hits before each group of equals
    true_as_high = ops.sum(hits) - true_lower
    precision = ops.cast(true_as_high, "float32") / ops.cast(as_high, "float32")
    num_positives = ops.maximum(ops.sum(ops.cast(positive, "int32")), 1)
    gap = ops.sum(ops.cast(hits, "float32") * precision) / ops.cast(num_positives, "float32")
    return nan_unless_finite(gap, ops.reshape(predictions, [-1]))
