"""The ranking of all predictions, by sorting them on the host."""

import numpy as np

from youtube8m_distill.metrics.ranking import ranking_from_top


def rank(labels, predictions, top_k=20):
    """A Ranking of the `top_k` highest predictions of each video; of equal ones the lower class comes first."""
    classes = np.argsort(-np.asarray(predictions, np.float32), axis=1, kind="stable")[:, :top_k]
    return ranking_from_top(labels, classes, np.take_along_axis(np.asarray(predictions), classes, axis=1))
