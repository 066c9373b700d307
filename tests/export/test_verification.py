import dataclasses

import numpy as np
import pytest

from youtube8m_distill.export import verification
from youtube8m_distill.export.verification import Verification, largest_differences

FOUND = Verification(
    format="litert",
    quantization="float16",
    size_bytes=12_345,
    num_videos=9,
    num_frames=(1, 301),
    largest_difference=0.25,
    largest_difference_frames=7,
    tolerance=0.5,
    gap_at_20=0.75,
    gap_at_20_source=0.5,
    latency_ms=1.5,
    videos_per_second=200.0,
    runs=(7, 8),
)


def test_the_largest_difference_of_a_video_is_that_of_any_prediction():
    expected = np.array([[0.5, 0.1], [0.2, 0.3]], np.float32)
    found = expected + np.array([[0.0, 0.01], [-0.02, 0.0]], np.float32)
    np.testing.assert_allclose(largest_differences(found, expected), [0.01, 0.02], rtol=1e-5)


@pytest.mark.parametrize("found", [[[0.5, np.nan]], [[np.inf, 0.5]], [[0.5]], [[0.5, 0.5], [0.5, 0.5]]])
def test_predictions_that_cannot_be_compared_fail_any_tolerance(found):
    (difference,) = largest_differences(np.array(found), np.array([[0.5, 0.5]]))
    assert not dataclasses.replace(FOUND, largest_difference=difference, tolerance=1.0).passed


def test_a_difference_of_the_tolerance_passes():
    assert dataclasses.replace(FOUND, largest_difference=0.5).passed
    assert not dataclasses.replace(FOUND, largest_difference=0.5001).passed


def test_the_table_shows_every_measurement():
    text = "\n".join(FOUND.table())
    for part in ("12,345 bytes", "9 videos of 1 to 301", "0.25, at most 0.5", "1.5 ms, mean of 7", "200 videos per second"):
        assert part in text
    assert "0.7500, of the trained network 0.5000 (+0.2500)" in text
    assert "GAP" not in "\n".join(dataclasses.replace(FOUND, gap_at_20=None).table())


def test_json_has_no_infinity():
    found = dataclasses.replace(FOUND, largest_difference=float("inf")).to_dict()
    assert found["largest_difference"] is None and found["gap_difference"] == 0.25 and found["num_frames"] == (1, 301)


def test_batches_cover_all_rows_in_order():
    inputs = {"a": np.arange(70), "b": np.arange(70) * 2}
    parts = verification.batches(inputs)
    assert [len(part["a"]) for part in parts] == [32, 32, 6]
    found = verification.predict_in_batches(lambda part: part["a"] + part["b"], inputs)
    np.testing.assert_array_equal(found, 3 * np.arange(70))


def test_a_measurement_is_a_mean_of_several_runs_after_one_to_warm_up(monkeypatch):
    monkeypatch.setattr(verification, "LEAST_SECONDS", 0.0)
    calls = []
    seconds, runs = verification.measure(lambda inputs: calls.append(inputs), {})
    assert runs == verification.LEAST_RUNS and len(calls) == runs + 1 and seconds >= 0
