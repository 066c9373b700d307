"""GAP@20, the metric of the challenges: one average precision over the pooled best predictions of all videos."""

import numpy as np
from keras import KerasTensor, ops

from youtube8m_distill import schema
from youtube8m_distill.metrics.average_precision import average_precision
from youtube8m_distill.metrics.per_video import nan_unless_finite, positives_and_scores
from youtube8m_distill.metrics.ranking import Ranking, checked_top_k


class GlobalAveragePrecision:
    """Streaming, exact GAP@k.

    The `top_k` best (score, is it true) pairs of all videos are pooled and ranked together. The denominator is all labels
    of all videos, including those outside the best `top_k`. The order of the videos and the batch size change nothing.

    >>> import numpy as np
    >>> gap = GlobalAveragePrecision(top_k=2)
    >>> labels, classes = np.array([[1, 0, 0], [0, 0, 1]]), np.array([[0, 1], [0, 2]])
    >>> gap.update_state(ranking_from_top(labels, classes, np.array([[0.9, 0.6], [0.8, 0.7]])))
    >>> round(gap.result(), 3)  # (1/1 + 2/3) / 2
    0.833

    Memory: 5 bytes per pair, 110 MB at `top_k` 20 and 1.1 million videos, and 220 MB more in `result`.
    """

    def __init__(self, top_k: int = schema.TOP_K) -> None:
        self.top_k = checked_top_k(top_k)
        self.reset_state()

    def update_state(self, ranking: Ranking) -> None:
        """Adds the ranking of a batch, of `top_k` classes or more, or of all classes."""
        best = ranking.cut(self.top_k)
        self._scores.append(best.scores)
        self._hits.append(best.hits)
        self._num_positives += int(ranking.num_labels.sum())

    def result(self) -> float:
        """GAP of all videos since the last reset; 0.0 if no video has a label."""
        scores, hits = (np.concatenate([batch.ravel() for batch in batches]) for batches in (self._scores, self._hits))
        return average_precision(scores, hits, self._num_positives)

    def reset_state(self) -> None:
        """Removes all videos."""
        self._scores, self._hits, self._num_positives = [np.zeros(0, np.float32)], [np.zeros(0, bool)], 0


def minibatch_gap(labels: KerasTensor, predictions: KerasTensor, top_k: int = schema.TOP_K) -> KerasTensor:
    """GAP@k of one batch, for graphs: the training monitor. Same definition as `GlobalAveragePrecision`.

    Takes the arguments of `hit_at_one`. A float32 scalar; NaN if a prediction is not finite, 0.0 without labels.
    """
    positive, predictions = positives_and_scores(labels, predictions)
    scores, classes = ops.top_k(predictions, min(checked_top_k(top_k), predictions.shape[-1]))  # [B, k]
    hits = ops.reshape(ops.take_along_axis(positive, classes, axis=-1), [-1])
    scores = ops.reshape(scores, [-1])
    order = ops.argsort(scores)
    scores, hits = ops.take(scores, order), ops.cast(ops.take(hits, order), "int32")  # ascending
    num_lower = ops.cast(ops.searchsorted(scores, scores, side="left"), "int32")
    as_high = ops.size(scores) - num_lower
    num_hits = ops.cumsum(hits)
    true_lower = ops.take(num_hits - hits, num_lower)  # hits before each group of equals
    true_as_high = ops.sum(hits) - true_lower
    precision = ops.cast(true_as_high, "float32") / ops.cast(as_high, "float32")
    num_positives = ops.maximum(ops.sum(ops.cast(positive, "int32")), 1)
    gap = ops.sum(ops.cast(hits, "float32") * precision) / ops.cast(num_positives, "float32")
    return nan_unless_finite(gap, ops.reshape(predictions, [-1]))
