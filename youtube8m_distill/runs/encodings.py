"""The encodings that a trained network gives to videos."""

from typing import NamedTuple

import numpy as np

from youtube8m_distill import schema
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.engine.predictor import Predictor


class EncodedVideos(NamedTuple):
    """Numpy arrays, a row a video, in the order of the files."""

    video_ids: np.ndarray           # object (bytes) [N]
    labels: np.ndarray              # uint8 [N, num_classes]
    encodings: np.ndarray           # float32 [N, D]


def read_encodings(loaded, shards, max_videos):
    """Encodings, without dropout, of the first videos of some files.

    Args:
        loaded: LoadedNetwork of a frame-level network.
        shards: tuple of data.sources.Shard.
        max_videos: int. All are held in memory.
    Returns:
        EncodedVideos.
    Raises:
        BadRecordError: if a record cannot be used.
    """
    config, size = loaded.config, min(loaded.batch_size, max_videos)
    dataset = make_dataset(shards, config.features, config.num_classes, config.view, size, training=False,
                           seed=loaded.seed).take(-(-max_videos // size))
    with naming_bad_records(shards):
        parts = list(_Encoder(loaded.network, loaded.predictor.strategy)(dataset))
    return EncodedVideos(*(np.concatenate(column)[:max_videos] for column in zip(*parts)))


class _Encoder(Predictor):
    """A network over a data set: yields video ids, labels and encodings of each batch."""

    def _predict(self, batch):
        video_ids = batch[schema.VIDEO_ID].numpy()
        encodings = self._on_all_replicas(self._inputs(batch))["encoding"]
        return video_ids, batch[schema.LABELS].numpy(), encodings[:len(video_ids)]

    def _forward_on_replica(self, batch):
        return {"encoding": self.network(batch, training=False)["encoding"]}
