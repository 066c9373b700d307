"""The confidence thresholds of a cascade: which video is answered by which network, at what cost, with what GAP."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from youtube8m_distill.metrics.average_precision import average_precision

STEPS = 100  # a threshold falls by one part in so many of the videos at a time


class StageResults(NamedTuple):
    """What one network would answer for each of the same N videos, and what that costs."""

    scores: np.ndarray  # float32 [N, k], calibrated, of the best classes
    hits: np.ndarray  # bool [N, k]: is this class a label of the video?
    confidence: np.ndarray  # float [N]; not read of the last network, which answers all that reach it
    num_frames: np.ndarray  # int [N]
    multiply_adds: np.ndarray  # float [N]


class Point(NamedTuple):
    """A cascade with certain thresholds, on the videos that they were chosen on."""

    thresholds: tuple[float, ...]  # of all networks but the last; infinity: answers nothing
    gap: float
    mean_frames: float  # that the networks read per video, all that it passes through
    mean_multiply_adds: float
    videos: tuple[int, ...]  # that each network answers


def answering_stage(stages: Sequence[StageResults], thresholds: Sequence[float]) -> np.ndarray:
    """Index of the network that answers each video: the first whose confidence is its threshold or more. int [N]."""
    sure = [stage.confidence >= threshold for stage, threshold in zip(stages[:-1], thresholds, strict=True)]
    return np.argmax([*sure, np.ones(len(stages[-1].scores), bool)], axis=0)


def point_of(stages: Sequence[StageResults], num_labels: int, thresholds: Sequence[float]) -> Point:
    """The Point of some thresholds, none for a single network. `num_labels` counts all labels, also below the best k."""
    stage = answering_stage(stages, thresholds)

    def answers(field):  # [N, k]
        return np.choose(stage[:, None], [getattr(each, field) for each in stages])

    def mean_total(field):
        return float(np.mean([np.cumsum([getattr(each, field) for each in stages], axis=0)[stage, np.arange(len(stage))]]))

    gap = average_precision(answers("scores").ravel(), answers("hits").ravel(), num_labels)
    videos = tuple(np.bincount(stage, minlength=len(stages)).tolist())
    return Point(tuple(thresholds), gap, mean_total("num_frames"), mean_total("multiply_adds"), videos)


def trace_frontier(stages: Sequence[StageResults], num_labels: int, steps: int = STEPS) -> list[Point]:
    """A path of cascades from the most expensive one, in which the last network answers all, to the first network alone.

    Each step lowers the one threshold that costs the least GAP per multiply-add saved, so far that one more of `steps` parts
    of the videos is answered there. With two networks, the path holds all thresholds at that spacing.
    """
    path = [point_of(stages, num_labels, [math.inf] * (len(stages) - 1))]
    while following := [
        point_of(stages, num_labels, thresholds) for thresholds in _lowered(stages, path[-1].thresholds, steps)
    ]:
        here = path[-1]
        path.append(min(following, key=lambda p: (here.gap - p.gap) / (here.mean_multiply_adds - p.mean_multiply_adds)))
    return path


def _lowered(stages, thresholds, steps):
    """Yields the thresholds with each one lowered by a step, if some videos still go past it."""
    answered_by = answering_stage(stages, thresholds)
    count = math.ceil(len(answered_by) / steps)
    for index, stage in enumerate(stages[:-1]):
        passing = np.sort(stage.confidence[answered_by > index])
        if len(passing):
            yield (*thresholds[:index], float(passing[-min(count, len(passing))]), *thresholds[index + 1 :])


def cheapest(frontier: Sequence[Point], min_gap: float) -> Point:
    """The point of fewest multiply-adds among those with this GAP or more. The first one must have it."""
    return min((point for point in frontier if point.gap >= min_gap), key=lambda point: point.mean_multiply_adds)
