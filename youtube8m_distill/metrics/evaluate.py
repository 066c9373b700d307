"""Every metric of an evaluation in one object, fed batch by batch: `eval.py` and the validation callback share it."""

import math

import numpy as np

from youtube8m_distill import schema
from youtube8m_distill.metrics.gap import GlobalAveragePrecision
from youtube8m_distill.metrics.mean_average_precision import FullMeanAveragePrecision, MeanAveragePrecision
from youtube8m_distill.metrics.ranking import ranking_from_top, require_classes, require_depth


class Evaluator:
    """Hit@1, PERR, GAP@k, mAP and the mean loss of a stream of batches, exact whatever their sizes and order.

    The device finds the best classes, and PERR, which needs as many classes as a video has labels; only these few
    numbers and the labels come to the host, where a short last batch needs no padding. Memory: 148 bytes a video at
    `top_k` 20, 163 MB for 1.1 million videos, and 500 MB more during `result`. `full_map_folder` adds the disk of
    `FullMeanAveragePrecision`: use the evaluator in a `with` block then, or `close` it.

        with Evaluator(num_classes) as evaluator:
            for labels, predictions, losses in batches:
                scores, classes = ops.top_k(predictions, min(20, num_classes))
                evaluator.update_state(labels, classes, scores, losses, perr(labels, predictions))
            print(evaluator.result()["gap_at_20"])
    """

    def __init__(self, num_classes, top_k=schema.TOP_K, full_map_folder=None):
        self.num_classes, self.top_k = num_classes, top_k
        self._gap = GlobalAveragePrecision(top_k)
        self._map = MeanAveragePrecision(num_classes, top_k)
        self._full_map = None if full_map_folder is None else FullMeanAveragePrecision(num_classes, full_map_folder)
        self._clear()

    def update_state(self, labels, top_classes, top_scores, losses, perr, predictions=None):
        """Takes in a batch; a batch that is refused leaves no trace.

        Args:
            labels: any numeric dtype [B, num_classes], multi-hot: a class is a label where the value is above 0.
            top_classes, top_scores: integers and float [B, k], k = min(top_k, num_classes) or more, from the
                device's top-k, which keeps the lower classes of equals.
            losses: float [B], one loss a video.
            perr: float [B], `per_video.perr` of all predictions: k are too few for a video with more labels.
            predictions: float [B, num_classes]; needed for the full mAP only and not looked at otherwise.
        Raises:
            ValueError: if shapes do not fit or a score, a loss or a PERR is not finite (`per_video.perr` is NaN for a
                video with a NaN or infinite prediction, also below the best k).
        """
        ranking = ranking_from_top(labels, top_classes, top_scores)
        batch_size = len(ranking.num_labels)
        losses, perr = (
            _per_video(losses, "losses", batch_size),
            _per_video(perr, "perr (NaN where a prediction is not finite)", batch_size),
        )
        require_depth(ranking, self.top_k)
        require_classes(ranking.num_classes, self.num_classes)
        if self._full_map is not None:
            if predictions is None:
                raise ValueError("predictions=None: the full mAP needs all predictions of every batch.")
            self._full_map.update_state(labels, predictions)
        self._gap.update_state(ranking)
        self._map.update_state(ranking)
        self._losses.append(losses)
        self._perr.append(perr)
        self._num_hits += int(np.count_nonzero(ranking.hits[:, 0]))
        self._num_labels += int(ranking.num_labels.sum())

    def result(self):
        """Every metric of the videos seen since the last reset, as plain numbers, ready for JSON.

        Returns:
            A dict: `num_videos` and `num_labels` (int), `hit_at_one`, `perr`, `gap_at_<top_k>`,
            `mean_average_precision`, `loss` (mean over videos) and, if asked for, `full_mean_average_precision`.
            Without any label all measures are 0.0: look at `num_labels` before believing that.
        Raises:
            ValueError: if no video was seen.
        """
        losses, perr = (np.concatenate([np.zeros(0), *values]) for values in (self._losses, self._perr))
        if not losses.size:
            raise ValueError("There is no video to evaluate: every batch was empty, or none was given.")
        result = {
            "num_videos": losses.size,
            "num_labels": self._num_labels,
            "hit_at_one": self._num_hits / losses.size,
            "perr": math.fsum(perr) / losses.size,  # fsum: the same to the last bit in any order
            f"gap_at_{self.top_k}": self._gap.result(),
            "mean_average_precision": self._map.result(),
            "loss": math.fsum(losses) / losses.size,
        }
        if self._full_map is not None:
            result["full_mean_average_precision"] = self._full_map.result()
        return result

    def per_class(self):
        """Arrays [num_classes]: `average_precision`, `num_positives` and, if asked for, `full_average_precision`."""
        per_class = dict(self._map.per_class())
        if self._full_map is not None:
            per_class["full_average_precision"] = self._full_map.per_class()["average_precision"]
        return per_class

    def reset_state(self):
        """Forgets every video."""
        for metric in (self._gap, self._map, self._full_map):
            if metric is not None:
                metric.reset_state()
        self._clear()

    def close(self):
        """Removes the full mAP's file, if there is one."""
        if self._full_map is not None:
            self._full_map.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def _clear(self):
        self._losses, self._perr, self._num_hits, self._num_labels = [], [], 0, 0


def _per_video(values, what, batch_size):
    """One finite number a video, copied: the caller may use its array again. float32 [B]."""
    values = np.array(values, dtype=np.float32)
    if values.shape != (batch_size,):
        raise ValueError(f"{what} must hold one number a video, [{batch_size}]. Received shape {values.shape}.")
    finite = np.isfinite(values)
    if not finite.all():
        raise ValueError(
            f"{what} must be finite. Received {values[~finite][0]} for video {int(np.argmin(finite))} of "
            "the batch: the model's predictions are not numbers."
        )
    return values
