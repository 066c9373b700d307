"""All records read once before they are used, to find those that cannot be and go on without them.

The checks are those of reading: every record passes the parser, many at once, and only where it refuses those are they
parsed one by one, to hear what is wrong with each. Beyond that no two records may have one video id, over all files. Of a
damaged file the records before the damage stay; a file that is empty or no TFRecord file is left out whole.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import zlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from youtube8m_distill import config, display, schema
from youtube8m_distill.data import bad_records, tfrecord
from youtube8m_distill.data.parsing import batch
from youtube8m_distill.data.screening_report import counts_of

FORMAT = 1  # raised when the same files would be judged otherwise
CHUNK = 64  # records parsed together: 15 MB of official ones
READERS = 4  # files read at a time
EARLIEST_END = 1000  # records to look at before giving up on the others
SHOWN = 3  # faults in an error message
PIECE = 2**12  # bytes of a compressed file unpacked at a time
FIRST_FRAME = config.FrameView("first", 1)  # every frame is checked, whichever are seen; one is cut out


class Fault(NamedTuple):
    """What is left out: one record of a file or, where `record` is None, the rest of the file or all of it."""

    path: str
    record: int | None
    reason: str

    def __str__(self):
        return f"{self.path}{'' if self.record is None else f', record {self.record}'}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Screening:
    """Files without what cannot be used.

    Attributes:
        shards: tuple of tfrecord.Shard, as they are to be read; a file without a single good record is not among them.
        faults: tuple of Fault, in the order of files and records.
        num_records: int, how many records there are, bad ones included; None if nobody has looked.
        num_bad: int, how many of them are bad.
        is_exact: bool, whether both were counted, not estimated.
        about: str, tells what was looked at, and what for.
    """

    shards: tuple
    faults: tuple = ()
    num_records: int | None = None
    num_bad: int = 0
    is_exact: bool = True
    about: str = ""

    def to_json(self):
        """A dict for json.dump, to be kept and given to `screen` in place of reading once more."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, found):
        shards = tuple(tfrecord.Shard(**{**shard, "left_out": tuple(shard["left_out"])}) for shard in found["shards"])
        return cls(**{**found, "shards": shards, "faults": tuple(Fault(*fault) for fault in found["faults"])})


@dataclasses.dataclass
class _File:
    """What one file was found to hold."""

    shard: tfrecord.Shard
    num_records: int = 0  # all that could be read
    num_bytes: int = 0  # that these take, uncompressed
    damage: str = ""  # what is wrong with the rest, if anything
    faults: list = dataclasses.field(default_factory=list)  # of single records
    numbers: list = dataclasses.field(default_factory=list)  # int64 arrays, the good records
    ids: list = dataclasses.field(default_factory=list)  # uint64 arrays, hashes of their video ids


def screen(shards, bad_files, features, num_classes, max_bad_fraction, known=None):
    """Reads every record of some files once and finds those that cannot be used.

    It takes as long as reading the files does, but ends early where far too many are bad. For each record it
    keeps 16 bytes, a hash of its video id and its number, and needs as many again at the end. Two different ids have the
    same hash with a probability of 2e-6 among the 8 million of the full set; one of the two videos would then be left out.

    How many records the damaged part of a file holds is counted by their headers where these are whole. Otherwise it is
    estimated by its bytes, at the mean of all records that could be read, and as one at least.

    Args:
        shards: tuple of tfrecord.Shard, as `tfrecord.find_files` gives them.
        bad_files: dict {path: what is wrong} of those among them that hold no record.
        features: config.FeatureConfig.
        num_classes: int.
        max_bad_fraction: float, 0 to 1.
        known: what `Screening.to_json` gave, or None. It is taken in place of reading if it is about the same files, by
            their paths and sizes, the same features and number of classes.
    Returns:
        Screening.
    Raises:
        BadRecordError: if a greater share of the records is bad, or all of them are.
    """
    about = _about(shards, features, num_classes)
    found = _known(known, about)
    if found is None:
        found = _join(_screen_files(shards, bad_files, _build_check(features, num_classes), max_bad_fraction), about)
    _require_few(found, max_bad_fraction)
    return found


def _known(found, about):
    """The Screening of `to_json`'s dict if it is about these files; None for that of others, and for anything else."""
    try:
        return Screening.from_json(found) if found["about"] == about else None
    except (TypeError, LookupError, ValueError):
        return None


def _about(shards, features, num_classes):
    names = [[shard.path, shard.size] for shard in shards]
    settings = json.dumps([FORMAT, names, features.to_dict(), num_classes])
    return f"sha256 {hashlib.sha256(settings.encode()).hexdigest()[:16]}"


@functools.lru_cache(maxsize=1)  # training and validation files have one
def _build_check(features, num_classes):
    """The function that checks the records of a chunk: (string [B], path, number of the first) -> their ids, [B].

    It raises what `bad_records.naming_bad_records` reads.
    """
    parse = batch.VideoParser(features, num_classes, {schema.TEACHER: FIRST_FRAME if features.frame_features else None})

    def check(serialized, path, first):
        numbers = first + tf.range(tf.size(serialized, tf.int64))
        records = batch.Records(serialized, tf.fill(tf.shape(numbers), path), numbers, tf.zeros_like(numbers))
        return parse(records)[schema.VIDEO_ID]

    # Compiled here, for all threads.
    compiled = tf.function(check).get_concrete_function(
        tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)
    )
    return lambda serialized, path, first: compiled(serialized, tf.constant(path), tf.constant(first, tf.int64)).numpy()


def _screen_files(shards, bad_files, check, max_bad_fraction):
    """A list of _File: all, or as many as show that far too many records are bad."""
    found, all_bytes = [], sum(shard.size for shard in shards)
    pool = concurrent.futures.ThreadPoolExecutor(READERS)
    with display.ProgressBar(None, "screen", "records") as bar:
        try:
            for file in pool.map(lambda shard: _screen_file(shard, bad_files, check, bar), shards):
                found.append(file)
                bar.update(0, f"{len(found)} of {len(shards)} file(s)")
                if _is_hopeless(found, all_bytes, max_bad_fraction):
                    break
        finally:
            pool.shutdown(cancel_futures=True)  # also after an error or Ctrl-C
    return found


def _is_hopeless(found, all_bytes, max_bad_fraction):
    """Whether too many records would be bad even if the files not seen yet held twice as many as their bytes tell."""
    num_bad, num_records = (sum(counts) for counts in zip(*((len(file.faults), file.num_records) for file in found)))
    seen_bytes = sum(file.shard.size for file in found)
    likely = num_records * max(1, 2 * all_bytes / max(1, seen_bytes))
    return num_records >= EARLIEST_END and num_bad > max_bad_fraction * likely


def _screen_file(shard, bad_files, check, bar):
    file = _File(shard, damage=bad_files.get(shard.path, ""))
    records = tf.data.TFRecordDataset(shard.path, shard.compression)

    def take(records):
        for chunk in records.batch(CHUNK).prefetch(1):
            _check_chunk(file, check, chunk)
            bar.update(len(chunk))

    try:
        if not file.damage:
            take(records)
    except tf.errors.DataLossError:
        # A chunk is not given where one of its records is damaged; those before it still count.
        take(records.skip(file.num_records).take(tfrecord.first_unreadable(shard) - file.num_records))
        file.damage = f"from record {file.num_records} on {tfrecord.DAMAGED}"
    if not file.damage and not tfrecord.is_whole(shard, file.num_bytes):
        file.damage = f"from record {file.num_records} on {tfrecord.DAMAGED}"
    if not file.damage and not file.num_records:
        file.damage = "the file holds no record"
    return file


def hash_ids(video_ids):
    """64 bits of each id, the same ones everywhere. uint64 [B] from B bytes."""
    return np.frombuffer(b"".join(hashlib.blake2b(video_id, digest_size=8).digest() for video_id in video_ids), "<u8")


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
    """The video id of one record, or None and a Fault more."""
    path = file.shard.path
    try:
        with bad_records.naming_bad_records():
            return check(record[None], path, number)[0]
    except bad_records.BadRecordError as error:
        file.faults.append(Fault(path, number, str(error).removeprefix(f"file {path}, record {number}: ")))
        return None


def _join(found, about):
    """The Screening of files that were looked at."""
    _find_duplicates(found)
    lost = _count_lost(found)
    shards, faults = [], []
    for file in found:
        file.faults.sort()
        left_out = tuple(fault.record for fault in file.faults)
        faults += file.faults
        if file.damage:
            faults.append(Fault(file.shard.path, None, file.damage))
        if len(left_out) < file.num_records:
            shards.append(
                dataclasses.replace(file.shard, left_out=left_out, readable=file.num_records if file.damage else None)
            )
    num_lost = sum(number for number, _ in lost)
    return Screening(
        tuple(shards),
        tuple(faults),
        sum(file.num_records for file in found) + num_lost,
        sum(len(file.faults) for file in found) + num_lost,
        all(exact for _, exact in lost),
        about,
    )


def _find_duplicates(found):
    """Adds a Fault for each record whose video id an earlier one has."""
    lengths = [sum(map(len, file.ids)) for file in found]
    if not any(lengths):
        return
    ids = np.concatenate([part for file in found for part in file.ids])
    numbers = np.concatenate([part for file in found for part in file.numbers])
    ends = np.cumsum(lengths)
    order = np.argsort(ids, kind="stable")  # of records with one id, the first in the files comes first
    again = np.flatnonzero(ids[order[1:]] == ids[order[:-1]]) + 1
    for first, second in zip(order[again - 1], order[again]):
        before, file = (found[np.searchsorted(ends, place, "right")] for place in (first, second))
        file.faults.append(
            Fault(
                file.shard.path,
                int(numbers[second]),
                f"its video id is that of {before.shard.path}, record {numbers[first]}",
            )
        )


def _count_lost(found):
    """For each file: how many records its damaged part holds, and whether they were counted. list of (int, bool)."""
    stored = [_stored_bytes(file) for file in found]
    mean = sum(stored) / max(1, sum(file.num_records for file in found))
    return [_lost_in(file, before, mean) if file.damage else (0, True) for file, before in zip(found, stored)]


def _lost_in(file, before, mean):
    """The same for one file with damage behind its first `before` bytes; `mean`: bytes of a record."""
    if file.shard.size and not file.shard.compression:
        try:
            return sum(1 for _ in tfrecord.record_starts(file.shard)) - file.num_records, True
        except ValueError:
            pass  # no headers to follow
    return max(1, round((file.shard.size - before) / mean) if mean else 1), False


def _stored_bytes(file):
    """How many bytes the records take that could be read from a file, as they are stored."""
    if not file.damage:
        return file.shard.size
    if not file.shard.compression:
        return file.num_bytes
    unpacker, unpacked, stored = zlib.decompressobj(wbits=31), 0, 0  # 31: with a header of gzip
    with tfrecord.open_file(file.shard.path) as packed:
        while unpacked < file.num_bytes:
            try:
                unpacked += len(unpacker.decompress(packed.read(PIECE)))
            except zlib.error:
                break
            stored = min(stored + PIECE, file.shard.size)
    return stored


def _require_few(found, max_bad_fraction):
    if found.num_bad <= max_bad_fraction * found.num_records and found.shards:
        return
    counts = {}
    for fault in found.faults:
        counts[fault.path] = counts.get(fault.path, 0) + 1
    worst = max(counts, key=counts.get)
    first = "; ".join(map(str, found.faults[:SHOWN]))
    raise bad_records.BadRecordError(
        f"max_bad_fraction={max_bad_fraction:g}: {counts_of(found)} cannot be used; most entries ({counts[worst]:,} of "
        f"{len(found.faults):,}) are about {worst}. The first: {first}. Fetch these files again, or see that features and "
        "num_classes are those of the data."
    )
