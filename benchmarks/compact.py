"""Compact files: how many bytes they save, and how fast they are written and read.

    python benchmarks/compact.py [--videos=1024] [--frames_per_video=10]

The videos are random and have realistic lengths. Reading is the input pipeline of a student that reads k frames. Originals
and compact files are read in turns, and the best round counts. Writing is the work of `yt8m compact`, one file after the
other. All files are in the page cache; from a disk or over a network, compact files would gain more.
"""

import pathlib
import tempfile
import time

from absl import flags

import figures
import inputs
from youtube8m_distill import config, schema
from youtube8m_distill.data import compact
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset

VIDEOS = flags.DEFINE_integer("videos", 1024, "Number of videos.", 1)
FRAMES = flags.DEFINE_integer("frames_per_video", 10, "Frames that the student reads.", 1, schema.MAX_FRAMES)
ROUNDS = flags.DEFINE_integer("rounds", 3, "Number of times to read each set.", 1)
BATCH_SIZE, REPEATS = 256, 4  # each file is read REPEATS times per round


def measure():
    view = config.FrameView(frame_selection="uniform", frames_per_video=FRAMES.value)
    lengths = inputs.real_lengths(VIDEOS.value)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        originals = find_files(inputs.write_videos(folder / "originals", lengths))
        started = time.perf_counter()
        for shard, path in compact.prepare_folder(originals, view, folder / "compact"):
            compact.compact_file(shard, view, path)
        writing = len(lengths) / (time.perf_counter() - started)
        shards = find_files(f"{folder}/compact/*.tfrecord")
        rates = {name: [] for name in ("original", "compact")}
        for _ in range(ROUNDS.value):
            rates["original"].append(reading(originals, view))
            rates["compact"].append(reading(shards, view))
    share = sum(shard.size for shard in shards) / sum(shard.size for shard in originals)
    yield figures.Figure(f"compact files of {FRAMES.value} frames: fraction of the bytes", share, "x")
    yield figures.Figure("k over the mean number of frames", FRAMES.value * len(lengths) / sum(lengths), "x")
    yield figures.Figure("writing compact files", writing, "videos/s")
    for name, found in rates.items():
        yield figures.Figure(f"reading {FRAMES.value} frames from the {name} files", max(found), "videos/s")
    yield figures.Figure(
        "reading compact files over reading the originals", max(rates["compact"]) / max(rates["original"]), "x", at_least=1
    )


def reading(shards, view):
    """Videos per second of the reader."""
    parser = VideoParser(config.FeatureConfig(), schema.NUM_CLASSES, {schema.STUDENT: view})
    dataset = make_dataset(shards * REPEATS, parser, BATCH_SIZE)
    started = time.perf_counter()
    count = sum(len(batch[schema.LABELS]) for batch in dataset)
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    figures.run(measure)
