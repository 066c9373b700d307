"""What evaluation and inference need of whatever predicts the classes of videos: one trained network, or a cascade."""

import abc
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from youtube8m_distill import display, schema
from youtube8m_distill.config import NetworkConfig, Reading
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.ids import SeenVideos, hash_ids
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.tfrecord import Shard, estimate_records
from youtube8m_distill.engine.predictor import evaluate
from youtube8m_distill.errors import duplicate_video
from youtube8m_distill.metrics.evaluate import Evaluator

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Done:
    """How far an earlier prediction of the same files has come."""

    videos: int = 0  # in total
    shard: int = 0  # index of the file to resume with
    records: int = 0  # finished records of this file, including excluded ones
    seen: SeenVideos = dataclasses.field(default_factory=SeenVideos)  # these videos; a prediction adds its own


class Tagger(abc.ABC):
    """Predicts the classes of all videos in some files.

    Attributes:
        configs: NetworkConfig of each network; they read the same features and have the same classes.
        reading: how records are read.
        batch_size: a good number of videos per batch, over all replicas.
        videos_per_second: rate of the last prediction, including reading, from its second batch on, since the first includes
            compilation. None if there was only one batch.
        notes: NoteCounter over the videos of the last prediction.
    """

    configs: tuple[NetworkConfig, ...]
    reading: Reading
    batch_size: int
    videos_per_second: float | None
    notes: NoteCounter

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What messages call it, as in "student of step 7"."""

    @property
    @abc.abstractmethod
    def step(self) -> int:
        """The training step at which the weights of the network, or of the last one, were saved."""

    @abc.abstractmethod
    def run_batches(self, shards: Sequence[Shard], batch_size: int, layout: Layout) -> Iterator[Batch]:
        """Yields the outputs of each batch of videos, in file order; indices of files are those in `shards`."""

    @abc.abstractmethod
    def make_parser(self, layout: Layout) -> VideoParser:
        """The parser of records for the network that reads every video; without labels unless they are used."""

    @abc.abstractmethod
    def source_of(self, batch: Batch, row: int) -> str:
        """The network that a row of a batch is from, and its folder, for messages."""

    @abc.abstractmethod
    def row_settings(self) -> dict[str, Any]:
        """What its predictions for a video depend on, besides the batch size, as JSON values."""

    @abc.abstractmethod
    def about(self) -> dict[str, Any]:
        """What metrics.json states about it and its last prediction, as JSON values."""

    def summary(self, videos: Sequence[int]) -> list[str]:
        """Lines to print after a prediction in which each of its networks answered so many videos."""
        return []

    def predict(
        self, shards: Sequence[Shard], batch_size: int | None = None, description: str = "predict", done: Done | None = None
    ) -> Iterator[Batch]:
        """Yields the Predictor's dict for every batch after what is `done`, in file order, and shows the progress.

        Raises:
            BadRecordError, ValueError: with file and record, if a record cannot be used, a video id is a duplicate, or a
                prediction is not finite.
        """

        def run(rest, layout):
            return self.run_batches(rest, batch_size or self.batch_size, layout)

        self.videos_per_second, started, count = None, None, 0
        self.notes = NoteCounter(self.configs[0].max_video_frames)
        for batch in predict_rest(self, run, shards, description, done or Done()):
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


class Source(Protocol):
    """What `predict_rest` needs of whatever predicts."""

    configs: tuple[NetworkConfig, ...]
    reading: Reading

    def source_of(self, batch: Batch, row: int) -> str: ...


def predict_rest(
    tagger: Source,
    run: Callable[[Sequence[Shard], Layout], Iterator[Batch]],
    shards: Sequence[Shard],
    description: str,
    done: Done,
) -> Iterator[Batch]:
    """Yields each batch after what is `done`, in file order, and shows the progress.

    Args:
        tagger: whose features are read, and which messages name.
        run: function of the files that are left and their layout -> batches of outputs, with `finite`.
    Raises:
        BadRecordError, ValueError: as for `Tagger.predict`.
    """
    first, *others = shards[done.shard :]
    excluded = tuple(sorted({*range(done.records), *first.excluded}))
    rest = (dataclasses.replace(first, excluded=excluded), *others)
    # Of all files: in the rest, every record of the first one may be excluded.
    layout = find_layout(shards, tagger.configs[0].features, tagger.reading)
    total, _ = estimate_records(shards)
    with display.ProgressBar(total, description, "videos", done.videos) as bar, naming_bad_records(shards):
        for batch in run(rest, layout):
            batch[schema.SHARD] = batch[schema.SHARD] + done.shard
            _check_batch(batch, tagger, shards, done.seen)
            yield batch
            bar.update(len(batch[schema.VIDEO_ID]))


def _check_batch(batch, tagger, shards, seen):
    """Refuses a batch with a duplicate id or with predictions that are not finite."""
    video_ids, indices, numbers = batch[schema.VIDEO_ID], batch[schema.SHARD], batch[schema.RECORD]

    def at(shard, record):
        return f"file {shards[shard].path}, record {record}"

    repeat = seen.add(hash_ids(video_ids), indices, numbers)
    if repeat is not None:
        row, first = repeat
        raise duplicate_video(video_ids[row], at(indices[row], numbers[row]), at(*first))
    if not batch["finite"].all():
        row = int(np.argmin(batch["finite"]))
        raise ValueError(
            f"{at(indices[row], numbers[row])}: the predictions of the {tagger.source_of(batch, row)} for video "
            f"{video_ids[row]!r} are not finite. Choose another --checkpoint, or check what this record holds."
        )
