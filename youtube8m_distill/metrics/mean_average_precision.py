"""mAP, the mean of each class's average precision: the starter code's, over each video's best 20, and one over all."""

import os
import tempfile

import numpy as np
from numpy.typing import ArrayLike

from youtube8m_distill import schema
from youtube8m_distill.metrics.average_precision import average_precision
from youtube8m_distill.metrics.ranking import Ranking, checked_top_k, finite_float32

BLOCK_BYTES = 256 * 2**20  # read at a time by the full mAP; does not change the result


class ClassMean:
    """Base of both mAPs. Subclasses compute the average precision and the number of positives of every class."""

    _per_class = None  # the latest result of `per_class`; an update or a reset sets it to None

    def result(self) -> float:
        """Mean over the classes that have a label; 0.0 if none has."""
        found = self.per_class()
        occurs = found["num_positives"] > 0
        return float(np.mean(found["average_precision"][occurs])) if occurs.any() else 0.0

    def per_class(self) -> dict[str, np.ndarray]:
        """`average_precision` float64 [num_classes] (NaN without labels) and `num_positives` int64 [num_classes]."""
        if self._per_class is None:
            values, positives = self._compute()
            values = np.where(positives > 0, np.asarray(values, np.float64), np.nan)
            self._per_class = {"average_precision": values, "num_positives": positives.astype(np.int64)}
        return self._per_class

    def _compute(self):
        """(average precision, number of positives), both of length num_classes."""
        raise NotImplementedError


class MeanAveragePrecision(ClassMean):
    """Streaming, exact mAP as defined by the starter code.

    The pairs of a class are the videos that have it among their `top_k` best; the denominator is all videos with that
    label. Classes without any label are left out of the mean.

    >>> import numpy as np
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
        best = ranking.cut(self.top_k, self.num_classes)
        self._pairs.append((best.classes.astype(self._class_dtype), best.scores, best.hits))
        self._num_positives += np.bincount(ranking.label_classes, minlength=self.num_classes)
        self._per_class = None

    def reset_state(self) -> None:
        """Removes all videos."""
        self._pairs = [tuple(np.zeros(0, dtype) for dtype in (self._class_dtype, np.float32, bool))]
        self._num_positives, self._per_class = np.zeros(self.num_classes, np.int64), None

    def _compute(self):
        classes, scores, hits = (np.concatenate([array.ravel() for array in arrays]) for arrays in zip(*self._pairs))
        order = np.argsort(classes, kind="stable")  # a radix sort for int16
        ends = np.cumsum(np.bincount(classes, minlength=self.num_classes))
        members = zip(np.split(order, ends[:-1]), self._num_positives)  # views: the pairs of each class
        return [average_precision(scores[pairs], hits[pairs], count) for pairs, count in members], self._num_positives


class FullMeanAveragePrecision(ClassMean):
    """Streaming, exact mAP over all predictions of all videos, which are kept in a temporary file.

    Disk, until `close` or the end of the process: 4 bytes per prediction, 17 GB for 1.1 million videos and 3862 classes.
    Memory: 8 bytes per label and, in `result`, `BLOCK_BYTES` or one class of all videos, whichever is larger.
    """

    def __init__(self, num_classes: int, folder: str | os.PathLike[str]) -> None:
        self.num_classes = num_classes
        os.makedirs(folder, exist_ok=True)
        self._file = tempfile.TemporaryFile(prefix="full_map.", dir=folder)
        self.reset_state()

    def update_state(self, labels: ArrayLike, predictions: ArrayLike) -> None:
        """Adds a batch of float predictions and labels, which are values above 0, both [B, num_classes].

        ValueError if shapes do not fit or a prediction is not finite, OSError if the disk is full.
        """
        labels, predictions = np.asarray(labels), finite_float32(predictions, "predictions")
        if labels.shape != predictions.shape or labels.shape[1:] != (self.num_classes,):
            expected, found = f"[batch, {self.num_classes}]", f"{labels.shape} and {predictions.shape}"
            raise ValueError(f"labels and predictions must both be {expected}. Received {found}.")
        self._file.seek(4 * self.num_classes * self._num_videos)
        # Class by class, so that a block of classes is one contiguous read per batch.
        self._file.write(np.ascontiguousarray(predictions.T).data)
        videos, classes = np.nonzero(labels > 0)
        self._classes.append(classes.astype(np.int32))
        self._videos.append((videos + self._num_videos).astype(np.int32))
        self._batch_sizes.append(len(labels))
        self._num_videos += len(labels)
        self._per_class = None

    def reset_state(self) -> None:
        """Removes all videos and empties the file."""
        self._file.seek(0)
        self._file.truncate()
        self._classes, self._videos = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]  # of each label
        self._batch_sizes, self._num_videos, self._per_class = [], 0, None

    def close(self) -> None:
        self._file.close()

    def _compute(self):
        classes, videos = np.concatenate(self._classes), np.concatenate(self._videos)
        positives = np.bincount(classes, minlength=self.num_classes)
        videos = np.split(videos[np.argsort(classes, kind="stable")], np.cumsum(positives)[:-1])
        step = max(1, BLOCK_BYTES // (4 * max(1, self._num_videos)))
        values = []
        for first in range(0, self.num_classes, step):
            block = self._read_block(first, min(first + step, self.num_classes))
            for index, scores in enumerate(block, start=first):
                hits = np.zeros(self._num_videos, bool)
                hits[videos[index]] = True
                values.append(average_precision(scores, hits, positives[index]))
        return values, positives

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
