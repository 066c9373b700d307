"""The average precision that a video's own predictions promise: how sure a network is of a video, without labels."""

import numpy as np
from numpy.typing import ArrayLike


def expected_average_precision(probabilities: ArrayLike) -> np.ndarray:
    """The expected average precision of each video, if its probabilities are right and its labels independent.

        E[AP] ~ sum_i p_i (1 + sum_{j<i} p_j) / i / max(1, sum_i p_i)

    The sum is the exact expectation of sum_i y_i precision(i), the average precision times the number of labels. It is
    divided by the expected number of labels among these classes, at least 1: the expectation of a ratio has no such short
    form.

    >>> expected_average_precision([[1.0, 1.0, 0.0], [0.5, 0.0, 0.0]]).tolist()
    [1.0, 0.5]

    Args:
        probabilities: float [N, k], from 0 to 1, the best class of each video first; usually calibrated (`Calibration`).
    Returns:
        float64 [N], from 0 to 1.
    Raises:
        ValueError: if the probabilities are not a matrix.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2:
        raise ValueError(f"probabilities must be [videos, classes]. Received shape {p.shape}.")
    before = np.cumsum(p, axis=1) - p  # [N, k], sum of p_j with j < i
    precision = (1.0 + before) / np.arange(1, p.shape[1] + 1)  # expected, if class i is a label
    return (p * precision).sum(axis=1) / np.maximum(1.0, p.sum(axis=1))
