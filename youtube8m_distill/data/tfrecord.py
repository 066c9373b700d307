"""TFRecord files: reading, counting, identifying and writing them.

A record is an 8-byte little-endian length, 4 bytes of checksum, the content and 4 more bytes of checksum.
"""

import bisect
import concurrent.futures
import contextlib
import dataclasses
import gzip
import hashlib
import itertools
import struct
import sys
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from youtube8m_distill import files
from youtube8m_distill.data import file_access

HEADER_BYTES = 12  # length and its checksum, before the record
FOOTER_BYTES = 4  # the record's checksum, after it
DAMAGED = "damaged or cut short; fetch the file again"
BARE = "bare"
END_BYTES = 2**16  # of a file's beginning and of its end, that `digest` reads
THREADS = 32  # the full set is 3844 files, perhaps behind a network

EXACT_BELOW_BYTES = 2**32  # `estimate_records` counts every record of a set smaller than this
SAMPLED_SHARDS = 4  # and this many files of a larger one


class Held(NamedTuple):
    """Serialized records in memory: `records[start:end]`. Several files may share one tensor."""

    records: tf.Tensor  # string [N]
    start: int
    end: int
    numbers: tf.Tensor | None = None  # int64 [N], the file's records that rated segments come from; None for whole records


@dataclasses.dataclass(frozen=True)
class Shard:
    """One TFRecord file."""

    path: str
    compression: str  # "" or "GZIP"; BARE for a file that is one serialized record and nothing else
    size: int  # in bytes as stored
    excluded: tuple[int, ...] = ()  # numbers of records to skip, rising; the first record is 0
    readable: int | None = None  # how many records come before the damaged part of the file; None for all
    problem: str = ""  # why the file holds no record; "" if it may hold some
    held: Held | None = dataclasses.field(default=None, compare=False, repr=False)  # its records, if they are in memory


class BadFileError(ValueError):
    """A file that holds no record, or that cannot be read to its end."""


def record_end(start, head):
    """Where the record ends that starts at byte `start` with these 8 bytes. If there are fewer, after any file's end."""
    return start + HEADER_BYTES + struct.unpack("<Q", head)[0] + FOOTER_BYTES if len(head) == 8 else sys.maxsize


def first_record(shard):
    """The first record of a file that is not excluded, as bytes. BadFileError if there is none or it is damaged."""
    try:
        for number, record in enumerate(read_serialized(shard)):
            if number not in shard.excluded:
                return record.numpy()
    except tf.errors.DataLossError as error:
        raise BadFileError(f"{shard.path}: the first record is damaged or cut short: fetch the file again.") from error
    raise BadFileError(f"{shard.path} holds no record: leave it out of the pattern.")


def record_starts(shard):
    """Yields the byte at which each record of an uncompressed file starts, reading headers only.

    BadFileError, after the last whole record, if the file ends within one.
    """
    start = number = 0
    with file_access.open_file(shard.path) as file:
        while start < shard.size:
            file.seek(start)
            end = record_end(start, file.read(8))
            if end > shard.size:
                raise BadFileError(f"file {shard.path}, record {number}: {DAMAGED}")
            yield start
            start, number = end, number + 1


def is_whole(shard, num_bytes):
    """Whether a file holds nothing but records of `num_bytes` bytes in total, uncompressed.

    TensorFlow does not report a file that ends within the header of a record, nor a compressed one that ends too early.
    """
    if shard.compression == BARE:
        return True
    if not shard.compression:
        return num_bytes == shard.size
    with file_access.open_file(shard.path) as file:
        file.seek(max(0, shard.size - 4))
        if file.read(4) == struct.pack("<I", num_bytes % 2**32):
            return True  # gzip ends with the size of what is in it
        file.seek(0)  # or it is several gzip files, one after the other
        try:
            with gzip.open(file) as unpacked:
                return num_bytes == sum(map(len, iter(lambda: unpacked.read(END_BYTES), b"")))
        except (EOFError, OSError, zlib.error):
            return False


def read_serialized(shard) -> tf.data.Dataset:
    """The serialized records of a file before its damaged part, excluded ones too."""
    if shard.held is not None:
        held = shard.held
        return with_quick_iterators(tf.data.Dataset.from_tensor_slices(held.records[held.start : held.end]))
    records = with_quick_iterators(records_of(file_access.local_path(shard.path), shard.compression))
    return records if shard.readable is None else records.take(shard.readable)


def records_of(path, compression, **options) -> tf.data.Dataset:
    """The serialized records of files that TensorFlow can read; options of TFRecordDataset. `path`: string or string [N]."""
    if compression == BARE:
        return tf.data.Dataset.from_tensor_slices(tf.reshape(path, [-1])).map(tf.io.read_file)
    return tf.data.TFRecordDataset(path, compression, **options)


def with_quick_iterators(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset with iterators that start and close quickly, for pipelines that gain nothing from optimization.

    TensorFlow's autotuning thread sleeps between its rounds, twice as long each time, up to a minute. Closing an iterator
    wakes it, but it may go back to sleep before it sees the cancellation, and closing waits for it. TensorFlow's other
    optimizations of a pipeline delay the start of each iterator.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)


def count_readable(shard, at_most=-1):
    """How many records come before the damaged part, their bytes uncompressed, and whether there is one. (int, int, bool)"""
    number = num_bytes = 0
    try:
        for record in read_serialized(shard).take(at_most).as_numpy_iterator():
            number += 1
            num_bytes += HEADER_BYTES + len(record) + FOOTER_BYTES
    except tf.errors.DataLossError:
        return number, num_bytes, True
    return number, num_bytes, False


def count_records(shards: Sequence[Shard], at_most: int | None = None) -> int:
    """Counts the records of all files exactly, without excluded ones: by headers, or by reading a compressed file.

    Counting stops at `at_most` records; None counts all. BadFileError if a file is cut short or damaged.
    """
    if at_most is None:
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(_count, shards))
    count = 0
    for shard in shards:
        if count < at_most:
            count += _count(shard, at_most - count)
    return count


def _count(shard, at_most=2**62):
    """Records of one file that are not excluded, up to a limit."""
    number, is_damaged = count_whole(shard, at_most + len(shard.excluded))
    if is_damaged:
        raise BadFileError(f"file {shard.path}, record {number}: {DAMAGED}")
    return min(number - bisect.bisect_left(shard.excluded, number), at_most)


def count_whole(shard: Shard, limit: int = 2**62) -> tuple[int, bool]:
    """How many records a file has before it is cut short, excluded ones too, and whether it is. Counting stops at `limit`.

    Records are counted by their headers; a compressed file is read. The known damage of `readable` is not damage here.
    """
    if shard.held is not None:
        return shard.held.end - shard.held.start, False
    if shard.readable is not None:
        return shard.readable, False
    if shard.compression == BARE:
        return 1, False
    if shard.compression:
        number, num_bytes, is_damaged = count_readable(shard, limit)
        return number, is_damaged or number < limit and not is_whole(shard, num_bytes)
    number = 0
    try:
        for _ in itertools.islice(record_starts(shard), limit):
            number += 1
    except BadFileError:
        return number, True
    return number, False


def estimate_records(shards: Sequence[Shard]) -> tuple[int, bool]:
    """The number of records, and whether it is exact: that of a large or remote set is estimated from a few of the files.

    BadFileError if a file that was counted is cut short or damaged.
    """
    total = sum(shard.size for shard in shards)
    copies_all = any(file_access.is_copied(shard.path) for shard in shards)  # to count its records, a file is copied
    if total < EXACT_BELOW_BYTES and not copies_all or len(shards) <= SAMPLED_SHARDS or all(shard.held for shard in shards):
        return count_records(shards), True
    sample = [shards[i * len(shards) // SAMPLED_SHARDS] for i in range(SAMPLED_SHARDS)]
    return round(count_records(sample) * total / sum(shard.size for shard in sample)), False


def digest(shard: Shard, *about: str) -> str:
    """Identifies a file wherever it is: by its size, the 64 KiB at either end, what of it is excluded, and other texts."""
    start, end = (
        file_access.read(shard.path, at, min(at + END_BYTES, shard.size)) for at in (0, max(0, shard.size - END_BYTES))
    )
    content = b"%d %s %s" % (shard.size, start, end)
    if shard.excluded or shard.readable is not None:
        about += (f"without {shard.excluded} of {shard.readable}",)
    return hashlib.sha256(" ".join(about).encode() + b" " + content).hexdigest()[:16]


class RecordWriter:
    """A tf.io.TFRecordWriter for a `with` block, which raises the system's OSErrors, as on a full disk."""

    def __init__(self, path, compression=""):
        self._writer = self._do(tf.io.TFRecordWriter, str(path), compression or None)

    def write(self, record):
        self._do(self._writer.write, record)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        with contextlib.suppress(*[OSError] if error else []):  # the first error is the one to report
            self._do(self._writer.close)

    @staticmethod
    def _do(action, *arguments):
        try:
            return action(*arguments)
        except tf.errors.OpError as error:
            raise files.system_error(error.message) from error
