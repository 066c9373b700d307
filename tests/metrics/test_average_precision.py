import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracles
from youtube8m_distill.metrics.average_precision import average_precision

TIED_PAIRS = st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), st.booleans()), max_size=20)
LOOSE_PAIRS = st.lists(st.tuples(st.floats(-1e3, 1e3), st.booleans()), max_size=20, unique_by=lambda pair: pair[0])


def of(pairs, num_positives):
    return average_precision([score for score, _ in pairs], [true for _, true in pairs], num_positives)


def test_average_precision_of_four_pairs_equals_a_hand_computed_value():
    # By falling score: true, false, true, false; precisions 1/1 and 2/3; one positive of three is no pair.
    value = of([(0.2, False), (0.9, True), (0.5, True), (0.7, False)], 3)
    assert value == pytest.approx((1 / 1 + 2 / 3) / 3)


def test_equal_scores_get_the_precision_at_the_end_of_their_group():
    # 0.9 true; then three at 0.5, two of them true: (1 + 2) / (1 + 3) for both.
    assert of([(0.9, True), (0.5, True), (0.5, False), (0.5, True)], 3) == pytest.approx((1 + 2 * 3 / 4) / 3)


@given(pairs=st.one_of(TIED_PAIRS, LOOSE_PAIRS), others=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_average_precision_equals_the_oracle_with_equal_scores(pairs, others):
    positives = sum(true for _, true in pairs) + others
    assert of(pairs, positives) == pytest.approx(oracles.grouped_average_precision(pairs, positives), abs=1e-12)


@given(pairs=LOOSE_PAIRS, others=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_without_equal_scores_average_precision_equals_the_starter_codes(pairs, others):
    positives = sum(true for _, true in pairs) + others
    assert of(pairs, positives) == pytest.approx(oracles.starter_average_precision(pairs, positives), abs=1e-12)


@given(pairs=TIED_PAIRS, seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_pairs_does_not_change_the_result(pairs, seed):
    shuffled = [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))]
    assert of(shuffled, len(pairs)) == of(pairs, len(pairs))


def test_without_positives_average_precision_is_zero():
    assert of([(0.5, False)], 0) == 0.0
    assert of([], 0) == 0.0


def test_without_pairs_average_precision_is_zero():
    assert of([], 7) == 0.0


@pytest.mark.parametrize(
    "scores, hits, num_positives, message",
    [
        ([0.5, np.nan], [True, False], 1, "scores must be finite. Received 1 NaN or infinite"),
        ([0.5, 0.4], [True], 1, r"must be flat and of the same length. Received \(2,\) and \(1,\)"),
        ([[0.5]], [[True]], 1, r"must be flat and of the same length. Received \(1, 1\)"),
        ([0.5, 0.4], [True, True], 1, "num_positives=1 is less than the 2 hits"),
    ],
)
def test_invalid_input_is_an_error(scores, hits, num_positives, message):
    with pytest.raises(ValueError, match=message):
        average_precision(scores, hits, num_positives)
