"""The batches of all videos in some files, of which one process predicts some and others the rest.

They are those of `predict_to_csv`: videos in the order of the files, cut into batches without regard to where a file ends.
The last digits of a prediction depend on the batch it was computed in, so only equal batches give equal rows.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data.bad_records import BadRecordError, naming_bad_records
from youtube8m_distill.data.checked_records import read_videos
from youtube8m_distill.data.exclusions import Fault
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.tfrecord import DAMAGED, Shard, read_serialized
from youtube8m_distill.export.kaggle import csv_lines
from youtube8m_distill.runs.tagger import Batch, Tagger

REST_IS_DAMAGED = f"from here on {DAMAGED}"


class RecordBatches:
    """The batches of the records in some files.

    Args:
        shards: the files; records that they exclude are in no batch.
        counts: how many records of each file are read.
        size: records of every batch but the last.
    """

    def __init__(self, shards: Sequence[Shard], counts: Sequence[int], size: int):
        self.size, self._shards = size, shards
        self._ends = np.cumsum(counts)  # number of records in all files up to each one

    def __len__(self) -> int:
        return self.batch_of(self._total + self.size - 1)

    @property
    def _total(self):
        return int(self._ends[-1])

    def batch_of(self, place: int) -> int:
        """The batch of a record, by its place among those of all files."""
        return place // self.size

    def last_batch_of(self, index: int) -> int:
        """The last batch with a record of a file or, if it has none, of the files before; 0 if there is none at all."""
        return self.batch_of(max(int(self._ends[index]) - 1, 0))

    def num_records(self, batch: int) -> int:
        """The number of records of a batch."""
        return min(self.size, self._total - batch * self.size)

    def records_of(self, batches: range) -> list[Shard]:
        """The files with the records of some batches, each without its other records."""
        first, last = batches.start * self.size, min(batches.stop * self.size, self._total)
        found = []
        for index in range(int(np.searchsorted(self._ends, first, side="right")), len(self._shards)):
            before = int(self._ends[index - 1]) if index else 0
            if before >= last:
                break
            if self._ends[index] > before:
                found.append(_part(self._shards[index], max(first - before, 0), min(last, int(self._ends[index])) - before))
        return found


def _part(shard, first, last):
    """A file with its first-th to last-th record (exclusive) that is not excluded, and no others."""
    start, stop = _number(shard, first), _number(shard, last - 1) + 1
    excluded = (*range(start), *(number for number in shard.excluded if start <= number < stop))
    return dataclasses.replace(shard, excluded=excluded, readable=stop)


def _number(shard, place):
    """The number in a file of a record, by its place among those that are not excluded."""
    for excluded in shard.excluded:  # rising
        if excluded > place:
            break
        place += 1
    return place


class Predicted(NamedTuple):
    """What became of the records of a batch, or of some that could not be used."""

    lines: list[bytes]  # of a Kaggle CSV
    faults: list[Fault]


def predict_batches(tagger: Tagger, batches: RecordBatches, wanted: range, layout: Layout) -> Iterator[Predicted]:
    """Predicts the videos of some batches; records that cannot be used are reported and left out.

    Their batch is predicted without them, and all other batches are as they would be without the fault.

    Raises:
        ValueError: if files do not hold the records that were counted.
    """
    number = wanted.start
    while number < wanted.stop:
        shards = batches.records_of(range(number, wanted.stop))
        try:
            with naming_bad_records(shards):
                for batch in tagger.run_batches(shards, batches.size, layout):
                    if len(batch[schema.VIDEO_ID]) != batches.num_records(number):
                        break
                    yield _rows(batch, shards, tagger)
                    number += 1
        except BadRecordError:
            # Results that were computed ahead are lost, so the bad record may be in this batch or in the next ones.
            yield from _without_bad_records(tagger, batches.records_of(range(number, number + 1)), layout, batches.size)
            number += 1
        else:
            if number < wanted.stop:
                names = ", ".join(shard.path for shard in batches.records_of(range(number, number + 1)))
                raise ValueError(f"{names}: has changed while it was read. Start over in a new folder.")


def _rows(batch: Batch, shards, tagger):
    """The Predicted of a batch of the Tagger."""
    finite, faults = batch["finite"], []
    for row in np.flatnonzero(~finite):
        reason = f"the predictions of the {tagger.source_of(batch, row)} for it are not finite"
        faults.append(Fault(shards[batch[schema.SHARD][row]].path, int(batch[schema.RECORD][row]), reason))
    return Predicted(csv_lines(batch[schema.VIDEO_ID][finite], batch["classes"][finite], batch["scores"][finite]), faults)


def _without_bad_records(tagger, shards, layout, size):
    """Yields what becomes of a single batch; each of its records is parsed on its own first."""
    parser, good, faults = tagger.make_parser(layout), [], []
    for shard in shards:
        reasons, stop = _bad_records(parser, shard)
        faults += [Fault(shard.path, number, reason) for number, reason in reasons.items()]
        excluded = tuple(sorted({*shard.excluded, *reasons}))
        if sum(number < stop for number in excluded) < stop:
            good.append(dataclasses.replace(shard, excluded=excluded, readable=stop))
    yield Predicted([], faults)
    if good:
        with naming_bad_records(good):
            for batch in tagger.run_batches(good, size, layout):
                yield _rows(batch, good, tagger)


def _bad_records(parser: VideoParser, shard: Shard) -> tuple[dict[int, str], int]:
    """The records of a file that cannot be used, number -> reason, and the number of the first one that is not reached."""
    bad, excluded, number = {}, set(shard.excluded), 0
    try:
        for record in read_serialized(shard):
            try:
                if number not in excluded:
                    read_videos(parser, record[None], shard.path, np.array([number]))
            except BadRecordError as error:
                bad[number] = str(error).removeprefix(f"file {shard.path}, record {number}: ")
            number += 1
    except tf.errors.DataLossError:
        if number not in excluded:  # otherwise it is a record of another batch, which reports it
            bad[number] = REST_IS_DAMAGED
    return bad, number
