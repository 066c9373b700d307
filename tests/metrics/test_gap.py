import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracles
from tests.metrics import strategies
from tests.metrics.ranked import rank
from youtube8m_distill.metrics.gap import GlobalAveragePrecision, minibatch_gap

# Pooled at k = 2, by falling score: 0.9 true, 0.8 false, 0.7 true, 0.6 false. The first video's label 2 is cut.
LABELS = np.array([[1, 0, 1], [0, 0, 1]], np.uint8)
PREDICTIONS = np.array([[0.9, 0.6, 0.1], [0.8, 0.3, 0.7]], np.float32)


def host_gap(labels, predictions, top_k, batches=None):
    metric = GlobalAveragePrecision(top_k)
    for index in batches or [np.arange(len(labels))]:
        metric.update_state(rank(labels[index], predictions[index], top_k))
    return metric.result()


def graph_gap(labels, predictions, top_k):
    return float(minibatch_gap(labels, predictions, top_k))


BOTH = pytest.mark.parametrize("gap, tolerance", [(host_gap, 1e-12), (graph_gap, 1e-6)])


@BOTH
def test_gap_equals_hand_computed_values(gap, tolerance):
    assert gap(LABELS, PREDICTIONS, 2) == pytest.approx((1 / 1 + 2 / 3) / 3, abs=tolerance)
    # At k = 1 the pairs are 0.9 true and 0.8 false; at k = 3 the cut label comes back as the last of six.
    assert gap(LABELS, PREDICTIONS, 1) == pytest.approx(1 / 3, abs=tolerance)
    assert gap(LABELS, PREDICTIONS, 3) == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3, abs=tolerance)


@BOTH
@given(videos=strategies.videos_with_ties(), top_k=st.integers(1, 10))
@settings(max_examples=25, deadline=None)
def test_gap_equals_the_oracle_with_equal_scores(gap, tolerance, videos, top_k):
    assert gap(*videos, top_k) == pytest.approx(oracles.gap(*videos, top_k), abs=tolerance)


@BOTH
@given(videos=strategies.videos_without_ties(), top_k=st.integers(1, 10))
@settings(max_examples=15, deadline=None)
def test_without_equal_scores_gap_equals_the_starter_codes(gap, tolerance, videos, top_k):
    expected = oracles.gap(*videos, top_k, oracles.starter_average_precision)
    assert gap(*videos, top_k) == pytest.approx(expected, abs=tolerance)


@given(data=st.data(), videos=strategies.videos_with_ties(), top_k=st.integers(1, 8))
@settings(max_examples=25, deadline=None)
def test_batch_sizes_and_order_do_not_change_gap(data, videos, top_k):
    batches = data.draw(strategies.cuts(len(videos[0])))
    assert host_gap(*videos, top_k, batches) == host_gap(*videos, top_k)


@pytest.mark.parametrize("num_videos", [64])
def test_minibatch_gap_and_evaluation_agree_on_3862_classes(num_videos):
    random = np.random.default_rng(num_videos)
    labels = (random.random([num_videos, 3862]) < 0.001).astype(np.uint8)
    predictions = (np.round(random.random([num_videos, 3862]) * 999) / 999 + 0.01 * labels).astype(np.float32)
    assert graph_gap(labels, predictions, 20) == pytest.approx(host_gap(labels, predictions, 20), rel=1e-5)


def test_minibatch_gap_runs_in_a_graph_with_a_batch_of_unknown_size():
    graph = tf.function(
        lambda labels, predictions: minibatch_gap(labels, predictions, 2),
        input_signature=[tf.TensorSpec([None, 3], tf.uint8), tf.TensorSpec([None, 3])],
    )
    assert float(graph(LABELS, PREDICTIONS)) == pytest.approx(5 / 9)
    assert float(graph(LABELS[:1], PREDICTIONS[:1])) == pytest.approx(1 / 2)


@BOTH
def test_without_labels_gap_is_zero(gap, tolerance):
    assert gap(0 * LABELS, PREDICTIONS, 2) == 0.0


def test_gap_is_zero_at_first_and_after_a_reset():
    metric = GlobalAveragePrecision(2)
    assert metric.result() == 0.0
    metric.update_state(rank(LABELS, PREDICTIONS, 2))
    metric.reset_state()
    assert metric.result() == 0.0
    metric.update_state(rank(LABELS, PREDICTIONS, 2))
    assert metric.result() == pytest.approx(5 / 9)


def test_a_deeper_ranking_is_cut_to_top_k():
    metric = GlobalAveragePrecision(2)
    metric.update_state(rank(LABELS, PREDICTIONS, 3))
    assert metric.result() == host_gap(LABELS, PREDICTIONS, 2)


def test_a_ranking_of_too_few_classes_is_an_error():
    with pytest.raises(ValueError, match="holds 1 classes a video, of 3; top_k=2 are needed"):
        GlobalAveragePrecision(2).update_state(rank(LABELS, PREDICTIONS, 1))


def test_minibatch_gap_is_nan_if_a_prediction_is():
    predictions = PREDICTIONS.copy()
    predictions[0, 2] = np.nan
    assert np.isnan(graph_gap(LABELS, predictions, 1))


@pytest.mark.parametrize("top_k", [0])
def test_top_k_0_is_an_error(top_k):
    with pytest.raises(ValueError, match=f"top_k={top_k}: keep at least 1"):
        GlobalAveragePrecision(top_k)
    with pytest.raises(ValueError, match=f"top_k={top_k}: keep at least 1"):
        minibatch_gap(LABELS, PREDICTIONS, top_k)


def test_minibatch_gap_of_different_shapes_is_an_error():
    with pytest.raises(ValueError, match=r"Received shapes \(2, 2\) and \(2, 3\)"):
        minibatch_gap(LABELS[:, :2], PREDICTIONS, 2)
