"""Calibration of a network's probabilities, so that those of several networks can be ranked together, or combined."""

from typing import NamedTuple

import numpy as np
from keras import KerasTensor, ops
from numpy.typing import ArrayLike

from youtube8m_distill.metrics.logistic_regression import fit_logistic

LARGEST_LOGIT = float(np.log(2.0**24 - 1))  # of the largest float32 below 1
MIN_PAIRS = 20  # true pairs, and false ones, below which a fit says little


class Calibration(NamedTuple):
    """A rising map of probabilities, sigmoid(a logit(p) + b) (Platt scaling). a = 1, b = 0 changes nothing.

    In a cascade, a network may also count the answer q of the networks before it: sigmoid(a logit(p) + b + c logit(q)).

    >>> Calibration(a=1.0, b=0.0)(0.25)
    0.25
    """

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0

    def __call__(self, predictions: KerasTensor, before: KerasTensor | None = None) -> KerasTensor:
        """The calibrated probabilities, float32 of the shape of `predictions`. Those nearest to 0 and 1 become equal.

        Args:
            before: q, of the same shape; not read if c is 0.
        """
        if self == (1.0, 0.0, 0.0):
            return predictions
        logits = self.a * logits_of(predictions) + self.b
        return ops.sigmoid(logits + self.c * logits_of(before) if self.c else logits)


def logits_of(predictions: KerasTensor) -> KerasTensor:
    """log(p / (1 - p)) of float32 probabilities, from -16.6 to 16.6: 1 - p has no more digits."""
    smallest = float(2.0**-24)
    p = ops.clip(ops.cast(predictions, "float32"), smallest, 1.0 - smallest)
    return ops.log(p) - ops.log1p(-p)


def fit_calibration(scores: ArrayLike, hits: ArrayLike, before: ArrayLike | None = None) -> Calibration:
    """The Calibration of greatest likelihood for (score, is it true) pairs.

    For GAP@20, the pairs are those that it pools: the 20 best classes of each video. The targets are not quite 0 and 1, as
    in Platt's method (1999), so that the map is finite even if a score separates them.

    Args:
        scores: float of any shape, from 0 to 1.
        hits: bool of the same shape.
        before: the answers q for the same pairs. c is 0 without them, or if a and c would not both be above 0.
    Raises:
        ValueError: with the reason, if the pairs do not determine a rising map.
    """
    hits = np.asarray(hits, bool).ravel()
    logits = _column_of_logits(scores)
    num_true = int(np.count_nonzero(hits))
    num_false = len(hits) - num_true
    if min(num_true, num_false) < MIN_PAIRS:
        raise ValueError(f"{num_true} true and {num_false} false predictions are too few, at least {MIN_PAIRS} are needed")
    targets = np.where(hits, (num_true + 1) / (num_true + 2), 1 / (num_false + 2))
    if before is not None:
        (a, c), b = fit_logistic(np.concatenate([logits, _column_of_logits(before)], axis=1), targets)
        if np.isfinite([a, b, c]).all() and min(a, c) > 0:
            return Calibration(float(a), b, float(c))
    (a,), b = fit_logistic(logits, targets)
    if not (np.isfinite([a, b]).all() and a > 0):
        raise ValueError(f"its higher probabilities are not more often right (a = {a:.3g})")
    return Calibration(float(a), b)


def _column_of_logits(scores):
    """float64 [N, 1]."""
    return np.asarray(logits_of(np.asarray(scores, np.float32).reshape(-1, 1)), np.float64)
