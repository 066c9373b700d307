"""All metrics of an evaluation, computed batch by batch, for `yt8m eval` and for validation during training."""

import contextlib
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from youtube8m_distill import schema
from youtube8m_distill.metrics.gap import GlobalAveragePrecision
from youtube8m_distill.metrics.mean_average_precision import FullMeanAveragePrecision, MeanAveragePrecision
from youtube8m_distill.metrics.ranking import finite_float32, ranking_from_top
from youtube8m_distill.metrics.segment_map import RatedPairs


class Evaluator(contextlib.AbstractContextManager):
    """Exact Hit@1, PERR, GAP@k, mAP and mean loss of a stream of batches of any sizes, in any order.

    The device computes the best classes and PERR; only these and the labels reach the host.

    >>> import numpy as np
    >>> evaluator = Evaluator(num_classes=3, top_k=2)
    >>> labels = np.array([[1, 0, 1], [0, 0, 1]])
    >>> evaluator.update_state(labels, [[0, 1], [0, 2]], [[0.9, 0.6], [0.8, 0.7]], losses=[0.5, 2.0], perr=[0.5, 0.0])
    >>> result = evaluator.result()
    >>> result["hit_at_one"], round(result["gap_at_2"], 3), result["loss"]
    (0.5, 0.556, 1.25)

    Memory: 148 bytes per video at `top_k` 20, 163 MB for 1.1 million videos, and 500 MB more in `result`.

    Args:
        top_k: classes of each video that count for GAP and mAP.
        full_map_folder: where FullMeanAveragePrecision keeps its temporary file; without a folder, it is not computed. With
            one, use the evaluator in a `with` block, or `close` it.
        segment_classes: the classes of rated segments; the examples are segments then, and MAP@K is computed, too.
    """

    def __init__(
        self,
        num_classes: int,
        top_k: int = schema.TOP_K,
        full_map_folder: str | os.PathLike[str] | None = None,
        segment_classes: Sequence[int] | None = None,
    ) -> None:
        self.num_classes, self.top_k = num_classes, top_k
        self._gap = GlobalAveragePrecision(top_k)
        self._map = MeanAveragePrecision(num_classes, top_k)
        self._full_map = None if full_map_folder is None else FullMeanAveragePrecision(num_classes, full_map_folder)
        self._segments = None if segment_classes is None else RatedPairs(segment_classes)
        self.reset_state()

    def update_state(
        self,
        labels: ArrayLike,
        top_classes: ArrayLike,
        top_scores: ArrayLike,
        losses: ArrayLike,
        perr: ArrayLike,
        predictions: ArrayLike | None = None,
        label_weights: ArrayLike | None = None,
    ) -> None:
        """Adds a batch. A batch that raises an error changes nothing.

        Args:
            labels: [B, num_classes], above 0 where a class is a label.
            top_classes: int [B, k], the best classes; k is min(top_k, num_classes) or more.
            top_scores: float [B, k], their predictions.
            losses: float [B], of all predictions.
            perr: float [B], of all predictions; k of them are not enough for videos with more labels.
            predictions: float [B, num_classes]; only read for the full mAP and for segments.
            label_weights: [B, num_classes], of segments: above 0 where a class is rated.
        Raises:
            ValueError: if shapes do not fit or a score, loss or PERR is not finite.
        """
        ranking = ranking_from_top(labels, top_classes, top_scores).cut(self.top_k, self.num_classes)
        losses = _per_video(losses, "losses", len(ranking.num_labels))
        perr = _per_video(perr, "perr (NaN where a prediction is not finite)", len(ranking.num_labels))
        if self._full_map is not None:
            if predictions is None:
                raise ValueError("predictions=None: the full mAP needs all predictions of every batch.")
            self._full_map.update_state(labels, predictions)
        if self._segments is not None:
            if predictions is None or label_weights is None:
                raise ValueError("MAP@K needs predictions and label_weights of every batch.")
            self._segments.update_state(labels, label_weights, predictions)
        self._gap.update_state(ranking)
        self._map.update_state(ranking)
        self._losses.append(losses)
        self._perr.append(perr)
        self._num_hits += int(np.count_nonzero(ranking.hits[:, 0]))
        self._num_labels += int(ranking.num_labels.sum())

    def result(self) -> dict[str, Any]:
        """All metrics of the videos since the last reset, as plain numbers for JSON.

        They are `num_videos`, `num_labels`, `hit_at_one`, `perr`, `gap_at_<top_k>`, `mean_average_precision`, `loss` (mean
        over videos) and, if requested, `full_mean_average_precision`; of
        segments also `map_at_k`, `map_at_k_all_classes`, and `num_rated` (rated pairs of segment and class). Metrics are 0.0
        if `num_labels` is 0. ValueError if there was no video.
        """
        losses, perr = (np.concatenate([np.zeros(0), *values]) for values in (self._losses, self._perr))
        if not losses.size:
            raise ValueError("There is no video to evaluate: every batch was empty, or none was given.")
        result = {
            "num_videos": losses.size,
            "num_labels": self._num_labels,
            "hit_at_one": self._num_hits / losses.size,
            "perr": math.fsum(perr) / losses.size,  # fsum gives the same bits in any order
            f"gap_at_{self.top_k}": self._gap.result(),
            "mean_average_precision": self._map.result(),
            "loss": math.fsum(losses) / losses.size,
        }
        if self._full_map is not None:
            result["full_mean_average_precision"] = self._full_map.result()
        if self._segments is not None:
            found = self._segments.result()
            result |= {"map_at_k": found.map_at_k, "map_at_k_all_classes": found.map_at_k_all_classes}
            result["num_rated"] = int(found.num_rated.sum())
        return result

    def per_class(self) -> dict[str, np.ndarray]:
        """Arrays [num_classes]: `average_precision`, `num_positives` and, if requested, `full_average_precision`."""
        if self._full_map is None:
            return self._map.per_class()
        return {**self._map.per_class(), "full_average_precision": self._full_map.per_class()["average_precision"]}

    def reset_state(self) -> None:
        """Removes all videos."""
        self._gap.reset_state()
        self._map.reset_state()
        if self._full_map is not None:
            self._full_map.reset_state()
        if self._segments is not None:
            self._segments.reset_state()
        self._losses, self._perr, self._num_hits, self._num_labels = [], [], 0, 0

    def close(self) -> None:
        """Deletes the full mAP's file, if there is one."""
        if self._full_map is not None:
            self._full_map.close()

    def __exit__(self, *unused: object) -> None:
        self.close()


def _per_video(values, what, batch_size):
    """A copy of one finite number per video, float32 [B]; the caller may reuse its array."""
    values = np.array(values, dtype=np.float32)
    if values.shape != (batch_size,):
        raise ValueError(f"{what} must hold one number per video, [{batch_size}]. Received shape {values.shape}.")
    return finite_float32(values, what)
