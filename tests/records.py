"""Records and files written by hand for tests of what reads them, and ways to run a parser."""

import contextlib
import functools
import tempfile
from unittest import mock

import numpy as np
import tensorflow as tf

from youtube8m_distill.data.parsing import batch, wire


@contextlib.contextmanager
def untraced():
    """tf.functions run as plain Python: what they call is called each time."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@contextlib.contextmanager
def no_official_layout():
    """Parsers that are traced or run inside the block take no record for an official one."""
    locate = wire.locate

    def find_nothing(*arguments, **options):
        blocks = locate(*arguments, **options)
        return blocks._replace(official=tf.zeros_like(blocks.official))

    with mock.patch.object(wire, "locate", find_nothing):
        yield


def forget_parsers(monkeypatch):
    """Gives this test an empty cache of parsers, so that they are traced again."""
    monkeypatch.setattr(batch, "_batch_parser", functools.lru_cache(batch._batch_parser.__wrapped__))


def feature(values):
    """A tf.train.Feature of bytes (from bytes or a list of them), of floats or of integers."""
    if isinstance(values, bytes):
        values = [values]
    if len(values) and isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if np.asarray(values).dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _context(video_id, labels, id_key, others):
    found = {name: feature(values) for name, values in others.items()}
    if video_id is not None:
        found[id_key] = feature(video_id)
    if labels is not None:
        found["labels"] = tf.train.Feature(int64_list=tf.train.Int64List(value=labels))
    return tf.train.Features(feature=found)


def frame_record(frames, video_id=b"abcd", labels=(), id_key="id", **others):
    """A serialized SequenceExample.

    Args:
        frames: {name: list of frames}; a frame is uint8 [size] (stored as bytes), float [size] or a raw `bytes`.
        video_id, labels: None leaves them out.
        others: features of the whole video.
    """
    lists = {
        name: tf.train.FeatureList(feature=[feature(_stored(frame)) for frame in rows]) for name, rows in frames.items()
    }
    return tf.train.SequenceExample(
        context=_context(video_id, labels, id_key, others), feature_lists=tf.train.FeatureLists(feature_list=lists)
    ).SerializeToString()


def _stored(frame):
    if isinstance(frame, (bytes, list)):
        return frame
    return frame.tobytes() if frame.dtype == np.uint8 else frame


def video_record(means, video_id=b"abcd", labels=(), id_key="id"):
    """A serialized Example. `means`: {name: float [size]}."""
    return tf.train.Example(features=_context(video_id, labels, id_key, means)).SerializeToString()


def random_frames(num_frames, sizes=(("rgb", 6), ("audio", 3)), seed=0, dtype=np.uint8):
    """{name: [num_frames, size]}, uint8 or float32, no two rows alike but by chance."""
    random = np.random.default_rng(seed)
    if dtype == np.uint8:
        return {name: random.integers(0, 256, (num_frames, size), dtype=np.uint8) for name, size in sizes}
    return {name: random.normal(size=(num_frames, size)).astype(np.float32) for name, size in sizes}


class NumberParser:
    """Stands in for a VideoParser of records that are numbers in digits: their only feature and their id. -1 is invalid."""

    def __call__(self, records):
        numbers = tf.strings.to_number(records.serialized)
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(numbers >= 0), ["a negative number"])]):
            features = tf.identity(numbers)[:, None]
        labels = tf.one_hot(tf.cast(numbers, tf.int32) % 5, 5, dtype=tf.uint8)
        return {"video_id": records.serialized, "labels": labels, "student": {"features": features}}


def file_content(records):
    """The bytes of an uncompressed TFRecord file of serialized records."""
    with tempfile.TemporaryDirectory() as folder:
        with open(write(f"{folder}/file", records), "rb") as file:
            return file.read()


def write(path, records, compression=""):
    """Writes serialized records to a TFRecord file and returns its path as str."""
    with tf.io.TFRecordWriter(str(path), compression or None) as writer:
        for record in records:
            writer.write(record)
    return str(path)
