"""How close a student's encodings lie to its teacher's: the videos to look at, their places in a plane, two numbers.

Pure functions of arrays; CVPR 2019, section 5.4 and Figure 3.
"""

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from reproduce.checks import require

MOST_NEIGHBORS = 30  # t-SNE's usual perplexity
OVERLAPS = (0.1, 0.2, 0.4, 0.8)  # shares of a class's videos that may have another class, too


def choose_classes(labels, count=5, overlaps=OVERLAPS):
    """The most frequent classes that hardly occur together ("top-5 most uncorrelated classes", slides 2019).

    Classes come by falling frequency, equal ones by index. One is taken if, with it, no chosen class shares more than
    an overlap of its videos with the other chosen ones. Classes without videos are never taken.

    Args:
        labels: uint8 [N, C] of 0 and 1.
        count: int.
        overlaps: tuple of float, rising: the first is taken under which `count` classes fit, or else the last.
    Returns:
        list of int, most frequent first; fewer than `count` where no more fit.
    """
    for most_overlap in overlaps:
        chosen = _classes_within(most_overlap, labels, count)
        if len(chosen) == count:
            break
    return chosen


def _classes_within(most_overlap, labels, count):
    sizes = labels.sum(axis=0, dtype=np.int64)
    chosen = []
    for index in np.argsort(-sizes, kind="stable"):
        if len(chosen) == count or not sizes[index]:
            break
        if _most_shared(labels[:, [*chosen, index]]) <= most_overlap:
            chosen.append(int(index))
    return chosen


def _most_shared(labels):
    """The largest share, among classes, of a class's videos that have another of these classes, too."""
    several = labels.sum(axis=1) > 1
    return max(several[column > 0].mean() for column in labels.T)


def choose_videos(labels, classes, per_class=100):
    """Videos that have exactly one of some classes, the first ones of each.

    Args:
        labels: uint8 [N, C] of 0 and 1.
        classes: list of int.
        per_class: int.
    Returns:
        int64 [at most len(classes) * per_class], rows of `labels`, rising.
    """
    chosen = labels[:, classes]
    chosen = np.where(chosen.sum(axis=1, keepdims=True) == 1, chosen, 0)
    return np.flatnonzero(((chosen > 0) & (chosen.cumsum(axis=0, dtype=np.int64) <= per_class)).any(axis=1))


def project(teacher, student, seed=0):
    """Places in the plane of the encodings of the same videos by two networks: one t-SNE of both together.

    It starts from the first two principal components, so that distances between clusters mean a little, with the
    perplexity that `perplexity` gives.

    Args:
        teacher: float [N, D], N and D at least 1.
        student: float [N, D].
        seed: int.
    Returns:
        (teacher, student): two float32 [N, 2].
    Raises:
        ValueError: if there is no video.
    """
    require(len(teacher), "There are no encodings to project: no held-out video has exactly one of the chosen classes.")
    both = np.concatenate([teacher, student]).astype(np.float32)
    start = "pca" if both.shape[1] > 1 else "random"  # one number has one component
    with threadpool_limits(1):  # two threads round otherwise, and single points move
        places = TSNE(perplexity=perplexity(len(teacher)), init=start, random_state=seed).fit_transform(both)
    return places[: len(teacher)], places[len(teacher) :]


def perplexity(num_videos):
    """t-SNE's perplexity for so many videos, each there twice: it wants three times as many neighbors. float."""
    return min(MOST_NEIGHBORS, (2 * num_videos - 1) / 3)


def closeness(teacher, student):
    """How close a student's encodings E_S are to those E_T of its teacher.

    Args:
        teacher: float [N, D], N at least 1.
        student: float [N, D].
    Returns:
        dict of float:
        `relative_distance`: the mean of |E_T - E_S|^2 as a multiple of that of |E_T - mean E_T|^2. 0 where they agree,
        1 where the student does no better than always saying the mean, NaN where the teacher says the same of all.
        `nearest_is_own`: the share of videos whose E_S is nearer to their own E_T than to any other.
    """
    teacher, student = teacher.astype(np.float64), student.astype(np.float64)
    distance = np.square(teacher - student).sum(axis=1).mean()
    spread = np.square(teacher - teacher.mean(axis=0)).sum(axis=1).mean()
    relative = float(distance / spread) if spread else float("nan")
    own = [_is_nearest(index, np.square(teacher - encoding).sum(axis=1)) for index, encoding in enumerate(student)]
    return {"relative_distance": relative, "nearest_is_own": float(np.mean(own))}


def _is_nearest(index, distances):
    """Whether a distance is below all others; an equal one tells nothing."""
    return bool((distances[index] < np.delete(distances, index)).all())
