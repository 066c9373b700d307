import json
import tracemalloc

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import oracles
from tests.metrics import strategies
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.metrics.per_video import perr

LABELS = np.array([[1, 0, 1], [0, 0, 1]], np.uint8)
PREDICTIONS = np.array([[0.9, 0.6, 0.1], [0.8, 0.3, 0.7]], np.float32)
LOSSES = np.array([0.5, 2.0], np.float32)


def feed(evaluator, labels, predictions, losses):
    """What a caller does with a batch that has just been predicted."""
    scores, classes = keras.ops.top_k(predictions, min(evaluator.top_k, labels.shape[1]))
    evaluator.update_state(labels, classes, scores, losses, perr(labels, predictions), predictions)


def evaluate(labels, predictions, losses, top_k, folder=None, batches=None):
    with Evaluator(labels.shape[1], top_k, folder) as evaluator:
        for index in batches or [np.arange(len(labels))]:
            if len(index):
                feed(evaluator, labels[index], predictions[index], losses[index])
        return evaluator.result(), evaluator.per_class()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("full_map")


@given(videos=strategies.videos_with_ties(), top_k=st.integers(1, 10))
@settings(max_examples=15, deadline=None)
def test_every_metric_equals_its_oracle(folder, videos, top_k):
    labels, predictions = videos
    losses = np.linspace(0.1, 3.0, len(labels), dtype=np.float32)
    result, _ = evaluate(labels, predictions, losses, top_k, folder)
    rows = list(zip(labels, predictions))
    expected = {
        "num_videos": len(labels),
        "num_labels": int(labels.sum()),
        "hit_at_one": np.mean([oracles.starter_hit_at_one(*row) for row in rows]),
        "perr": np.mean([oracles.starter_perr(*row) for row in rows]),
        f"gap_at_{top_k}": oracles.gap(labels, predictions, top_k),
        "mean_average_precision": oracles.mean_average_precision(labels, predictions, top_k),
        "loss": losses.mean(),
        "full_mean_average_precision": oracles.mean_average_precision(labels, predictions, labels.shape[1]),
    }
    assert result == pytest.approx(expected, abs=1e-6)


def test_metrics_of_a_small_case_equal_hand_computed_values():
    result, per_class = evaluate(LABELS, PREDICTIONS, LOSSES, top_k=2)
    assert result == pytest.approx(
        {
            "num_videos": 2,
            "num_labels": 3,
            "hit_at_one": 1 / 2,  # class 0 is a label of the first video only
            "perr": (1 / 2 + 0) / 2,  # best two 0, 1 of labels 0, 2; best one 0 of label 2
            "gap_at_2": (1 / 1 + 2 / 3) / 3,  # true, false, true, false; one label is cut
            "mean_average_precision": (1 + 1 / 2) / 2,  # classes 0 and 2
            "loss": 1.25,
        }
    )
    np.testing.assert_array_equal(per_class["average_precision"], [1.0, np.nan, 0.5])
    np.testing.assert_array_equal(per_class["num_positives"], [1, 0, 2])
    assert set(per_class) == {"average_precision", "num_positives"}


@given(data=st.data(), videos=strategies.videos_with_ties(), top_k=st.integers(1, 8))
@settings(max_examples=15, deadline=None)
def test_batch_sizes_and_order_do_not_change_any_metric(folder, data, videos, top_k):
    losses = np.array([0.1, 1e6, 3e-5, 7.7, 0.3, 12.0], np.float32)[: len(videos[0])]
    batches = data.draw(strategies.cuts(len(videos[0])))
    assert evaluate(*videos, losses, top_k, folder, batches)[0] == evaluate(*videos, losses, top_k, folder)[0]


def test_the_mean_loss_is_exact_next_to_a_huge_loss():
    labels, predictions = np.repeat(LABELS, 3, axis=0), np.repeat(PREDICTIONS, 3, axis=0)
    losses = np.array([2.0**54, 1, 1, 1, 1, 1], np.float32)  # in float64, 2 ** 54 + 1 is 2 ** 54
    for order in (losses, losses[::-1]):
        assert evaluate(labels, predictions, order, top_k=2)[0]["loss"] == (2**54 + 5) / 6


def test_the_result_can_be_written_as_json(folder):
    result, _ = evaluate(LABELS, PREDICTIONS, LOSSES, 2, folder)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_per_class_contains_the_full_average_precision(folder):
    _, per_class = evaluate(LABELS, PREDICTIONS, LOSSES, 2, folder)
    np.testing.assert_array_equal(per_class["full_average_precision"], [1.0, np.nan, 1.0])
    np.testing.assert_array_equal(per_class["average_precision"], [1.0, np.nan, 0.5])


def test_perr_is_correct_for_more_labels_than_top_k():
    labels, predictions = np.ones([1, 30], np.uint8), np.linspace(1, 0.1, 30, dtype=np.float32)[None]
    assert evaluate(labels, predictions, LOSSES[:1], top_k=20)[0]["perr"] == 1.0


def test_a_short_last_batch_counts_each_video_once():
    result, _ = evaluate(LABELS, PREDICTIONS, LOSSES, 2, batches=[np.array([0]), np.array([1])])
    assert result["loss"] == 1.25
    assert result["num_videos"] == 2


def test_reset_removes_all_videos(folder):
    with Evaluator(3, 2, folder) as evaluator:
        feed(evaluator, 1 - LABELS, PREDICTIONS, 9 * LOSSES)
        evaluator.reset_state()
        feed(evaluator, LABELS, PREDICTIONS, LOSSES)
        assert evaluator.result() == evaluate(LABELS, PREDICTIONS, LOSSES, 2, folder)[0]


def test_arrays_may_be_reused_after_an_update():
    evaluator, losses, ratios = Evaluator(3, 3), LOSSES.copy(), np.array([0.25, 0.5], np.float32)
    evaluator.update_state(LABELS, [[0, 1, 2], [0, 2, 1]], np.sort(PREDICTIONS)[:, ::-1], losses, ratios)
    losses[:], ratios[:] = 100.0, 100.0
    assert (evaluator.result()["loss"], evaluator.result()["perr"]) == (1.25, 0.375)


def test_evaluating_no_video_is_an_error():
    with pytest.raises(ValueError, match="There is no video to evaluate"):
        Evaluator(3).result()


GOOD = dict(
    labels=LABELS,
    top_classes=[[0, 1], [0, 2]],
    top_scores=[[0.9, 0.6], [0.8, 0.7]],
    losses=LOSSES,
    perr=[0.5, 0.0],
    predictions=PREDICTIONS,
)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(top_scores=[[0.9, np.nan], [0.8, 0.7]]), "top_scores must be finite"),
        (dict(losses=[0.5, np.nan]), "losses must be finite. Received 1 that .* the first in row 1"),
        (dict(losses=[np.inf, 0.5]), "losses must be finite. Received 1 that .* the first in row 0"),
        (dict(perr=[0.5, np.nan]), "perr .* must be finite. Received 1 that .* the first in row 1"),
        (dict(losses=[0.5]), r"losses must hold one number per video, \[2\]. Received shape \(1,\)"),
        (dict(perr=0.5), r"perr .* must hold one number per video, \[2\]. Received shape \(\)"),
        (dict(labels=np.eye(2, 4)), "The batch has 4 classes, the metric 3"),
        (dict(top_classes=[[0], [0]], top_scores=[[0.9], [0.8]]), "holds 1 classes a video, of 3; top_k=2 are needed"),
        (dict(predictions=None), "the full mAP needs all predictions"),
        (dict(predictions=PREDICTIONS * np.nan), "predictions must be finite"),
        (dict(predictions=PREDICTIONS[:1]), r"Received \(2, 3\) and \(1, 3\)"),
    ],
)
def test_an_invalid_batch_is_an_error_and_changes_nothing(folder, change, message):
    with Evaluator(3, 2, folder) as evaluator:
        evaluator.update_state(**GOOD)
        before = evaluator.result()
        with pytest.raises(ValueError, match=message):
            evaluator.update_state(**{**GOOD, "predictions": -PREDICTIONS, **change})
        assert evaluator.result() == before
        evaluator.update_state(**GOOD)
        assert evaluator.result()["num_videos"] == 4


def test_memory_per_video_is_that_of_its_best_classes():
    """148 bytes: 20 scores, classes and hits, a loss, a PERR; not the 3862 labels that came with them."""
    evaluator, batches, size = Evaluator(3862), 40, 100
    labels, ones = np.eye(size, 3862, dtype=np.uint8), np.ones(size, np.float32)
    classes, scores = np.tile(np.arange(20), (size, 1)), np.tile(np.linspace(1, 0, 20, dtype=np.float32), (size, 1))
    evaluator.update_state(labels, classes, scores, ones, ones)
    tracemalloc.start()
    try:
        for _ in range(batches):
            evaluator.update_state(labels, classes, scores, ones, ones)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 148 <= held / (batches * size) < 170
