"""Compares the encodings of a student with those of its teacher: choice of videos, projection to 2-D, and two distances.

All functions are pure functions of arrays. Source: CVPR 2019, section 5.4 and Figure 3.
"""

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

MAX_PERPLEXITY = 30  # scikit-learn's default
OVERLAPS = (0.1, 0.2, 0.4, 0.8)  # fractions of a class's videos that may also have another chosen class


def choose_classes(labels, count=5, overlaps=OVERLAPS):
    """Chooses frequent classes that rarely occur together ("top-5 most uncorrelated classes", slides 2019).

    Classes are tried by decreasing frequency, then by index. A class is added if then, for each chosen class, the fraction
    of its videos that also have another chosen class is at most the overlap. Classes without videos are never chosen.

    Args:
        labels: uint8 [N, C] of 0 and 1.
        count: int.
        overlaps: increasing floats. The first one that allows `count` classes is used, or else the last.
    Returns:
        list of int, most frequent first; fewer than `count` if no more fit.
    """
    for max_overlap in overlaps:
        chosen = _classes_within(max_overlap, labels, count)
        if len(chosen) == count:
            break
    return chosen


def _classes_within(max_overlap, labels, count):
    sizes = labels.sum(axis=0, dtype=np.int64)
    chosen = []
    for index in np.argsort(-sizes, kind="stable"):
        if len(chosen) == count or not sizes[index]:
            break
        if _max_shared(labels[:, [*chosen, index]]) <= max_overlap:
            chosen.append(int(index))
    return chosen


def _max_shared(labels):
    """The largest fraction of a class's videos that also have another of these classes."""
    several = labels.sum(axis=1) > 1
    return max(several[column > 0].mean() for column in labels.T)


def choose_videos(labels, classes, per_class=100):
    """The first videos of each class, among those that have exactly one of the given classes.

    Args:
        labels: uint8 [N, C] of 0 and 1.
        classes: list of int.
        per_class: int.
    Returns:
        int64 [at most len(classes) * per_class], increasing row indices of `labels`.
    """
    chosen = labels[:, classes]
    chosen = np.where(chosen.sum(axis=1, keepdims=True) == 1, chosen, 0)
    return np.flatnonzero(((chosen > 0) & (chosen.cumsum(axis=0, dtype=np.int64) <= per_class)).any(axis=1))


def project(teacher, student, seed=0):
    """2-D positions of two networks' encodings of the same videos, from one t-SNE of all encodings.

    t-SNE starts from the first two principal components, so distances between clusters have some meaning.

    Args:
        teacher: float [N, D], N and D at least 1.
        student: float [N, D].
        seed: int.
    Returns:
        (teacher, student): two float32 [N, 2].
    Raises:
        ValueError: if there are no videos.
    """
    if not len(teacher):
        raise ValueError("There are no encodings to project: no held-out video has exactly one of the chosen classes.")
    both = np.concatenate([teacher, student]).astype(np.float32)
    start = "pca" if both.shape[1] > 1 else "random"  # PCA needs at least two numbers per encoding
    with threadpool_limits(1):  # because results depend on the number of threads
        points = TSNE(perplexity=perplexity(len(teacher)), init=start, random_state=seed).fit_transform(both)
    return points[: len(teacher)], points[len(teacher) :]


def perplexity(num_videos):
    """The perplexity of t-SNE for this many videos, each with two encodings. t-SNE uses three times as many neighbors."""
    return min(MAX_PERPLEXITY, (2 * num_videos - 1) / 3)


def closeness(teacher, student):
    """Distances of a student's encodings E_S from its teacher's encodings E_T of the same videos.

    Args:
        teacher: float [N, D], N at least 1.
        student: float [N, D].
    Returns:
        dict of float:
        `relative_distance`: the mean of |E_T - E_S|^2 divided by the mean of |E_T - mean E_T|^2. 0 if the encodings are
        equal, 1 if the student is no better than the teacher's mean, NaN if all encodings of the teacher are equal.
        `nearest_is_own`: the fraction of videos whose E_S is nearer to their own E_T than to any other.
    """
    teacher, student = teacher.astype(np.float64), student.astype(np.float64)
    distance = np.square(teacher - student).sum(axis=1).mean()
    spread = np.square(teacher - teacher.mean(axis=0)).sum(axis=1).mean()
    relative = float(distance / spread) if spread else float("nan")
    own = [_is_nearest(index, np.square(teacher - encoding).sum(axis=1)) for index, encoding in enumerate(student)]
    return {"relative_distance": relative, "nearest_is_own": float(np.mean(own))}


def _is_nearest(index, distances):
    """Whether the distance at an index is strictly below all others."""
    return bool((distances[index] < np.delete(distances, index)).all())
