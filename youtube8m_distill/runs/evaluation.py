"""Runs a trained network over other files, for metrics, predictions and encodings."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from youtube8m_distill import display, schema
from youtube8m_distill.config import Reading
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.ids import SeenVideos, hash_ids
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.tfrecord import Shard, estimate_records
from youtube8m_distill.engine.predictor import BestClasses, Predictor, evaluate
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.runs.run import Run

# Matrix products reach their full rate from about 2,000 rows on; frames take most of the memory.
FRAMES_A_BATCH, MOST_VIDEOS = 38_400, 1024


def good_batch_size(max_frames: int) -> int:
    """Videos per batch on one device: 128 with 300 frames, 1,024 with 37 or fewer."""
    return max(1, min(FRAMES_A_BATCH // max_frames, MOST_VIDEOS))


@dataclasses.dataclass(frozen=True)
class Done:
    """How far an earlier prediction of the same files has come."""

    videos: int = 0  # in total
    shard: int = 0  # index of the file to resume with
    records: int = 0  # finished records of this file, including excluded ones
    seen: SeenVideos = dataclasses.field(default_factory=SeenVideos)  # these videos; a prediction adds its own


class LoadedNetwork:
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
        batch_size: a good number of videos per batch, over all replicas.
        videos_per_second: rate of the last prediction, including reading, from its second batch on, since the first includes
            compilation. None if there was only one batch.
        notes: NoteCounter over the videos of the last prediction.
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

    def make_dataset(
        self, shards: Sequence[Shard], batch_size: int, with_labels: bool | None = None, layout: Layout | None = None
    ) -> tf.data.Dataset:
        """Batches of all videos in some files, as this network reads them; by default with labels if they are used."""
        config, views = self.config, {self.role: self.config.view}
        layout = layout or find_layout(shards, config.features, self.reading)
        with_labels = bool(self.predictor.outputs.reads_labels if with_labels is None else with_labels)
        parser = VideoParser(config.features, config.num_classes, views, self.seed, layout, with_labels, trim=True)
        return make_dataset(shards, parser, batch_size)

    def predict(
        self, shards: Sequence[Shard], batch_size: int | None = None, description: str = "predict", done: Done | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Yields the Predictor's dict for every batch after what is `done`, in file order, and shows the progress.

        Raises:
            BadRecordError, ValueError: with file and record, if a record cannot be used, a video id is a duplicate, or a
                prediction is not finite.
        """

        def make_dataset(rest, layout):
            return self.make_dataset(rest, batch_size or self.batch_size, layout=layout)

        self.videos_per_second, started, count = None, None, 0
        self.notes = NoteCounter(self.config.max_video_frames)
        for batch in predict_rest(self, self.predictor, make_dataset, shards, description, done or Done()):
            if started is None:
                started = time.perf_counter()
            else:
                count += len(batch[schema.VIDEO_ID])
                self.videos_per_second = count / (time.perf_counter() - started)
            self.notes.add(batch[schema.NOTED])
            yield batch

    def evaluate(self, shards: Sequence[Shard], batch_size: int | None, evaluator: Evaluator) -> dict:
        """Feeds every video into an Evaluator and returns its result."""
        return evaluate(self.predict(shards, batch_size, "evaluate"), evaluator)


def predict_rest(
    network: LoadedNetwork,
    predictor: Predictor,
    make_dataset: Callable[[Sequence[Shard], Layout], tf.data.Dataset],
    shards: Sequence[Shard],
    description: str,
    done: Done,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the predictor's dict for every batch after what is `done`, in file order, and shows the progress.

    Args:
        network: whose features are read, and which messages name.
        predictor: gives `finite`.
        make_dataset: of the files that are left.
    Raises:
        BadRecordError, ValueError: as for `LoadedNetwork.predict`.
    """
    first, *others = shards[done.shard :]
    excluded = tuple(sorted({*range(done.records), *first.excluded}))
    rest = (dataclasses.replace(first, excluded=excluded), *others)
    # Of all files: in the rest, every record of the first one may be excluded.
    dataset = make_dataset(rest, find_layout(shards, network.config.features, network.reading))
    total, _ = estimate_records(shards)
    with display.ProgressBar(total, description, "videos", done.videos) as bar, naming_bad_records(shards):
        for batch in predictor(dataset):
            batch[schema.SHARD] = batch[schema.SHARD] + done.shard
            _check_batch(batch, network, shards, done.seen)
            yield batch
            bar.update(len(batch[schema.VIDEO_ID]))


def _check_batch(batch, network, shards, seen):
    """Refuses a batch with a duplicate id or with predictions that are not finite."""
    video_ids, indices, numbers = batch[schema.VIDEO_ID], batch[schema.SHARD], batch[schema.RECORD]

    def at(shard, record):
        return f"file {shards[shard].path}, record {record}"

    repeat = seen.add(hash_ids(video_ids), indices, numbers)
    if repeat is not None:
        row, first = repeat
        raise ValueError(
            f"{at(indices[row], numbers[row])}: video id {video_ids[row]!r} is a duplicate of {at(*first)}. "
            "Every video counts once: exclude one of the two."
        )
    if not batch["finite"].all():
        row, title = int(np.argmin(batch["finite"])), f"the {network.title} of step {network.progress.step}"
        raise ValueError(
            f"{at(indices[row], numbers[row])}: the predictions of {title} in {network.run.folder} for video "
            f"{video_ids[row]!r} are not finite. Choose another --checkpoint, or check what this record holds."
        )


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
