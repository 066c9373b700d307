import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings

from tests import oracles
from tests.metrics import strategies
from youtube8m_distill.metrics import per_video

ORACLES = {per_video.hit_at_one: oracles.starter_hit_at_one, per_video.perr: oracles.starter_perr}
BOTH = pytest.mark.parametrize("metric", list(ORACLES))


def values(metric, labels, predictions):
    return keras.ops.convert_to_numpy(metric(labels, predictions))


def expected(metric, labels, predictions):
    return [ORACLES[metric](truth, row) for truth, row in zip(labels, predictions)]


def test_hit_at_one_is_whether_the_best_class_is_a_label():
    labels = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0]], np.uint8)
    predictions = np.array([[0.1, 0.9, 0.3], [0.2, 0.8, 0.7], [0.5, 0.1, 0.2]], np.float32)
    np.testing.assert_array_equal(values(per_video.hit_at_one, labels, predictions), [1.0, 0.0, 0.0])


def test_hit_at_one_prefers_the_lower_class_of_equal_predictions():
    predictions = np.array([[0.1, 0.7, 0.7], [0.1, 0.7, 0.7]], np.float32)
    labels = np.array([[0, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(values(per_video.hit_at_one, labels, predictions), [1.0, 0.0])


def test_perr_uses_as_many_classes_as_there_are_labels():
    labels = np.array([[1, 1, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], np.uint8)
    predictions = np.array(
        [
            [0.9, 0.1, 0.8, 0.7],  # best three: 0, 2, 3; true are 0 and 3: 2/3
            [0.9, 0.8, 0.1, 0.2],  # best one: 0, not a label: 0
            [0.9, 0.8, 0.1, 0.2],
        ],
        np.float32,
    )  # no label: 0
    np.testing.assert_allclose(values(per_video.perr, labels, predictions), [2 / 3, 0.0, 0.0], rtol=1e-6)


def test_perr_ignores_predictions_of_zero_or_less():
    labels = np.array([[1, 1, 1]], np.uint8)
    predictions = np.array([[0.5, 0.0, -0.5]], np.float32)
    np.testing.assert_allclose(values(per_video.perr, labels, predictions), [1 / 3], rtol=1e-6)


def test_perr_prefers_the_lower_classes_of_equal_predictions():
    predictions = np.full([2, 4], 0.5, np.float32)
    labels = np.array([[1, 1, 0, 0], [0, 1, 1, 0]])  # best two: 0 and 1
    np.testing.assert_allclose(values(per_video.perr, labels, predictions), [1.0, 0.5])


@BOTH
@given(videos=strategies.videos_with_ties())
@settings(max_examples=15, deadline=None)
def test_per_video_metrics_equal_the_oracles_with_equal_predictions(metric, videos):
    np.testing.assert_allclose(values(metric, *videos), expected(metric, *videos), rtol=1e-6)


@pytest.mark.parametrize("most_labels", [per_video.SHALLOW_DEPTH, per_video.SHALLOW_DEPTH + 1])
def test_perr_is_exact_for_more_labels_than_the_shallow_search_finds(most_labels):
    random = np.random.default_rng(most_labels)
    predictions = (random.integers(0, 9, [3, 50]) / 8).astype(np.float32)
    labels = np.zeros([3, 50], np.uint8)
    labels[0, random.permutation(50)[:most_labels]] = 1
    labels[1, :2] = 1
    labels[2] = labels[0]
    predictions[2] += 2 * labels[2]  # all of its labels come first
    assert values(per_video.perr, labels, predictions)[2] == 1.0
    np.testing.assert_allclose(
        values(per_video.perr, labels, predictions), expected(per_video.perr, labels, predictions), rtol=1e-6
    )


@BOTH
@pytest.mark.parametrize("num_labels", [3, 40])
def test_per_video_metrics_run_in_a_graph_with_a_batch_of_unknown_size(metric, num_labels):
    random = np.random.default_rng(0)
    predictions, labels = random.random([5, 50], np.float32), np.zeros([5, 50], np.uint8)
    labels[:, 5 : 5 + num_labels] = 1
    graph = tf.function(metric, input_signature=[tf.TensorSpec([None, 50], tf.uint8), tf.TensorSpec([None, 50])])
    np.testing.assert_allclose(graph(labels, predictions), expected(metric, labels, predictions), rtol=1e-6)


@BOTH
@pytest.mark.parametrize("dtype", ["bool", "int32", "float32"])
def test_labels_of_any_dtype_count_if_above_zero(metric, dtype):
    labels = np.array([[1, 0, 1], [0, 1, 0]])
    predictions = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]], np.float32)
    np.testing.assert_array_equal(
        values(metric, (labels * 0.5 if dtype == "float32" else labels).astype(dtype), predictions),
        values(metric, labels.astype("uint8"), predictions),
    )


@BOTH
@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_only_a_video_with_a_bad_prediction_gets_nan(metric, bad):
    labels, predictions = np.eye(3, 40, dtype=np.uint8), np.tile(np.linspace(1, 0, 40, dtype=np.float32), [3, 1])
    predictions[1, 39] = bad
    np.testing.assert_array_equal(np.isnan(values(metric, labels, predictions)), [False, True, False])


@BOTH
@pytest.mark.parametrize("label_shape", [(2, 4), (3, 3), (3,)])
def test_labels_of_another_shape_are_an_error(metric, label_shape):
    with pytest.raises(ValueError, match=r"must both be \[batch, num_classes\]. Received shapes .* and \(2, 3\)"):
        metric(np.zeros(label_shape, np.uint8), np.zeros([2, 3], np.float32))


@pytest.mark.parametrize("depth", [1, 3, 50])
def test_perr_from_given_best_classes_is_the_same(depth):
    """Also where a video has more labels than the caller has classes."""
    random = np.random.default_rng(depth)
    labels = (random.random((6, 50)) < random.random((6, 1))).astype(np.uint8)
    predictions = random.random((6, 50)).astype(np.float32)
    found = keras.ops.convert_to_numpy(per_video.perr(labels, predictions, keras.ops.top_k(predictions, depth)))
    np.testing.assert_allclose(found, [oracles.starter_perr(*pair) for pair in zip(labels, predictions)], rtol=1e-6)
