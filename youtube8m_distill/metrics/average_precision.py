"""The one definition of average precision that GAP and mAP share."""

import numpy as np


def average_precision(scores, hits, num_positives):
    """Non-interpolated average precision of (score, is it true) pairs, as the YouTube-8M starter's `ap_at_n`.

        AP = 1 / num_positives * sum over true pairs of precision(score of the pair)
        precision(s) = true pairs scored s or more / pairs scored s or more

    Without equal scores this is the starter's number. Equal scores form one group, whose precision is taken at its end:
    the starter shuffles them, so that its value depends on the order of the videos; ours does not, to the last bit.

    Args:
        scores: float [n], finite.
        hits: bool [n], whether each pair is true.
        num_positives: all that could have been found, also those that are no pair here.
    Returns:
        A float in 0..1; 0.0 if there are no positives, as the starter.
    Raises:
        ValueError: if the shapes differ, a score is not finite or there are more hits than positives.
    """
    scores, hits = np.asarray(scores), np.asarray(hits, dtype=bool)
    if scores.ndim != 1 or scores.shape != hits.shape:
        raise ValueError(f"scores and hits must be flat and of one length. Received {scores.shape} and {hits.shape}.")
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
