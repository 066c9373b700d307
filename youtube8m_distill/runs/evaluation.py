"""Runs a trained network over other files, for metrics, predictions and encodings."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config import Reading
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.engine.predictor import BestClasses, Predictor
from youtube8m_distill.runs.run import Run
from youtube8m_distill.runs.tagger import Batch, Tagger

# Matrix products reach their full rate from about 2,000 rows on; frames take most of the memory.
FRAMES_A_BATCH, MOST_VIDEOS = 38_400, 1024


def good_batch_size(max_frames: int) -> int:
    """Videos per batch on one device: 128 with 300 frames, 1,024 with 37 or fewer."""
    return max(1, min(FRAMES_A_BATCH // max_frames, MOST_VIDEOS))


class LoadedNetwork(Tagger):
    """One trained network of a run.

    Args:
        network: "teacher" or "student"; None for the run's main one.
        checkpoint: "best", "last" or a step.
        mixed_precision: whether its encoder computes in bfloat16; None for what it was trained with.
        reading: how records are read; None for how the run's were.
        **options: of engine.predictor.BestClasses.

    Attributes:
        title: what messages call it.
        progress: Progress at which its weights were saved.
        batch_size, videos_per_second, notes: as in Tagger.
    Raises:
        FileNotFoundError, ValueError: if the run has no such network or checkpoint.
    """

    def __init__(
        self,
        run: Run,
        strategy: tf.distribute.Strategy,
        network: str | None = None,
        checkpoint: str | int = "best",
        mixed_precision: bool | None = None,
        reading: Reading | None = None,
        **options,
    ):
        self.run, self.role = run, run.role(network)
        self.title = run.config.title(self.role)
        self.config, training = run.config.networks[self.role], run.config.training
        self.configs = (self.config,)
        self.seed, self.reading = training.seed, run.config.reading if reading is None else reading
        is_mixed = training.mixed_precision if mixed_precision is None else mixed_precision
        with strategy.scope():
            dtype = "mixed_bfloat16" if is_mixed else "float32"
            self.network, self.progress = run.load_network(self.role, checkpoint, dtype)
        self.predictor = Predictor(self.network, self.role, strategy, BestClasses(**options, label_loss=training.label_loss))
        self.batch_size = good_batch_size(self.config.max_frames) * strategy.num_replicas_in_sync
        self.videos_per_second, self.notes = None, NoteCounter(self.config.max_video_frames)

    def restore(self, checkpoint: str | int) -> None:
        """Loads the weights of another checkpoint of the same run; nothing is built or compiled again."""
        self.progress = self.run.restore_network(self.network, self.role, checkpoint)

    def fingerprint(self) -> str:
        """Identifies the current weights: their step and a digest."""
        digest = hashlib.sha256()
        for weight in self.network.weights:
            digest.update(np.ascontiguousarray(weight.numpy()).view(np.uint8))  # pyright: ignore[reportArgumentType]
        return f"step {self.progress.step}, sha256 {digest.hexdigest()[:16]}"

    @property
    def step(self) -> int:
        return self.progress.step

    @property
    def name(self) -> str:
        return f"{self.title} of step {self.step}"

    def source_of(self, batch: Batch, row: int) -> str:
        return f"{self.name} in {self.run.folder}"

    def row_settings(self) -> dict[str, Any]:
        config = json.dumps(self.config.to_dict(), sort_keys=True)
        devices = self.predictor.strategy.extended.worker_devices
        return {
            "network": self.role,
            "weights": self.fingerprint(),
            "settings of the network": hashlib.sha256(config.encode()).hexdigest()[:16],
            "seed": self.seed,
            **self.reading.to_dict(),
            "mixed_precision": self.network.compute_dtype != "float32",
            "top_k": min(self.predictor.outputs.top_k, self.config.num_classes),
            "devices": [device.rpartition("device:")[2].split(":")[0] for device in devices],
        }

    def about(self) -> dict[str, Any]:
        return {
            "network": self.role,
            "checkpoint_step": self.step,
            "epoch": self.progress.epoch,
            "max_frames": self.config.max_frames,
            "multiply_adds": self.network.multiply_adds(self.config.max_frames),
        }

    def make_parser(self, layout: Layout, with_labels: bool | None = None) -> VideoParser:
        """The parser of records as this network reads them; by default with labels if they are used."""
        config, views = self.config, {self.role: self.config.view}
        with_labels = bool(self.predictor.outputs.reads_labels if with_labels is None else with_labels)
        return VideoParser(config.features, config.num_classes, views, self.seed, layout, with_labels, trim=True)

    def make_dataset(
        self, shards: Sequence[Shard], batch_size: int, with_labels: bool | None = None, layout: Layout | None = None
    ) -> tf.data.Dataset:
        """Batches of all videos in some files, as this network reads them; by default with labels if they are used."""
        layout = layout or find_layout(shards, self.config.features, self.reading)
        return make_dataset(shards, self.make_parser(layout, with_labels), batch_size)

    def run_batches(self, shards: Sequence[Shard], batch_size: int, layout: Layout) -> Iterator[Batch]:
        return self.predictor(self.make_dataset(shards, batch_size, layout=layout))


class EncodedVideos(NamedTuple):
    """Numpy arrays with one row per video, in the order of the files."""

    video_ids: np.ndarray  # object (bytes) [N]
    labels: np.ndarray  # uint8 [N, num_classes]
    encodings: np.ndarray  # float32 [N, D]


class _Encodings:
    """An output function of a Predictor: encodings, with labels."""

    reads_labels = True

    def __call__(self, outputs, labels, weights=None):
        return {"encoding": outputs["encoding"]}


def read_encodings(loaded: LoadedNetwork, shards: Sequence[Shard], max_videos: int) -> EncodedVideos:
    """Encodings, without dropout, of the first videos of some files by a frame-level network."""
    size = min(loaded.batch_size, max_videos)
    dataset = loaded.make_dataset(shards, size, with_labels=True).take(-(-max_videos // size))
    with naming_bad_records(shards):
        parts = list(Predictor(loaded.network, loaded.role, loaded.predictor.strategy, _Encodings())(dataset))
    names = (schema.VIDEO_ID, schema.LABELS, "encoding")
    return EncodedVideos(*(np.concatenate([part[name] for part in parts])[:max_videos] for name in names))
