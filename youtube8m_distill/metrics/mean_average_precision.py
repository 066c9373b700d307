"""mAP: the average precision of each class, then the mean over the classes that occur.

There are two: the starter code's, over each video's best 20 pairs, and the full one, over all predictions, which do not
fit in memory and are kept on disk.
"""

import os
import tempfile

import numpy as np
from numpy.typing import ArrayLike

from youtube8m_distill import schema
from youtube8m_distill.metrics.average_precision import average_precision
from youtube8m_distill.metrics.ranking import Ranking, checked_top_k, finite_float32, require_classes, require_depth

BLOCK_BYTES = 256 * 2**20  # read at a time by the full mAP; does not change the result


class MeanAveragePrecision:
    """Streaming, exact mAP as defined by the starter code.

    The pairs of a class are the videos that have it among their `top_k` best; the denominator is all videos with that
    label. Classes without any label are left out of the mean.

    >>> import numpy as np
    >>> from youtube8m_distill import ranking_from_top
    >>> mean = MeanAveragePrecision(num_classes=3, top_k=2)
    >>> labels, classes = np.array([[1, 0, 1], [0, 0, 1]]), np.array([[0, 1], [0, 2]])
    >>> mean.update_state(ranking_from_top(labels, classes, np.array([[0.9, 0.6], [0.8, 0.7]])))
    >>> mean.result()  # class 0: 1, class 2: 1/2
    0.75

    Memory: 7 bytes per pair (9 with more than 32,767 classes), 154 MB at `top_k` 20 and 1.1 million videos. 110 MB of that
    are arrays of the rankings, which a GAP of the same rankings shares. `result` takes 500 MB more.
    """

    def __init__(self, num_classes: int, top_k: int = schema.TOP_K) -> None:
        self.num_classes, self.top_k = num_classes, checked_top_k(top_k)
        self._class_dtype = np.int16 if num_classes <= np.iinfo(np.int16).max else np.int32
        self.reset_state()

    def update_state(self, ranking: Ranking) -> None:
        """Adds the ranking of a batch, of `top_k` classes or more, or of all classes."""
        require_depth(ranking, self.top_k)
        require_classes(ranking.num_classes, self.num_classes)
        self._pairs.append(
            (
                ranking.classes[:, : self.top_k].astype(self._class_dtype),
                ranking.scores[:, : self.top_k],
                ranking.hits[:, : self.top_k],
            )
        )
        self._num_positives += np.bincount(ranking.label_classes, minlength=self.num_classes)
        self._per_class = None

    def result(self) -> float:
        """Mean over the classes that have a label; 0.0 if none has."""
        return mean_over_classes(self.per_class())

    def per_class(self) -> dict[str, np.ndarray]:
        """`average_precision` float64 [num_classes] (NaN without labels) and `num_positives` int64 [num_classes]."""
        if self._per_class is None:
            self._per_class = _per_class(self._average_precisions(), self._num_positives)
        return self._per_class

    def reset_state(self) -> None:
        """Removes all videos."""
        self._pairs, self._per_class = [], None
        self._num_positives = np.zeros(self.num_classes, np.int64)

    def _average_precisions(self):
        if not self._pairs:
            return np.zeros(self.num_classes)
        classes, scores, hits = (np.concatenate([array.ravel() for array in arrays]) for arrays in zip(*self._pairs))
        order = np.argsort(classes, kind="stable")  # a radix sort for int16
        ends = np.cumsum(np.bincount(classes, minlength=self.num_classes))
        members = np.split(order, ends[:-1])  # views: the pairs of each class
        return [
            average_precision(scores[index], hits[index], positives)
            for index, positives in zip(members, self._num_positives)
        ]


class FullMeanAveragePrecision:
    """Streaming, exact mAP over all predictions of all videos, which are kept in a temporary file.

    Each batch is written class by class, so that a block of classes is one contiguous read per batch. The file is deleted
    when the process ends, by `close`, and at the end of a `with` block.

    Disk: 4 bytes per prediction, 17 GB for 1.1 million videos and 3862 classes. Memory: 8 bytes per label (27 MB there)
    and, in `result`, `BLOCK_BYTES` or one class of all videos, whichever is larger.
    """

    def __init__(self, num_classes: int, folder: str | os.PathLike[str]) -> None:
        self.num_classes = num_classes
        os.makedirs(folder, exist_ok=True)
        self._file = tempfile.TemporaryFile(prefix="full_map.", dir=folder)
        self.reset_state()

    def update_state(self, labels: ArrayLike, predictions: ArrayLike) -> None:
        """Adds a batch.

        Args:
            labels: any numeric dtype [B, num_classes]; a class is a label where the value is above 0.
            predictions: float [B, num_classes]; compared as float32.
        Raises:
            ValueError: if shapes do not fit or a prediction is not finite.
            OSError: if the disk is full.
        """
        labels, predictions = np.asarray(labels), finite_float32(predictions, "predictions")
        if labels.ndim != 2 or labels.shape != predictions.shape:
            raise ValueError(
                "labels and predictions must have the same shape, [batch, num_classes]. "
                f"Received {labels.shape} and {predictions.shape}."
            )
        require_classes(labels.shape[1], self.num_classes)
        self._file.seek(4 * self.num_classes * self._num_videos)
        self._file.write(np.ascontiguousarray(predictions.T).data)
        videos, classes = np.nonzero(labels > 0)
        self._labels.append((classes.astype(np.int32), (videos + self._num_videos).astype(np.int32)))
        self._batch_sizes.append(len(labels))
        self._num_videos += len(labels)
        self._per_class = None

    def result(self) -> float:
        """Mean over the classes that have a label; 0.0 if none has."""
        return mean_over_classes(self.per_class())

    def per_class(self) -> dict[str, np.ndarray]:
        """`average_precision` float64 [num_classes] (NaN without labels) and `num_positives` int64 [num_classes]."""
        if self._per_class is None:
            self._per_class = self._compute_per_class()
        return self._per_class

    def reset_state(self) -> None:
        """Removes all videos and empties the file."""
        self._file.seek(0)
        self._file.truncate()
        self._labels, self._batch_sizes, self._num_videos, self._per_class = [], [], 0, None

    def close(self) -> None:
        """Deletes the file. The metric cannot be used afterwards."""
        self._file.close()

    def __enter__(self) -> "FullMeanAveragePrecision":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _compute_per_class(self):
        classes, videos = (
            np.concatenate([np.zeros(0, np.int32), *arrays]) for arrays in (zip(*self._labels) if self._labels else ((), ()))
        )
        positives = np.bincount(classes, minlength=self.num_classes)
        videos = np.split(videos[np.argsort(classes, kind="stable")], np.cumsum(positives)[:-1])
        step = max(1, BLOCK_BYTES // (4 * max(1, self._num_videos)))
        values = []
        for first in range(0, self.num_classes, step):
            for offset, scores in enumerate(self._read_block(first, min(first + step, self.num_classes))):
                hits = np.zeros(self._num_videos, bool)
                hits[videos[first + offset]] = True
                values.append(average_precision(scores, hits, positives[first + offset]))
        return _per_class(values, positives)

    def _read_block(self, first, last):
        """Predictions of the classes from `first` up to, but not including, `last`. float32 [last - first, num_videos]."""
        block = np.empty((last - first, self._num_videos), np.float32)
        seen = 0
        for size in self._batch_sizes:
            self._file.seek(4 * (self.num_classes * seen + first * size))
            stored = self._file.read(4 * (last - first) * size)
            block[:, seen : seen + size] = np.frombuffer(stored, np.float32).reshape(last - first, size)
            seen += size
        return block


def mean_over_classes(per_class: dict[str, np.ndarray]) -> float:
    """Mean average precision of the classes that have positives; 0.0 if none has."""
    occurs = per_class["num_positives"] > 0
    return float(np.mean(per_class["average_precision"][occurs])) if occurs.any() else 0.0


def _per_class(average_precisions, num_positives):
    values = np.where(num_positives > 0, np.asarray(average_precisions, np.float64), np.nan)
    return {"average_precision": values, "num_positives": num_positives.astype(np.int64)}
