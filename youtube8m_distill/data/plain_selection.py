"""Which frames a network sees of one video, without TensorFlow: what `frame_selection.select` gives for it."""

import numpy as np

from youtube8m_distill.config import FrameView


def _first(n, k):
    return np.arange(min(n, k))


def _uniform(n, k):
    count = min(n, k)
    return np.arange(count) * n // count


def _centered(n, k):
    count = min(n, k)
    return (2 * np.arange(count) + 1) * n // (2 * count)


def _middle(n, k):
    count = min(n, k)
    return (n - count) // 2 + np.arange(count)


def _last(n, k):
    count = min(n, k)
    return n - count + np.arange(count)


def _first_middle_last(n, k):
    if n <= k:
        return np.arange(n)
    side, center = k // 3, k - 2 * (k // 3)
    return np.concatenate([np.arange(side), (n - center) // 2 + np.arange(center), n - side + np.arange(side)])


SELECTIONS = {
    "all": _first,
    "first": _first,
    "uniform": _uniform,
    "centered": _centered,
    "middle": _middle,
    "last": _last,
    "first_middle_last": _first_middle_last,
}


def select(view: FrameView, stored_frames: int) -> np.ndarray:
    """The indices of the frames that a network sees, int64 [at most view.max_frames], rising.

    The selection random is not supported: it hashes video ids as TensorFlow does.
    """
    video_frames = min(stored_frames, view.max_video_frames)
    if view.frame_selection == "strided":
        return np.arange(0, video_frames, view.every_n)
    return SELECTIONS[view.frame_selection](video_frames, view.max_frames)
