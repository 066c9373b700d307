"""Compares an exported network with the one that it comes from, and measures its speed."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BATCH = 32  # videos of the batch that the throughput is measured with
LEAST_RUNS, LEAST_SECONDS = 5, 0.5  # of each measurement

Predict = Callable[[dict[str, np.ndarray]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Verification:
    """What a check of an exported network found. GAP is None without labels."""

    format: str
    quantization: str
    size_bytes: int
    num_videos: int
    num_frames: tuple[int, int] | None  # of the videos, least and most; None for video-level features
    largest_difference: float  # of any prediction; infinite if one is not finite
    largest_difference_frames: int | None  # of the video with that prediction; None for video-level features
    tolerance: float
    gap_at_20: float | None
    gap_at_20_source: float | None
    latency_ms: float  # of a batch of one video
    videos_per_second: float  # in batches of `BATCH`, or of all videos if there are fewer
    runs: tuple[int, int]  # over which the two are means

    @property
    def passed(self) -> bool:
        return self.largest_difference <= self.tolerance

    @property
    def gap_difference(self) -> float | None:
        """GAP of the exported network minus that of its source."""
        if self.gap_at_20 is None or self.gap_at_20_source is None:
            return None
        return self.gap_at_20 - self.gap_at_20_source

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it: null instead of an infinite difference."""
        found = dataclasses.asdict(self)
        largest = self.largest_difference if np.isfinite(self.largest_difference) else None
        return {**found, "largest_difference": largest, "gap_difference": self.gap_difference}

    def table(self) -> list[str]:
        """The results as aligned lines."""
        videos, rate = f"{self.num_videos} videos", self.videos_per_second
        shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        if self.num_frames is not None:
            videos += f" of {self.num_frames[0]} to {self.num_frames[1]} frames"
        worst = f"{self.largest_difference:.2g}, at most {self.tolerance:g} allowed"
        if self.largest_difference_frames is not None:
            worst += f", for a video of {self.largest_difference_frames} frame(s)"
        rows = {
            "Size": f"{self.size_bytes:,} bytes",
            "Compared on": videos,
            "Largest difference": worst,
            "Latency, one video": f"{self.latency_ms:.3g} ms, mean of {self.runs[0]} runs",
            "Throughput": f"{shown} videos per second, mean of {self.runs[1]} runs",
        }
        if self.gap_difference is not None:
            change = f"of the trained network {self.gap_at_20_source:.4f} ({round(self.gap_difference, 4) + 0.0:+.4f})"
            rows["GAP@20"] = f"{self.gap_at_20:.4f}, {change}"
        return [f"  {name:<22}{text}" for name, text in rows.items()]


def predict_in_batches(predict: Predict, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The predictions of all videos, float32 [N, num_classes], in batches of `BATCH`."""
    return np.concatenate([predict(part) for part in batches(inputs)])


def batches(inputs: dict[str, np.ndarray], size: int = BATCH) -> list[dict[str, np.ndarray]]:
    """The rows of inputs in batches; the last one may be short."""
    count = len(next(iter(inputs.values())))
    return [{name: values[i : i + size] for name, values in inputs.items()} for i in range(0, count, size)]


def largest_differences(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The largest absolute difference in each row of predictions [N, num_classes]. float [N].

    Infinite where a number of `found` is not finite, and everywhere if the shapes differ.
    """
    if found.shape != expected.shape:
        return np.full(len(expected), np.inf)
    differences = np.max(np.abs(found - expected), axis=1)
    return np.where(np.isfinite(differences), differences, np.inf)


def measure(predict: Predict, inputs: dict[str, np.ndarray]) -> tuple[float, int]:
    """Mean seconds of `predict(inputs)`, and over how many runs. One more run comes first, to warm up."""
    predict(inputs)
    runs, started = 0, time.perf_counter()
    while runs < LEAST_RUNS or time.perf_counter() - started < LEAST_SECONDS:
        predict(inputs)
        runs += 1
    return (time.perf_counter() - started) / runs, runs
