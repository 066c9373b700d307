"""Reading: videos per second of each network's input, compared with a bare TFRecordDataset and a record-by-record parser.

    python benchmarks/reading.py [--num_videos=1200] [--drawn=5120] [--rounds=3]

The files are synthetic frame-level files. The lengths of the videos are distributed as in the real data set (mean 230
frames). The files are in the page cache and are read repeatedly. All readers are measured in turns in one process. Times
start after the first batch, which excludes the half second of pipeline setup. Ratios are ratios of medians over the rounds.
"Bare" is the faster of two ways to consume TFRecordDataset over the same files: in one `reduce`, and from Python. Memory is
that of the process after the first and the last round. At the end, iterators that were idle for a while are closed, with
and without TensorFlow's autotuning.
"""

import itertools
import os
import resource
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import flags

import figures
from youtube8m_distill import config, schema
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.synthetic.dataset import SyntheticConfig, write_dataset

NUM_VIDEOS = flags.DEFINE_integer("num_videos", 1200, "Number of videos to write. Each takes 0.26 MB.", 400)
DRAWN = flags.DEFINE_integer("drawn", 5120, "Number of videos that each reader reads in each round.", 128)
ROUNDS = flags.DEFINE_integer("rounds", 3, "Number of rounds.", 2)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Videos per batch.", 1)
FEATURES = config.FeatureConfig()
TEACHER, STUDENT, SMALL = (
    config.FrameView(),
    config.FrameView(frame_selection="uniform", frames_per_video=30),
    config.FrameView(frame_selection="uniform", frames_per_video=10),
)
VIEWS = {
    "student, 30 frames": {schema.STUDENT: STUDENT},
    "student, 10 frames": {schema.STUDENT: SMALL},
    "teacher, 300 frames": {schema.TEACHER: TEACHER},
    "teacher and student": {schema.TEACHER: TEACHER, schema.STUDENT: STUDENT},
}
ITERATORS, IDLE_SECONDS = 12, 10.0
TARGETS = {"student, 30 frames": 0.65, "teacher, 300 frames": 0.5}


def measure():
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(
            SyntheticConfig(
                num_train_videos=NUM_VIDEOS.value,
                num_validate_videos=0,
                num_test_videos=0,
                num_classes=schema.NUM_CLASSES,
                videos_per_shard=NUM_VIDEOS.value // 4,
            ),
            folder,
        )
        yield from measure_files(find_files(f"{folder}/train*.tfrecord"))


def measure_files(shards):
    paths = [shard.path for shard in shards]
    bare = tf.data.TFRecordDataset(paths).repeat()
    ways = {
        "bare, inside TensorFlow": lambda: consume_in_tensorflow(bare),
        "bare, from Python": lambda: consume_from_python(bare, 1),
        "one record at a time to float32": lambda: consume_from_python(
            float32_batches(paths), BATCH_SIZE.value, DRAWN.value // 6
        ),
    }
    for (name, views), training in itertools.product(VIEWS.items(), (False, True)):
        parser = VideoParser(FEATURES, schema.NUM_CLASSES, views)
        records = TrainingOrder(num_epochs=None) if training else None
        dataset = make_dataset(long_set(shards), parser, BATCH_SIZE.value, records)
        ways[f"{name}, {order(training)}"] = lambda dataset=dataset: consume_from_python(dataset, BATCH_SIZE.value)
    speed, first_memory = {name: [] for name in ways}, 0.0
    for _ in range(ROUNDS.value):
        for name, way in ways.items():
            speed[name].append(way())
        first_memory = first_memory or memory()
    yield from rates({name: statistics.median(found) for name, found in speed.items()})
    yield figures.Figure("memory after the first round", first_memory, "MiB")
    yield figures.Figure("memory after the last round over that after the first", memory() / first_memory, "x", at_most=1.1)
    yield figures.Figure("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, "MiB")
    dataset = make_dataset(shards, VideoParser(FEATURES, schema.NUM_CLASSES, {schema.STUDENT: SMALL}), BATCH_SIZE.value)
    tuned = tf.data.Options()
    tuned.autotune.enabled = True
    yield figures.Figure("closing an iterator, at most", closing(dataset), "s", at_most=1)
    yield figures.Figure("closing an iterator with autotuning, at most", closing(dataset.with_options(tuned)), "s")


def long_set(shards):
    """The files, repeated so that no epoch ends: every epoch would have to fill the shuffle buffer again."""
    return shards * (2 + (DRAWN.value + BATCH_SIZE.value) // NUM_VIDEOS.value)


def order(training):
    return "training order" if training else "in order"


def rates(speed):
    bare = max(speed["bare, inside TensorFlow"], speed["bare, from Python"])
    for name, found in speed.items():
        yield figures.Figure(name, found, "videos/s")
    for name, training in itertools.product(VIEWS, (False, True)):
        way = f"{name}, {order(training)}"
        yield figures.Figure(f"{way}, over bare", speed[way] / bare, "x", at_least=TARGETS.get(name))
    simple = speed["one record at a time to float32"]
    yield figures.Figure("one record at a time to float32, over bare", simple / bare, "x")


def consume_in_tensorflow(dataset):
    """Videos per second of a dataset that is consumed inside TensorFlow."""
    started = time.perf_counter()
    dataset.take(DRAWN.value).reduce(np.int64(0), lambda count, _: count + 1).numpy()
    return DRAWN.value / (time.perf_counter() - started)


def consume_from_python(dataset, videos_per_element, videos=None):
    """Videos per second of a dataset that is consumed from Python, without the first element."""
    iterator = iter(dataset)
    next(iterator)
    elements = (videos or DRAWN.value) // videos_per_element
    started = time.perf_counter()
    for _ in range(elements):
        next(iterator)
    return elements * videos_per_element / (time.perf_counter() - started)


def closing(dataset):
    """The longest time, in seconds, that closing one of several iterators takes, each idle for IDLE_SECONDS."""
    iterators, seconds = [iter(dataset) for _ in range(ITERATORS)], []
    for iterator in iterators:
        next(iterator)
    del iterator
    time.sleep(IDLE_SECONDS)
    while iterators:
        started = time.perf_counter()
        iterators.pop()
        seconds.append(time.perf_counter() - started)
    return max(seconds)


def memory():
    """The current memory of the process in MiB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def float32_batches(paths):
    """Decodes, dequantizes, and pads all frames of one record at a time, then batches, as the starter code does."""

    def parse(serialized):
        _, lists = tf.io.parse_single_sequence_example(
            serialized,
            {"id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)},
            {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in FEATURES.names},
        )
        codes = tf.concat([tf.io.decode_raw(lists[name], tf.uint8) for name in FEATURES.names], axis=1)
        frames = tf.cast(codes, tf.float32) * schema.DEQUANTIZE_SCALE + schema.DEQUANTIZE_BIAS
        frames = frames[: schema.MAX_FRAMES]
        padding = tf.stack([[0, schema.MAX_FRAMES - tf.shape(frames)[0]], [0, 0]])
        return tf.pad(frames, padding)

    return tf.data.TFRecordDataset(paths).repeat().map(parse, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH_SIZE.value)


if __name__ == "__main__":
    figures.run(measure)
