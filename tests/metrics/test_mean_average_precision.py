import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracles
from tests.metrics import strategies
from tests.metrics.ranked import rank
from youtube8m_distill.metrics import mean_average_precision
from youtube8m_distill.metrics.mean_average_precision import FullMeanAveragePrecision, MeanAveragePrecision

# Each video's best two, by class: class 0 has 0.9 true and 0.8 false; class 1 has 0.6 false; class 2 has 0.7 true, and
# a label of the first video that is cut. Without the cut class 1 has 0.3 false more, class 2 0.1 true.
LABELS = np.array([[1, 0, 1], [0, 0, 1]], np.uint8)
PREDICTIONS = np.array([[0.9, 0.6, 0.1], [0.8, 0.3, 0.7]], np.float32)


def streamed(labels, predictions, top_k, batches=None):
    metric = MeanAveragePrecision(labels.shape[1], top_k)
    for index in batches or [np.arange(len(labels))]:
        metric.update_state(rank(labels[index], predictions[index], top_k))
    return metric


def full(folder, labels, predictions, batches=None):
    with contextlib.closing(FullMeanAveragePrecision(labels.shape[1], folder)) as metric:
        for index in batches or [np.arange(len(labels))]:
            metric.update_state(labels[index], predictions[index])
        return metric.result(), metric.per_class()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("full_map")


def test_map_equals_a_hand_computed_value():
    metric = streamed(LABELS, PREDICTIONS, 2)
    np.testing.assert_array_equal(metric.per_class()["average_precision"], [1.0, np.nan, 1 / 2])
    np.testing.assert_array_equal(metric.per_class()["num_positives"], [1, 0, 2])
    assert metric.result() == pytest.approx((1 + 1 / 2) / 2)


def test_the_full_map_includes_all_classes(folder):
    result, per_class = full(folder, LABELS, PREDICTIONS)
    np.testing.assert_array_equal(per_class["average_precision"], [1.0, np.nan, 1.0])
    np.testing.assert_array_equal(per_class["num_positives"], [1, 0, 2])
    assert result == 1.0


@given(videos=strategies.videos_with_ties(), top_k=st.integers(1, 10))
@settings(max_examples=20, deadline=None)
def test_map_equals_the_oracle_with_equal_scores(videos, top_k):
    metric = streamed(*videos, top_k)
    assert metric.result() == pytest.approx(oracles.mean_average_precision(*videos, top_k), abs=1e-12)
    for c, value in oracles.class_average_precisions(*videos, top_k).items():
        assert metric.per_class()["average_precision"][c] == pytest.approx(value, abs=1e-12)


@given(videos=strategies.videos_without_ties(), top_k=st.integers(1, 10))
@settings(max_examples=15, deadline=None)
def test_without_equal_scores_map_equals_the_starter_codes(videos, top_k):
    expected = oracles.mean_average_precision(*videos, top_k, oracles.starter_average_precision)
    assert streamed(*videos, top_k).result() == pytest.approx(expected, abs=1e-12)


@given(data=st.data(), videos=strategies.videos_with_ties(), block_bytes=st.sampled_from([1, 40, 10**6]))
@settings(max_examples=15, deadline=None)
def test_batch_sizes_order_and_blocks_do_not_change_the_full_map(folder, data, videos, block_bytes):
    batches = data.draw(strategies.cuts(len(videos[0])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mean_average_precision, "BLOCK_BYTES", block_bytes)
        result, per_class = full(folder, *videos, batches)
    everything = streamed(*videos, top_k=videos[0].shape[1])
    assert result == pytest.approx(oracles.mean_average_precision(*videos, videos[0].shape[1]), abs=1e-12)
    np.testing.assert_array_equal(per_class["average_precision"], everything.per_class()["average_precision"])
    np.testing.assert_array_equal(per_class["num_positives"], everything.per_class()["num_positives"])


@given(data=st.data(), videos=strategies.videos_with_ties(), top_k=st.integers(1, 8))
@settings(max_examples=15, deadline=None)
def test_batch_sizes_and_order_do_not_change_map(data, videos, top_k):
    batches = data.draw(strategies.cuts(len(videos[0])))
    np.testing.assert_array_equal(
        streamed(*videos, top_k, batches).per_class()["average_precision"],
        streamed(*videos, top_k).per_class()["average_precision"],
    )


def test_class_indices_above_16_bits_are_kept():
    labels, predictions = np.zeros([1, 40000], np.uint8), np.zeros([1, 40000], np.float32)
    labels[0, 39999], predictions[0, [39999, 5]] = 1, [0.5, 0.9]
    metric = streamed(labels, predictions, 2)
    assert metric.per_class()["average_precision"][39999] == 1.0
    assert metric.result() == 1.0


def test_results_include_later_batches_and_reset_removes_all(folder):
    with contextlib.closing(FullMeanAveragePrecision(3, folder)) as on_disk:
        for metric, batch in (
            (streamed(LABELS, PREDICTIONS, 3), (rank(LABELS, -PREDICTIONS, 3),)),
            (on_disk, (LABELS, -PREDICTIONS)),
        ):
            if metric is on_disk:
                metric.update_state(LABELS, PREDICTIONS)
            first = metric.result()
            metric.update_state(*batch)
            both = np.concatenate([LABELS, LABELS]), np.concatenate([PREDICTIONS, -PREDICTIONS])
            assert metric.result() == pytest.approx(oracles.mean_average_precision(*both, 3)) != first
            metric.reset_state()
            assert metric.result() == 0.0
            metric.update_state(*batch)
            assert metric.result() == pytest.approx(oracles.mean_average_precision(LABELS, -PREDICTIONS, 3))


def test_without_labels_map_is_zero_and_classes_are_nan(folder):
    metric = streamed(0 * LABELS, PREDICTIONS, 2)
    assert metric.result() == 0.0
    assert np.isnan(metric.per_class()["average_precision"]).all()
    assert full(folder, 0 * LABELS, PREDICTIONS)[0] == 0.0


def test_the_full_map_deletes_its_file_even_after_an_error(tmp_path):
    new_folder = tmp_path / "deep" / "er"
    with pytest.raises(ValueError, match="predictions must be finite"):
        with contextlib.closing(FullMeanAveragePrecision(3, new_folder)) as metric:
            metric.update_state(LABELS, PREDICTIONS)
            metric.update_state(LABELS, PREDICTIONS * np.nan)
    assert list(new_folder.iterdir()) == []


def test_input_of_the_wrong_size_is_an_error(folder):
    with pytest.raises(ValueError, match="holds 1 classes a video, of 3; top_k=2 are needed"):
        MeanAveragePrecision(3, 2).update_state(rank(LABELS, PREDICTIONS, 1))
    with pytest.raises(ValueError, match="The batch has 3 classes, the metric 4"):
        MeanAveragePrecision(4, 2).update_state(rank(LABELS, PREDICTIONS, 2))
    with contextlib.closing(FullMeanAveragePrecision(4, folder)) as metric:
        with pytest.raises(ValueError, match=r"must both be \[batch, 4\]. Received \(2, 3\) and \(2, 3\)"):
            metric.update_state(LABELS, PREDICTIONS)
        with pytest.raises(ValueError, match=r"must both be \[batch, 4\]. Received \(2, 3\) and \(2, 2\)"):
            metric.update_state(LABELS, PREDICTIONS[:, :2])
