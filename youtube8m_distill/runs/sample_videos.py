"""Videos on which an exported network is checked: of files or synthetic, among them very short and very long ones."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config import FeatureConfig, FrameView, NetworkConfig
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.parsing.batch import Records, VideoParser
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.pipeline import read_records
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.export.verification import BATCH

SYNTHETIC = "synthetic"  # the path of records that are in no file


class Videos(NamedTuple):
    """Some videos: as records, and as the network reads them."""

    records: np.ndarray  # object (bytes) [N]
    inputs: dict[str, np.ndarray]  # the network's part of a batch, [N, ...] each
    labels: np.ndarray | None  # uint8 [N, num_classes]; None if they are not read
    stored_frames: np.ndarray | None  # int32 [N]; None at video level

    def named(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """The inputs with these names, all that an exported network takes."""
        return {name: self.inputs[name] for name in names}


class Record(NamedTuple):
    """A serialized record and where it comes from."""

    serialized: bytes
    path: str
    number: int


def read_some(shards: Sequence[Shard], most: int) -> list[Record]:
    """The first records of some files."""
    with naming_bad_records(shards):
        rows = list(read_records(shards).take(most))
    return [Record(row[2].numpy(), shards[int(row[1][1])].path, int(row[0])) for row in rows]


def of_all_lengths(records: Sequence[Record], view: FrameView) -> list[Record]:
    """Copies of records with 1, k - 1, k, k + 1, and more frames than are read: cut, or with their frames repeated."""
    k = view.max_frames
    lengths = sorted({1, max(1, k - 1), k, k + 1, 2 * k + 3, view.max_video_frames + 1})
    return [_resized(record, length) for record, length in zip(itertools.cycle(records), lengths)]


def _resized(record, num_frames):
    example = tf.train.SequenceExample.FromString(record.serialized)
    # Which frames of the original these are would no longer be true.
    example.context.feature.pop(schema.KEPT_FRAMES_KEY, None)
    for frames in example.feature_lists.feature_list.values():
        given = list(frames.feature)
        del frames.feature[:]
        frames.feature.extend(given[i % len(given)] for i in range(num_frames if given else 0))
    return record._replace(serialized=example.SerializeToString(deterministic=True))


def synthetic_records(features: FeatureConfig, layout: Layout, count: int = 4, seed: int = 0) -> list[Record]:
    """Records of random numbers, of 20 frames each at frame level."""
    random, found = np.random.default_rng(seed), []
    for number in range(count):
        example = tf.train.SequenceExample()
        example.context.feature[schema.ID_KEYS[0]].bytes_list.value.append(b"s%03d" % number)
        for key, kind, size in zip(layout.keys, layout.kinds, features.sizes):
            if not features.frame_features:
                example.context.feature[key].float_list.value.extend(random.normal(size=size))
                continue
            for _ in range(20):
                _fill(example.feature_lists.feature_list[key].feature.add(), kind, size, random)
        found.append(Record(example.SerializeToString(deterministic=True), SYNTHETIC, number))
    return found


def _fill(feature, kind, size, random):
    """A random frame of a feature."""
    if kind == "bytes":
        feature.bytes_list.value.append(random.bytes(size))
    elif kind == "floats":
        feature.float_list.value.extend(random.normal(size=size))
    else:
        feature.bytes_list.value.append(random.normal(size=size).astype("<f4").tobytes())


def parse(records: Sequence[Record], config: NetworkConfig, seed: int, layout: Layout, with_labels: bool) -> Videos:
    """Reads records as the network does in an evaluation. BadRecordError names the first that cannot be used."""
    role = schema.TEACHER  # any name
    parser = VideoParser(config.features, config.num_classes, {role: config.view}, seed, layout, with_labels)
    serialized, paths = (np.array([record[i] for record in records], object) for i in (0, 1))
    numbers = np.array([record.number for record in records], np.int64)
    parts = []
    with naming_bad_records():
        for start in range(0, len(records), BATCH):
            rows = slice(start, start + BATCH)
            epochs = np.zeros_like(numbers[rows])
            parts.append(parser(Records(*map(tf.constant, (serialized[rows], paths[rows], numbers[rows], epochs)))))

    def joined(*path):
        return np.concatenate([_at(part, path).numpy() for part in parts])

    inputs = {name: joined(role, name) for name in parts[0][role]}
    labels = joined(schema.LABELS) if with_labels else None
    return Videos(serialized, inputs, labels, joined(schema.STORED_FRAMES) if config.view else None)


def _at(nested, path):
    for key in path:
        nested = nested[key]
    return nested
