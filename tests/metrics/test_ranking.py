import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracles
from tests.metrics import strategies
from tests.metrics.ranked import rank
from youtube8m_distill.metrics import ranking

LABELS = np.array([[1, 0, 0, 1], [0, 0, 0, 0]], np.uint8)
PREDICTIONS = np.array([[0.5, 0.9, 0.5, 0.5], [0.1, 0.2, 0.3, 0.4]], np.float32)


def assert_same(one, other):
    for name, a, b in zip(ranking.Ranking._fields, one, other):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_the_best_classes_come_first_and_of_equal_ones_the_lower():
    result = rank(LABELS, PREDICTIONS, top_k=3)
    np.testing.assert_array_equal(result.classes, [[1, 0, 2], [3, 2, 1]])  # of 0, 2 and 3, all at 0.5, 3 is cut
    np.testing.assert_array_equal(result.scores, np.float32([[0.9, 0.5, 0.5], [0.4, 0.3, 0.2]]))
    np.testing.assert_array_equal(result.hits, [[False, True, False], [False, False, False]])
    np.testing.assert_array_equal(result.num_labels, [2, 0])
    np.testing.assert_array_equal(result.label_classes, [0, 3])
    assert result.num_classes == 4
    assert [array.dtype for array in result[:5]] == [np.int32, np.float32, np.bool_, np.int32, np.int32]


@given(videos=st.one_of(strategies.videos_with_ties(), strategies.videos_without_ties()), top_k=st.integers(1, 10))
@settings(max_examples=100, deadline=None)
def test_a_ranking_is_sorted_by_falling_score_then_rising_class(videos, top_k):
    labels, predictions = videos
    expected = [oracles.ordered_classes(row)[:top_k] for row in predictions]
    result = rank(labels, predictions, top_k)
    np.testing.assert_array_equal(result.classes, expected)
    np.testing.assert_array_equal(result.scores, np.take_along_axis(predictions, np.array(expected), 1))
    np.testing.assert_array_equal(result.hits, np.take_along_axis(labels, np.array(expected), 1) > 0)
    np.testing.assert_array_equal(result.num_labels, labels.sum(axis=1))
    np.testing.assert_array_equal(result.label_classes, [c for row in labels for c in np.flatnonzero(row)])


@given(videos=strategies.videos_with_ties(), top_k=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_the_devices_top_k_agrees_with_a_ranking_of_all_predictions(videos, top_k):
    labels, predictions = videos
    scores, classes = tf.math.top_k(predictions, min(top_k, labels.shape[1]))
    assert_same(ranking.ranking_from_top(labels, classes, scores), rank(labels, predictions, top_k))


def test_top_classes_may_come_in_any_order():
    given_order = ranking.ranking_from_top(LABELS, [[2, 1, 0], [1, 3, 2]], [[0.5, 0.9, 0.5], [0.2, 0.4, 0.3]])
    assert_same(given_order, rank(LABELS, PREDICTIONS, top_k=3))


def test_an_empty_batch_has_an_empty_ranking():
    empty = np.zeros([0, 4], np.float32)
    assert rank(empty, empty, top_k=3).classes.shape == (0, 3)


def test_values_above_zero_are_labels():
    labels = np.array([[0.25, 0.0, 0.0, 1.0], [-1.0, 0.0, 0.0, 0.0]])
    assert_same(rank(labels, PREDICTIONS, 3), rank(LABELS, PREDICTIONS, 3))


def test_a_ranking_does_not_change_with_the_arrays_it_came_from():
    scores = np.array([[0.9, 0.5]], np.float32)
    result = ranking.ranking_from_top(LABELS[:1], np.array([[1, 0]], np.int32), scores)
    scores[:] = 0.0
    np.testing.assert_array_equal(result.scores, np.float32([[0.9, 0.5]]))
    with pytest.raises(ValueError, match="read-only"):
        result.scores[0, 0] = 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_and_labels_that_are_not_finite_are_refused_with_their_row(bad):
    with pytest.raises(ValueError, match="top_scores must be finite. Received 1 that .* the first in row 1"):
        ranking.ranking_from_top(LABELS, [[0], [1]], [[0.5], [bad]])
    labels = PREDICTIONS.copy()
    labels[1, 0] = bad
    with pytest.raises(ValueError, match="labels must be finite"):
        rank(labels, PREDICTIONS)


@pytest.mark.parametrize(
    "labels, classes, scores, message",
    [
        (LABELS[0], [[0]], [[0.5]], r"labels must be multi-hot, \[batch, num_classes\]. Received shape \(4,\)"),
        (LABELS, [[0], [1]], [[0.5, 0.4], [0.5, 0.4]], r"must both be \[batch, k\].*Received \(2, 1\), \(2, 2\)"),
        (LABELS, [[0]], [[0.5]], r"with the batch of labels. Received \(1, 1\), \(1, 1\) and labels \(2, 4\)"),
        (LABELS, [[0], [4]], [[0.5], [0.5]], "top_classes=0 to 4: the labels have classes 0 to 3"),
        (LABELS, [[0], [-1]], [[0.5], [0.5]], "top_classes=-1 to 0: the labels have classes 0 to 3"),
    ],
)
def test_top_classes_that_do_not_fit_the_labels_are_refused(labels, classes, scores, message):
    with pytest.raises(ValueError, match=message):
        ranking.ranking_from_top(labels, classes, scores)
