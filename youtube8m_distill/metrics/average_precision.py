"""The definition of average precision that GAP and mAP share."""

import numpy as np
from numpy.typing import ArrayLike


def average_precision(scores: ArrayLike, hits: ArrayLike, num_positives: int | np.integer) -> float:
    """Non-interpolated average precision of (score, is it true) pairs, like `ap_at_n` of the starter code.

        AP = 1 / num_positives * sum over true pairs of precision(score of the pair)
        precision(s) = true pairs scored s or more / pairs scored s or more

    Without equal scores this is the starter code's value. Equal scores form one group with the precision at its end, so
    the value does not depend on the order of the pairs, not even in the last bit. The starter code shuffles equal scores.

    >>> average_precision([0.9, 0.8, 0.7], [True, False, True], num_positives=2)  # (1/1 + 2/3) / 2
    0.8333333333333333

    Scores are float [n], hits bool [n]. `num_positives` includes those that are not among the pairs; without any, the value
    is 0.0, as in the starter code.

    Raises:
        ValueError: if the shapes differ, a score is not finite or there are more hits than positives.
    """
    scores, hits = np.asarray(scores), np.asarray(hits, dtype=bool)
    if scores.ndim != 1 or scores.shape != hits.shape:
        raise ValueError(f"scores and hits must be flat and of the same length. Received {scores.shape} and {hits.shape}.")
    if not np.isfinite(scores).all():
        raise ValueError(f"scores must be finite. Received {np.count_nonzero(~np.isfinite(scores))} NaN or infinite.")
    ranked, true = np.sort(scores), np.sort(scores[hits])
    if len(true) > num_positives:
        raise ValueError(f"num_positives={num_positives} is less than the {len(true)} hits: count all positives.")
    if not num_positives:
        return 0.0
    as_high = len(ranked) - np.searchsorted(ranked, true, side="left")
    true_as_high = len(true) - np.searchsorted(true, true, side="left")
    return float(np.sum(true_as_high / as_high) / num_positives)
