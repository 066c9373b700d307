"""The encodings that a trained network computes for videos."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from youtube8m_distill import schema
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.engine.predictor import Predictor
from youtube8m_distill.runs.evaluation import LoadedNetwork


class EncodedVideos(NamedTuple):
    """Numpy arrays with one row per video, in the order of the files."""

    video_ids: np.ndarray  # object (bytes) [N]
    labels: np.ndarray  # uint8 [N, num_classes]
    encodings: np.ndarray  # float32 [N, D]


class Encodings:
    """An output function of a Predictor: encodings, with labels."""

    reads_labels = True

    def __call__(self, outputs, labels):
        return {"encoding": outputs["encoding"]}


def read_encodings(loaded: LoadedNetwork, shards: Sequence[Shard], max_videos: int) -> EncodedVideos:
    """Encodings, without dropout, of the first videos of some files.

    Args:
        loaded: a frame-level network.
        shards: the files.
        max_videos: all are held in memory.
    Raises:
        BadRecordError: if a record is invalid.
    """
    size = min(loaded.batch_size, max_videos)
    dataset = loaded.make_dataset(shards, size).take(-(-max_videos // size))
    with naming_bad_records(shards):
        parts = list(Predictor(loaded.network, loaded.role, loaded.predictor.strategy, Encodings())(dataset))
    return EncodedVideos(
        *(
            np.concatenate([part[name] for part in parts])[:max_videos]
            for name in (schema.VIDEO_ID, schema.LABELS, "encoding")
        )
    )
