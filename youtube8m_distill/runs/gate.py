"""A learned gate: whether the next network of a cascade is worth its cost for a video, judged by this one's encoding."""

from typing import NamedTuple

import numpy as np

from youtube8m_distill.metrics.logistic_regression import fit_logistic

L2 = 0.01  # of the weights of standardized inputs
MIN_EXAMPLES = 20  # videos that the next network helps, and that it does not help


class Gate(NamedTuple):
    """Logistic regression on encodings."""

    weights: np.ndarray  # float32 [D]
    bias: float

    def __call__(self, encodings: np.ndarray) -> np.ndarray:
        """The probability that the next network does not help. float32 [N, D] -> float64 [N]."""
        logits = np.asarray(encodings @ self.weights, np.float64) + self.bias
        return 1.0 / (1.0 + np.exp(np.clip(logits, -500, 500)))


def fit_gate(encodings: np.ndarray, helps: np.ndarray) -> Gate:
    """The Gate for float32 [N, D] encodings of videos and bool [N], whether the next network helps each of them.

    Raises:
        ValueError: if there are too few videos of either kind.
    """
    num_helped = int(np.count_nonzero(helps))
    if min(num_helped, len(helps) - num_helped) < MIN_EXAMPLES:
        reason = f"the next network helps {num_helped} of {len(helps)} videos"
        raise ValueError(f"{reason}; at least {MIN_EXAMPLES} of either kind are needed")
    mean, deviation = encodings.mean(axis=0), encodings.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0).astype(np.float32)
    weights, bias = fit_logistic((encodings - mean) / scale, helps, L2)
    weights = weights / scale  # of the encodings as they are
    return Gate(weights.astype(np.float32), float(bias - mean @ weights))
