"""Reads every record of some files once and reports those that cannot be used.

The checks are the parser's own: records are parsed many at once, and one by one only where a chunk holds an invalid one.
Beyond that, no two records may have the same video id, over all files. Of a damaged file, the records before the damage can
be used.
"""

import concurrent.futures
import dataclasses
import zlib

import numpy as np
import tensorflow as tf

from youtube8m_distill import config, display, schema
from youtube8m_distill.data import bad_records, contents, tfrecord
from youtube8m_distill.data.exclusions import Fault
from youtube8m_distill.data.ids import SeenVideos, hash_ids
from youtube8m_distill.data.parsing.batch import Records, VideoParser

CHUNK = 64  # records parsed together: 15 MB of official ones
READERS = 4  # files read at a time
PIECE = 2**12  # bytes of a compressed file unpacked at a time
FIRST_FRAME = config.FrameView(
    frame_selection="first", frames_per_video=1
)  # every frame is checked, whichever are selected; one is cut out


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """What is wrong with some files.

    Attributes:
        faults: tuple of Fault, in the order of files and records.
        num_records: int, how many records there are, bad ones included.
        num_bad: int, how many of them are bad.
        is_exact: bool, whether both were counted, not estimated.
        num_files: int.
    """

    faults: tuple[Fault, ...]
    num_records: int
    num_bad: int
    is_exact: bool
    num_files: int

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
    num_bytes: int = 0  # of these records, uncompressed
    damage: str = ""  # what is wrong with the rest, if anything
    faults: list = dataclasses.field(default_factory=list)  # of single records
    numbers: list = dataclasses.field(default_factory=list)  # int64 arrays, the valid records
    ids: list = dataclasses.field(default_factory=list)  # uint64 arrays, hashes of their video ids


def find_for_check(pattern: str) -> tuple[tfrecord.Shard, ...]:
    """`tfrecord.find_files`, except that files without records are found, too."""
    return tfrecord.find_files(pattern, allow_bad_files=True)


def check_records(
    shards: tuple[tfrecord.Shard, ...], features: config.FeatureConfig | None, num_classes: int
) -> CheckReport:
    """Reads every record of some files once, several files at a time.

    How many records are lost in the damaged part of a file is counted by their headers where these are whole. Otherwise it
    is estimated from the size: at least one.

    Args:
        shards: from `find_for_check`.
        features: that records must have; None for all that the first readable file has.
        num_classes: int. Labels must be in 0 .. num_classes - 1.
    Returns:
        CheckReport. Of records with the same video id all but the first are bad.
    Raises:
        BadFileError: if no file holds records.
        ValueError: if no file begins with a record of these features.
    """
    readable = [shard for shard in shards if not shard.problem]
    if not readable:
        raise tfrecord.BadFileError("; ".join(f"{shard.path} {shard.problem}" for shard in shards))
    if features is None:
        features = _first_success(contents.all_features, readable)
    _first_success(lambda shard: contents.check_features((shard,), features), readable)
    check, found, seen = _build_check(features, num_classes), [], SeenVideos()
    with display.ProgressBar(None, "check", "records") as bar:
        pool = concurrent.futures.ThreadPoolExecutor(READERS)
        try:
            for file in pool.map(lambda shard: _check_file(shard, check, bar), shards):
                found.append(file)
                _find_duplicates(found, seen)
                bar.update(0, f"{len(found)} of {len(shards)} file(s)")
        finally:
            pool.shutdown(cancel_futures=True)  # also after an error or Ctrl-C
    return _report(found)


def _first_success(look, shards):
    """What `look` returns for the first shard that it does not refuse; the first error if it refuses all."""
    errors = []
    for shard in shards:
        try:
            return look(shard)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _build_check(features, num_classes):
    """A function (string [B], path, number of the first record) -> video ids [B], compiled once for all threads.

    It raises what `bad_records.naming_bad_records` reads.
    """
    parse = VideoParser(features, num_classes, {schema.TEACHER: FIRST_FRAME if features.frame_features else None})

    def check(serialized, path, first):
        numbers = first + tf.range(tf.size(serialized, tf.int64))
        return parse(Records(serialized, tf.fill(tf.shape(numbers), path), numbers, tf.zeros_like(numbers)))[schema.VIDEO_ID]

    compiled = tf.function(check).get_concrete_function(
        tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)
    )
    return lambda serialized, path, first: compiled(serialized, tf.constant(path), tf.constant(first, tf.int64)).numpy()


def _check_file(shard, check, bar):
    file = _File(shard, damage=shard.problem and f"the file {shard.problem}")
    if file.damage:
        return file
    records = tf.data.TFRecordDataset(shard.path, shard.compression)

    def read(records):
        for chunk in records.batch(CHUNK).prefetch(1):
            _check_chunk(file, check, chunk)
            bar.update(len(chunk))

    is_whole = False
    try:
        read(records)
        is_whole = tfrecord.is_whole(shard, file.num_bytes)
    except tf.errors.DataLossError:
        # A chunk with a damaged record is lost as a whole: read its records before the damage again.
        read(records.skip(file.num_records).take(tfrecord.count_readable(shard)[0] - file.num_records))
    if not is_whole:
        file.damage = f"from record {file.num_records} on {tfrecord.DAMAGED}"
    elif not file.num_records:
        file.damage = "the file holds no record"
    return file


def _check_chunk(file, check, chunk):
    """Adds a chunk of records, string [B], to what a file was found to hold."""
    numbers = np.arange(file.num_records, file.num_records + len(chunk))
    try:
        ids = check(chunk, file.shard.path, numbers[0])
    except tf.errors.InvalidArgumentError:
        ids = [_check_record(file, check, record, number) for record, number in zip(chunk, numbers.tolist())]
        numbers = numbers[[video_id is not None for video_id in ids]]
        ids = [video_id for video_id in ids if video_id is not None]
    file.ids.append(hash_ids(ids))
    file.numbers.append(numbers)
    file.num_records += len(chunk)
    overhead = tfrecord.HEADER_BYTES + tfrecord.FOOTER_BYTES
    file.num_bytes += int(tf.reduce_sum(tf.strings.length(chunk))) + overhead * len(chunk)


def _check_record(file, check, record, number):
    """The video id of one record; None, and a Fault in `file`, if it is invalid."""
    path = file.shard.path
    try:
        with bad_records.naming_bad_records():
            return check(record[None], path, number)[0]
    except bad_records.BadRecordError as error:
        file.faults.append(Fault(path, number, str(error).removeprefix(f"file {path}, record {number}: ")))
        return None


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


def _report(found):
    lost = _count_lost(found)
    faults = []
    for file in found:
        faults += sorted(file.faults)
        if file.damage:
            faults.append(Fault(file.shard.path, None, file.damage))
    num_lost = sum(number for number, _ in lost)
    return CheckReport(
        tuple(faults),
        sum(file.num_records for file in found) + num_lost,
        sum(len(file.faults) for file in found) + num_lost,
        all(exact for _, exact in lost),
        len(found),
    )


def _count_lost(found):
    """For each file: how many records its damaged part holds, and whether they were counted. list of (int, bool)."""
    stored = [_stored_bytes(file) for file in found]
    mean = sum(stored) / max(1, sum(file.num_records for file in found))
    return [_lost_in(file, before, mean) if file.damage else (0, True) for file, before in zip(found, stored)]


def _lost_in(file, before, mean):
    """The same for one file with damage after its first `before` bytes. `mean`: bytes per record."""
    if file.shard.size and not file.shard.compression:
        try:
            return sum(1 for _ in tfrecord.record_starts(file.shard)) - file.num_records, True
        except ValueError:
            pass  # the headers are damaged, too
    return max(1, round((file.shard.size - before) / mean) if mean else 1), False


def _stored_bytes(file):
    """Stored bytes of the records that could be read from a file."""
    if not file.damage:
        return file.shard.size
    if not file.shard.compression:
        return file.num_bytes
    unpacker, unpacked, stored = zlib.decompressobj(wbits=31), 0, 0  # 31: with a gzip header
    with tfrecord.open_file(file.shard.path) as packed:
        while unpacked < file.num_bytes:
            try:
                unpacked += len(unpacker.decompress(packed.read(PIECE)))
            except zlib.error:
                break
            stored = min(stored + PIECE, file.shard.size)
    return stored
