import itertools

import numpy as np
import pytest

from youtube8m_distill.metrics.expected_ap import expected_average_precision


def expected_numerator(p):
    """The expectation of sum_i y_i precision(i) over all label vectors, by enumeration."""
    total = 0.0
    for labels in itertools.product((0, 1), repeat=len(p)):
        chance = np.prod([q if y else 1 - q for q, y in zip(p, labels)])
        total += chance * sum(y * sum(labels[: i + 1]) / (i + 1) for i, y in enumerate(labels))
    return total


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_the_numerator_is_the_expectation_over_all_labels(k):
    p = -np.sort(-np.random.default_rng(k).uniform(size=(4, k)), axis=1)
    expected = [expected_numerator(row) / max(1.0, row.sum()) for row in p]
    np.testing.assert_allclose(expected_average_precision(p), expected, rtol=1e-12)


def test_certain_predictions_of_any_number_of_labels_give_1():
    np.testing.assert_allclose(expected_average_precision(np.tri(6, 20)), 1.0)


def test_values_stay_between_0_and_1_and_rise_with_confidence():
    p = -np.sort(-np.random.default_rng(0).uniform(size=(200, 20)), axis=1)
    found = expected_average_precision(p)
    assert found.min() > 0 and found.max() < 1
    unsure, sure = expected_average_precision([[0.5, 0.4, 0.3], [0.9, 0.1, 0.05]])
    assert sure > unsure


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"probabilities must be \[videos, classes\]. Received shape \(3,\)."):
        expected_average_precision([0.1, 0.2, 0.3])
