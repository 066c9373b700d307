"""MAP@K of the 3rd YouTube-8M challenge: the mean over classes of the average precision of their ranked segments.

Only some (segment, class) pairs are rated. Equation (8) of the MOD paper (Lin et al., 2019), with rel(k) = 1 where item k is
positive, P(k) the share of positives among the first k items, and N_c all positives of class c:

    AP@K = sum over k <= K of P(k) rel(k) / N_c        MAP@K = 1/C * sum over c of AP@K
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from youtube8m_distill import schema
from youtube8m_distill.metrics.average_precision import average_precision
from youtube8m_distill.metrics.ranking import finite_float32

Segment = tuple[bytes, int]  # video id and start


@dataclasses.dataclass(frozen=True)
class SegmentMap:
    """MAP@K and what it is computed from. Arrays are [C], in the order of the class list."""

    classes: np.ndarray  # int64
    average_precision: np.ndarray  # float64, AP@K; NaN for a class without positives
    num_positives: np.ndarray  # int64, N_c
    num_rated: np.ndarray  # int64, rated pairs of the class
    num_ranked: np.ndarray  # int64, rated pairs of the class among its first K items

    @property
    def map_at_k(self) -> float:
        """Mean over the classes with positives, as in the challenge; 0.0 without any.

        A class with positives and no ranking counts as 0.
        """
        found = self.average_precision[self.num_positives > 0]
        return float(found.mean()) if found.size else 0.0

    @property
    def map_at_k_all_classes(self) -> float:
        """Mean over all classes of the list, as equation (8) is printed. A class without positives counts as 0."""
        return float(np.nan_to_num(self.average_precision).mean())


def map_of_submission(
    rankings: Iterable[tuple[int, Sequence[Segment]]],
    rated: Mapping[int, Mapping[Segment, bool]],
    classes: Sequence[int],
    top_n: int = schema.TOP_N,
) -> SegmentMap:
    """MAP@K of ranked segments. Each ranking is first cut to `top_n` segments; then those that are not rated are removed.

    Kaggle and the starter code use the same order. One ranking is in memory at a time.

    >>> rated = {7: {(b"abcd", 0): True, (b"abcd", 5): False, (b"efgh", 10): True}}
    >>> ranking = [(b"abcd", 5), (b"wxyz", 0), (b"abcd", 0)]  # wxyz:0 is not rated
    >>> map_of_submission([(7, ranking)], rated, classes=[7, 9]).map_at_k  # (1/2) / 2
    0.25

    Args:
        rankings: (class, its segments, best first), each class once. Classes may be missing.
        rated: class -> rated segment -> whether it is positive.
        classes: the class list. Ratings of other classes are ignored.
        top_n: K.
    Raises:
        ValueError: if a ranking is of a class that is not listed or has one already, or names a segment twice.
    """
    places = _places(classes, top_n)
    found = _Classes(classes)
    for place, c in enumerate(classes):
        ratings = rated.get(c, {})
        found.num_rated[place], found.num_positives[place] = len(ratings), sum(ratings.values())
    seen = set()
    for c, segments in rankings:
        if c not in places:
            raise ValueError(f"class {c} is not one of the {len(classes):,} classes of the list.")
        if c in seen:
            raise ValueError(f"class {c} has more than one ranking.")
        seen.add(c)
        _require_distinct(c, segments)
        ratings = rated.get(c, {})
        hits = [ratings[segment] for segment in segments[:top_n] if segment in ratings]
        found.add(places[c], -np.arange(len(hits)), hits)
    return found.result()


def map_of_scores(
    pair_classes: ArrayLike, scores: ArrayLike, positive: ArrayLike, classes: Sequence[int], top_n: int = schema.TOP_N
) -> SegmentMap:
    """MAP@K of scored pairs, every one of them rated: for validation, where all rated segments have predictions.

    Equal scores form one group with the precision at its end, as in `average_precision`. A group that K cuts counts as a
    whole, so the order of the pairs changes nothing.

    >>> map_of_scores([7, 7, 7], [0.9, 0.8, 0.7], [True, False, True], classes=[7, 9]).map_at_k  # (1/1 + 2/3) / 2
    0.8333333333333333

    Args:
        pair_classes: integers [P], the class of each pair. Classes that are not listed are ignored.
        scores: float [P]; compared as float32.
        positive: bool [P].
        classes: the class list.
        top_n: K.
    Raises:
        ValueError: if shapes differ or a score is not finite.
    """
    pair_classes, positive = np.asarray(pair_classes), np.asarray(positive, bool)
    scores = finite_float32(scores, "scores")
    if pair_classes.ndim != 1 or not pair_classes.shape == scores.shape == positive.shape:
        shapes = f"{pair_classes.shape}, {scores.shape} and {positive.shape}"
        raise ValueError(f"pair_classes, scores and positive must be flat and of the same length. Received {shapes}.")
    places = _places(classes, top_n)
    found = _Classes(classes)
    order = np.argsort(pair_classes, kind="stable")
    pair_classes, scores, positive = pair_classes[order], scores[order], positive[order]
    for c, place in places.items():
        pairs = slice(*np.searchsorted(pair_classes, [c, c + 1]))
        own, hits = scores[pairs], positive[pairs]
        found.num_rated[place], found.num_positives[place] = len(own), np.count_nonzero(hits)
        if len(own) > top_n:
            counted = own >= np.partition(own, -top_n)[-top_n]
            own, hits = own[counted], hits[counted]
        found.add(place, own, hits)
    return found.result()


class RatedPairs:
    """Streaming `map_of_scores`: the rated pairs of batches of segments. Memory: 9 bytes per pair.

    Args:
        classes: the class list.
        top_n: K.
    """

    def __init__(self, classes: Sequence[int], top_n: int = schema.TOP_N) -> None:
        self.classes, self.top_n = classes, top_n
        self.reset_state()

    def update_state(self, labels: ArrayLike, label_weights: ArrayLike, predictions: ArrayLike) -> None:
        """Adds a batch: three arrays [B, num_classes]. Only pairs whose weight is above 0 count."""
        rows, pair_classes = np.nonzero(np.asarray(label_weights))
        scores = finite_float32(np.asarray(predictions)[rows, pair_classes], "predictions")
        self._pairs.append((pair_classes.astype(np.int32), scores, np.asarray(labels)[rows, pair_classes] > 0))

    def result(self) -> SegmentMap:
        """MAP@K of all pairs since the last reset."""
        pair_classes, scores, positive = map(np.concatenate, zip(*self._pairs))
        return map_of_scores(pair_classes, scores, positive, self.classes, self.top_n)

    def reset_state(self) -> None:
        """Removes all pairs."""
        self._pairs = [(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, bool))]


class _Classes:
    """The arrays of a SegmentMap while they are filled."""

    def __init__(self, classes):
        self.classes = np.array(classes, np.int64)
        self.average_precision = np.zeros(len(classes))
        self.num_positives, self.num_rated, self.num_ranked = np.zeros((3, len(classes)), np.int64)

    def add(self, place, scores, hits):
        """Adds the rated pairs of a class that count. Its number of positives must be known."""
        self.average_precision[place] = average_precision(scores, hits, int(self.num_positives[place]))
        self.num_ranked[place] = len(hits)

    def result(self):
        values = np.where(self.num_positives > 0, self.average_precision, np.nan)
        return SegmentMap(self.classes, values, self.num_positives, self.num_rated, self.num_ranked)


def _places(classes, top_n):
    """{class: its place in the list}. ValueError for an invalid list or K."""
    places = {int(c): place for place, c in enumerate(classes)}
    if not places or len(places) < len(classes):
        raise ValueError(
            f"classes must list each class once, at least one. Received {len(classes)}, {len(places)} distinct."
        )
    if top_n < 1:
        raise ValueError(f"top_n={top_n}: count at least 1 segment of each class.")
    return places


def _require_distinct(c, segments):
    if len(set(segments)) == len(segments):
        return
    seen = set()
    for video_id, start in segments:
        if (video_id, start) in seen:
            raise ValueError(f"class {c} names the segment {video_id.decode('utf-8', 'backslashreplace')}:{start} twice.")
        seen.add((video_id, start))
