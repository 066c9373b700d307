"""Reads every record of some files once and reports those that cannot be used: invalid ones, and duplicate video ids.

Records are parsed many at once, and one by one only where a chunk holds an invalid one.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import typing
import zlib
from collections.abc import Collection

import numpy as np
import tensorflow as tf

from youtube8m_distill import config, display, schema
from youtube8m_distill.data import contents, file_access, tfrecord
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.checked_records import read_rated_segments, read_videos
from youtube8m_distill.data.exclusions import Fault
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.ids import SeenVideos, hash_ids
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.stored_features import OFFICIAL
from youtube8m_distill.errors import SettingError

CHUNK = 64  # records parsed together: 15 MB of official ones
READERS = 4  # files read at a time
PIECE = 2**12  # bytes of a compressed file unpacked at a time
# Every frame is checked, whichever are selected.
FIRST_FRAME = config.FrameView(frame_selection="first", frames_per_video=1)


class CheckReport(typing.NamedTuple):
    """What is wrong with some files."""

    faults: tuple[Fault, ...]  # in the order of files and records
    num_records: int  # bad ones included
    num_bad: int
    is_exact: bool  # whether both were counted, not estimated
    num_files: int
    features: config.FeatureConfig  # that every record must have
    num_valid: int  # records in which nothing is wrong by themselves; duplicates included
    num_labeled: int  # of them, with labels; with `reading.segment_labels`, with ratings of segments
    unchecked: tuple[str, ...] = ()  # features that only some records have, if none were named

    def summary(self) -> str:
        """One line: "2 of 43 records in 2 file(s) are bad (4.7 %)."."""
        about = "" if self.is_exact else "about "
        share = f" ({float(f'{100 * self.num_bad / self.num_records:.2g}'):g} %)" if self.num_bad else ""
        return f"{about}{self.num_bad:,} of {self.num_records:,} records in {self.num_files:,} file(s) are bad{share}."


@dataclasses.dataclass
class _File:
    """What one file was found to hold."""

    shard: tfrecord.Shard
    num_records: int = 0  # that could be read
    num_valid: int = 0  # of them, without a fault; duplicates included
    num_labeled: int = 0  # of these, with labels or ratings
    num_bytes: int = 0  # of these records, uncompressed
    damage: str = ""  # what is wrong with the rest, if anything
    faults: list = dataclasses.field(default_factory=list)  # of single records
    numbers: list = dataclasses.field(default_factory=list)  # int64 arrays, the valid records whose ids are read
    ids: list = dataclasses.field(default_factory=list)  # uint64 arrays, hashes of their video ids
    others: set = dataclasses.field(default_factory=set)  # names of features, if they are looked for


def find_for_check(pattern: str) -> tuple[tfrecord.Shard, ...]:
    """`find_files`, except that files without records are found, too."""
    return find_files(pattern, allow_bad_files=True)


def check_records(
    shards: tuple[tfrecord.Shard, ...],
    features: config.FeatureConfig | None,
    num_classes: int,
    reading: config.Reading = OFFICIAL,
    segment_classes: Collection[int] = (),
) -> CheckReport:
    """Reads every record of some files once, several files at a time.

    With `reading.segment_labels`, ids, ratings and frames of rated segments are checked, and nothing else of a video.

    How many records are lost in the damaged part of a file is counted by their headers where these are whole. Otherwise it
    is estimated from the size: at least one. Of records with the same video id all but the first are bad.

    Args:
        shards: from `find_for_check`.
        features: that records must have; None for all that the first readable file has.
        num_classes: labels must be in 0 .. num_classes - 1.
        reading: how records are read.
        segment_classes: classes that may be rated, with `reading.segment_labels`.
    Raises:
        SettingError: if segments of video-level files are to be checked.
        ValueError: if no file begins with a record of these features; BadFileError, one of these, if none holds records.
    """
    readable = [shard for shard in shards if not shard.problem]
    if not readable:
        raise tfrecord.BadFileError("; ".join(f"{shard.path} {shard.problem}" for shard in shards))
    finds_others = features is None
    if features is None:
        features = _first_success(lambda shard: contents.all_features(shard, reading), readable)
    if reading.segment_labels and not features.frame_features:
        reason = f"{readable[0].path} has video-level features, and segments are cut out of frames; give frame-level files."
        raise SettingError("segment_labels", reason, True)
    layout = _first_success(lambda shard: contents.find_layout((shard,), features, reading), readable)
    views = {schema.TEACHER: FIRST_FRAME if features.frame_features else None}
    parser = VideoParser(features, num_classes, views, layout=layout)
    read = functools.partial(read_videos, parser)
    if reading.segment_labels:
        read = functools.partial(read_rated_segments, parser, frozenset(segment_classes))
    found, seen = [], SeenVideos()
    with display.ProgressBar(None, "check", "records") as bar:
        pool = concurrent.futures.ThreadPoolExecutor(READERS)
        try:
            for file in pool.map(lambda shard: _check_file(shard, read, bar, finds_others), shards):
                found.append(file)
                _find_duplicates(found, seen)
                bar.update(0, f"{len(found)} of {len(shards)} file(s)")
        finally:
            pool.shutdown(cancel_futures=True)  # also after an error or Ctrl-C
    return _report(found, features)


def _first_success(look, shards):
    """What `look` returns for the first shard that it does not refuse; the first error if it refuses all."""
    errors = []
    for shard in shards:
        try:
            return look(shard)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _check_file(shard, read, bar, finds_others):
    file = _File(shard)
    if shard.problem:
        file.damage = f"the file {shard.problem}"
        return file
    records = tfrecord.read_serialized(shard)

    def check(records):
        for chunk in records.batch(CHUNK).prefetch(1):
            _check_chunk(file, read, chunk)
            if finds_others:
                _find_features(file, chunk)
            bar.update(len(chunk))

    is_whole = False
    try:
        check(records)
        is_whole = tfrecord.is_whole(shard, file.num_bytes)
    except tf.errors.DataLossError:
        # A chunk with a damaged record is lost as a whole: read its records before the damage again.
        check(records.skip(file.num_records).take(tfrecord.count_readable(shard)[0] - file.num_records))
    if not is_whole:
        file.damage = f"from record {file.num_records} on {tfrecord.DAMAGED}"
    elif not file.num_records:
        file.damage = "the file holds no record"
    return file


def _check_chunk(file, read, chunk):
    """Adds a chunk of records, string [B], to what a file was found to hold."""
    path, numbers = file.shard.path, np.arange(file.num_records, file.num_records + len(chunk))
    valid = {}  # row -> Checked
    try:
        valid = dict(enumerate(read(chunk, path, numbers)))
    except BadRecordError:
        for row in range(len(chunk)):
            try:
                (valid[row],) = read(chunk[row : row + 1], path, numbers[row : row + 1])
            except BadRecordError as error:
                number = int(numbers[row])
                file.faults.append(Fault(path, number, str(error).removeprefix(f"file {path}, record {number}: ")))
    named = {row: found.video_id for row, found in valid.items() if found.video_id is not None}
    file.ids.append(hash_ids(named.values()))
    file.num_valid += len(valid)
    file.num_labeled += sum(found.is_labeled for found in valid.values())
    file.numbers.append(numbers[np.array(list(named), np.int64)])
    file.num_records += len(chunk)
    overhead = tfrecord.HEADER_BYTES + tfrecord.FOOTER_BYTES
    file.num_bytes += int(tf.reduce_sum(tf.strings.length(chunk))) + overhead * len(chunk)


def _find_features(file, chunk):
    for record in chunk.numpy():
        with contextlib.suppress(ValueError):  # not of the format: already reported
            file.others |= contents.feature_names(record, file.shard)


def _find_duplicates(found, seen):
    """Adds a Fault to the last file for each record whose video id an earlier record has."""
    file = found[-1]
    if not file.ids:
        return
    ids, numbers = np.concatenate(file.ids), np.concatenate(file.numbers)
    file.ids = file.numbers = ()
    for index, (shard, record) in seen.add_new(ids, len(found) - 1, numbers):
        reason = f"its video id is a duplicate of {found[shard].shard.path}, record {record}"
        file.faults.append(Fault(file.shard.path, int(numbers[index]), reason))


def _report(found, features):
    stored = [_stored_bytes(file) for file in found]
    num_records, num_bad = sum(file.num_records for file in found), sum(len(file.faults) for file in found)
    mean_bytes = sum(stored) / max(1, num_records)
    faults, num_lost, is_exact = [], 0, True
    for file, before in zip(found, stored):
        faults += sorted(file.faults)
        if file.damage:
            faults.append(Fault(file.shard.path, None, file.damage))
            lost, is_counted = _count_lost(file, before, mean_bytes)
            num_lost, is_exact = num_lost + lost, is_exact and is_counted
    unchecked = set().union(*(file.others for file in found)) - set(features.names)
    return CheckReport(
        faults=tuple(faults),
        num_records=num_records + num_lost,
        num_bad=num_bad + num_lost,
        is_exact=is_exact,
        num_files=len(found),
        features=features,
        num_valid=sum(file.num_valid for file in found),
        num_labeled=sum(file.num_labeled for file in found),
        unchecked=tuple(sorted(unchecked)),
    )


def _count_lost(file, before, mean_bytes):
    """How many records a file holds in its damaged part, after `before` bytes, and whether they were counted. (int, bool)"""
    if file.shard.size and not file.shard.compression:
        with contextlib.suppress(ValueError):  # the headers may be damaged, too
            return sum(1 for _ in tfrecord.record_starts(file.shard)) - file.num_records, True
    return max(1, round((file.shard.size - before) / mean_bytes) if mean_bytes else 1), False


def _stored_bytes(file):
    """Stored bytes of the records that could be read from a file."""
    if not file.damage:
        return file.shard.size
    if not file.shard.compression:
        return file.num_bytes
    unpacker, unpacked, stored = zlib.decompressobj(wbits=31), 0, 0  # 31: with a gzip header
    with file_access.open_file(file.shard.path) as packed, contextlib.suppress(zlib.error):
        while unpacked < file.num_bytes and (piece := packed.read(PIECE)):
            unpacked += len(unpacker.decompress(piece))
            stored += len(piece)
    return stored
