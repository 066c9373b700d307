"""Calibration of a network's probabilities, so that those of several networks can be ranked together."""

from typing import NamedTuple

import numpy as np
from keras import KerasTensor, ops
from numpy.typing import ArrayLike

from youtube8m_distill.metrics.logistic_regression import fit_logistic

LARGEST_LOGIT = float(np.log(2.0**24 - 1))  # of the largest float32 below 1
MIN_PAIRS = 20  # true pairs, and false ones, below which a fit says little


class Calibration(NamedTuple):
    """A rising map of probabilities, sigmoid(a logit(p) + b) (Platt scaling). a = 1, b = 0 changes nothing.

    >>> Calibration(a=1.0, b=0.0)(0.25)
    0.25
    """

    a: float = 1.0
    b: float = 0.0

    def __call__(self, predictions: KerasTensor) -> KerasTensor:
        """The calibrated probabilities, float32 of the shape of `predictions`. Those nearest to 0 and 1 become equal."""
        return predictions if self == (1.0, 0.0) else ops.sigmoid(self.a * logits_of(predictions) + self.b)


def logits_of(predictions: KerasTensor) -> KerasTensor:
    """log(p / (1 - p)) of float32 probabilities, from -16.6 to 16.6: 1 - p has no more digits."""
    smallest = float(2.0**-24)
    p = ops.clip(ops.cast(predictions, "float32"), smallest, 1.0 - smallest)
    return ops.log(p) - ops.log1p(-p)


def fit_calibration(scores: ArrayLike, hits: ArrayLike) -> Calibration:
    """The Calibration of greatest likelihood for (score, is it true) pairs.

    For GAP@20, the pairs are those that it pools: the 20 best classes of each video. The targets are not quite 0 and 1, as
    in Platt's method (1999), so that the map is finite even if a score separates them.

    Args:
        scores: float of any shape, from 0 to 1.
        hits: bool of the same shape.
    Raises:
        ValueError: with the reason, if the pairs do not determine a rising map.
    """
    hits = np.asarray(hits, bool).ravel()
    logits = np.asarray(logits_of(np.asarray(scores, np.float32).ravel()), np.float64)
    num_true = int(np.count_nonzero(hits))
    num_false = len(hits) - num_true
    if min(num_true, num_false) < MIN_PAIRS:
        raise ValueError(f"{num_true} true and {num_false} false predictions are too few, at least {MIN_PAIRS} are needed")
    targets = np.where(hits, (num_true + 1) / (num_true + 2), 1 / (num_false + 2))
    (a,), b = fit_logistic(logits[:, None], targets)
    if not (np.isfinite([a, b]).all() and a > 0):
        raise ValueError(f"its higher probabilities are not more often right (a = {a:.3g})")
    return Calibration(float(a), b)
