"""Labels that are visible in a few spans of a video, and ratings of its segments, as in the files of 2019.

A segment is SEGMENT_FRAMES frames from a multiple of SEGMENT_FRAMES. It is rated 1 for a class that is visible in at least
half of it, and 0 for a class that is visible in none of it. A class in between is not rated. With 3,862 classes, only those
of the segment challenge are rated.
"""

import collections

import numpy as np

from youtube8m_distill.config.synthetic import SEGMENT_FRAMES
from youtube8m_distill.data.synthetic import statistics

Rating = collections.namedtuple("Rating", "start label score")  # first frame, class, 0.0 or 1.0


def draw_spans(rng, num_shots, num_labels):
    """Which labels each shot shows: each label in one to MOST_SPANS runs of shots. float32 [shots, labels]."""
    visible = np.zeros((num_shots, num_labels), np.float32)
    for label in range(num_labels):
        spans = min(rng.integers(1, statistics.MOST_SPANS + 1), (num_shots + 1) // 2)
        borders = np.sort(rng.choice(num_shots + 1, 2 * spans, replace=False))  # the starts and ends of the spans
        visible[:, label] = np.searchsorted(borders, np.arange(num_shots), side="right") % 2
    return visible


def draw_ratings(rng, classes, shown, written, visible, is_rateable):
    """Rates up to RATED_SEGMENTS segments of a video.

    Args:
        classes: Classes, from which a class that the video does not have is drawn now and then.
        shown: the classes that the video shows.
        written: its labels. One that it does not show is rated 0.
        visible: bool [num_frames, len(shown)], in which frames.
        is_rateable: bool [num_classes], whether a class may be rated.
    Returns:
        Ratings in order of start and label. Empty if the video has no whole segment, or none in which a label can be rated.
    """
    num_segments = len(visible) // SEGMENT_FRAMES
    pieces = visible[: num_segments * SEGMENT_FRAMES].reshape(num_segments, SEGMENT_FRAMES, len(shown))
    frames = np.zeros((num_segments, classes.num_classes), np.int64)  # in how many frames of a segment a class is visible
    frames[:, shown] = pieces.sum(axis=1)
    scores, clear = 2 * frames >= SEGMENT_FRAMES, is_rateable & ((frames == 0) | (2 * frames >= SEGMENT_FRAMES))
    ratings = []
    for segment in sorted(rng.permutation(np.flatnonzero(clear[:, written].any(axis=1)))[: statistics.RATED_SEGMENTS]):
        labels = [label for label in written if clear[segment, label]]
        rated = rng.random(len(labels)) < statistics.RATED_LABEL
        rated[rng.integers(len(labels))] = True
        found = {label for label, is_rated in zip(labels, rated) if is_rated}
        if rng.random() < statistics.RATED_OTHER:
            other = classes.draw_one(rng)
            found |= {other} - {*shown, *written} if is_rateable[other] else set()
        start = int(segment) * SEGMENT_FRAMES
        ratings += [Rating(start, label, float(scores[segment, label])) for label in sorted(found)]
    return ratings
