"""Speed and memory of keeping the best segments of each class: 1.2 billion made-up scores, 100,000 segments per class.

    python benchmarks/segment_ranking.py [--quick] [--videos=1000000] [--max_per_class=100000]

Every video has 60 segments with 20 of 1,000 classes each. The scores come in random order and, from fewer videos, in the two
most expensive orders: rising, so that every entry is among the best when it is added, and all equal, so that ids decide.
Each order runs in its own process, whose memory includes TensorFlow. Making up the scores is not timed. Speed is given per
second of processor time, since the ranking uses one core.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

import figures
from youtube8m_distill.engine.process import keep_freed_memory
from youtube8m_distill.runs.segment_ranking import SegmentRanking

VIDEOS = flags.DEFINE_integer("videos", 1_000_000, "Videos in random order.", 1)
HARD_VIDEOS = flags.DEFINE_integer("hard_videos", 250_000, "Videos in each of the other orders.", 1)
MAX_PER_CLASS = flags.DEFINE_integer("max_per_class", 100_000, "Segments to keep for each class.", 1)
BATCH_VIDEOS = flags.DEFINE_integer("batch_videos", 64, "Videos of a batch.", 1)
QUICK = flags.DEFINE_boolean("quick", False, "Use a hundredth of the videos and of the segments: less than a minute.")
ORDERS = ("random", "rising", "equal")
ORDER = flags.DEFINE_enum("order", None, ORDERS, "Measure only this order, in this process, and print JSON.")
CLASSES, SEGMENTS, CLASSES_PER_SEGMENT, SEGMENT_SECONDS = 1000, 60, 20, 5
STRIDE = 47  # between the classes of a segment, so that all 20 differ
GIB = 2**30


def measure():
    for order in ORDERS:
        command = [sys.executable, __file__, *sys.argv[1:], f"--order={order}"]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])
        what = f"{order} order, {found['entries']:,} entries"
        yield figures.Figure(f"{what}: millions added per second", found["entries"] / found["cpu"] / 1e6, at_least=2)
        yield figures.Figure(f"{what}: adding, processor time", found["cpu"], "s")
        yield figures.Figure(f"{what}: adding, elapsed time", found["elapsed"], "s")
        yield figures.Figure(f"{what}: entries kept, millions", found["kept"] / 1e6)
        yield figures.Figure(f"{what}: memory before", found["before"] / GIB, "GiB")
        yield figures.Figure(f"{what}: peak memory", found["peak"] / GIB, "GiB", at_most=2)
        if "snapshot" in found:
            yield figures.Figure("snapshot: size", found["snapshot"] / GIB, "GiB")
            yield figures.Figure("snapshot: saving, elapsed time", found["saving"], "s")
            yield figures.Figure("snapshot: loading, elapsed time", found["loading"], "s")
            yield figures.Figure("snapshot: peak memory afterwards", found["last_peak"] / GIB, "GiB", at_most=2)
            yield figures.Figure("sorting one class, elapsed time", 1000 * found["ranking"], "ms")


def measure_order(order):
    """Adds all entries in an order; returns times in seconds and memory in bytes."""
    parts = 100 if QUICK.value else 1
    videos = (VIDEOS if order == "random" else HARD_VIDEOS).value // parts
    ranking = SegmentRanking(CLASSES, max(MAX_PER_CLASS.value // parts, 1))
    found = {"entries": 0, "cpu": 0.0, "elapsed": 0.0, "before": peak_bytes()}
    for first in range(0, videos, BATCH_VIDEOS.value):
        batch = make_up(order, first, min(BATCH_VIDEOS.value, videos - first))
        cpu, elapsed = time.process_time(), time.perf_counter()
        ranking.add(*batch)
        found["cpu"] += time.process_time() - cpu
        found["elapsed"] += time.perf_counter() - elapsed
        found["entries"] += len(batch[-1])
    found |= {"kept": len(ranking), "peak": peak_bytes()}
    if order == ORDERS[0]:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "segments"
            found["ranking"] = seconds(lambda: ranking.ranked(0))
            found["saving"] = seconds(lambda: ranking.save(path))
            found["snapshot"] = sum(file.stat().st_size for file in path.iterdir())
            del ranking
            found["loading"] = seconds(lambda: SegmentRanking.load(path))
        found["last_peak"] = peak_bytes()
    return found


def make_up(order, first, count):
    """The arguments of `SegmentRanking.add` for `count` videos, of which the first one has this number."""
    random = np.random.default_rng(first)
    numbers = np.arange(first, first + count)
    video_ids = [
        b"%011x" % (number * 0x9E3779B97F5 % 2**44) for number in numbers.tolist()
    ]  # all different, in random order
    shape = count, SEGMENTS, CLASSES_PER_SEGMENT
    videos = np.broadcast_to(np.arange(count)[:, None, None], shape)
    starts = np.broadcast_to(SEGMENT_SECONDS * np.arange(SEGMENTS)[:, None], shape)
    classes = (random.integers(CLASSES, size=shape[:2])[..., None] + STRIDE * np.arange(CLASSES_PER_SEGMENT)) % CLASSES
    values = random.random(shape, np.float32)
    if order == "rising":
        values = np.broadcast_to((SEGMENTS * numbers[:, None] + np.arange(SEGMENTS))[..., None], shape)
    if order == "equal":
        values = np.ones(shape)
    return video_ids, videos.ravel(), starts.ravel(), classes.ravel(), values.astype(np.float32).ravel()


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_bytes():
    """The most memory that this process has had resident so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(_):
    keep_freed_memory()
    print(json.dumps(measure_order(ORDER.value)))


if __name__ == "__main__":
    if any(argument.startswith("--order") for argument in sys.argv):
        app.run(main)
    else:
        figures.run(measure)
