"""TFRecord files: finding them, seeing that they can be read before anything is built on them, counting records.

A TFRecord file is a row of records, each an 8-byte little-endian length, 4 bytes of checksum, the record itself and
4 more bytes of checksum; so records can be counted by reading lengths alone.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import importlib
import os
import struct

import tensorflow as tf

HEADER_BYTES = 12                   # length and its checksum, before the record
FOOTER_BYTES = 4                    # the record's checksum, after it
GZIP_MAGIC = b"\x1f\x8b\x08"
END_BYTES = 2 ** 16                 # of a file's beginning and of its end: what `digest` looks at
THREADS = 32                        # the full set is 3844 files, perhaps behind a network

EXACT_BELOW_BYTES = 2 ** 32         # `estimate_records` counts every record of a set smaller than this
SAMPLED_SHARDS = 4                  # and this many files of a larger one

EXAMPLE_SET = "python -m youtube8m_distill.cli.synthesize --output_dir=yt8m_sample"


@dataclasses.dataclass(frozen=True)
class Shard:
    """One TFRecord file: its path, "" or "GZIP", and its size in bytes as stored."""

    path: str
    compression: str
    size: int


def find_files(pattern):
    """Finds the TFRecord files that a pattern names and looks into each, so that a bad one shows before training.

    Args:
        pattern: one or more globs, comma-separated, local or on any file system TensorFlow reads (`gs://` as it is,
            `s3://` and `hdfs://` with the `[io]` extra). Every glob must match; a file matched twice counts once.
    Returns:
        tuple of Shard, sorted by path.
    Raises:
        FileNotFoundError: if a glob matches nothing.
        ValueError: if a file is empty, a folder or no TFRecord file, or if its file system cannot be read.
    """
    globs = [glob.strip() for glob in pattern.split(",") if glob.strip()]
    if not globs:
        raise FileNotFoundError(f"{pattern!r} names no file. Give one or more globs, or write a small set with: "
                                f"{EXAMPLE_SET}")
    # By real path: two spellings of one file are one file.
    paths = sorted({path if "://" in path else os.path.realpath(path): path
                    for glob in globs for path in _matches(glob)}.values())
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        shards = tuple(pool.map(_look_into, paths))
    first_record(shards[0])
    return shards


def _matches(glob):
    """Paths that one glob matches, at least one."""
    _load_file_system(glob)
    glob = os.path.expanduser(glob)                 # no shell expands the ~ in --train_data_pattern=~/yt8m/...
    try:
        paths = tf.io.gfile.glob(glob)
    except tf.errors.UnimplementedError as error:
        raise ValueError(f"{glob!r}: this TensorFlow ({tf.__version__}) has no reader for {glob.split('://')[0]}://. "
                         "For s3:// and hdfs:// install one with: pip install 'youtube8m_distill[io]'") from error
    if not paths:
        raise FileNotFoundError(f"{glob!r} matches no file (commas separate patterns). Quote it in your shell, or "
                                f"write a small set with: {EXAMPLE_SET}")
    return paths


def _load_file_system(glob):
    """Imports tensorflow-io where a path needs it: importing is what registers s3:// and hdfs://."""
    if glob.startswith(("s3://", "hdfs://")):
        try:
            importlib.import_module("tensorflow_io")
        except ImportError:
            pass                    # TensorFlow may bring the reader itself; `_matches` says so if it does not


def _look_into(path):
    """The Shard at `path`; ValueError if no record can be there."""
    status = tf.io.gfile.stat(path)
    if status.is_directory:
        raise ValueError(f"{path} is a folder; name the files in it, as in {path.rstrip('/')}/*.tfrecord")
    if status.length == 0:
        raise ValueError(f"{path} is empty (0 bytes): fetch it again, or leave it out of the pattern.")
    with _open(path) as file:
        head = file.read(8)
    if head.startswith(GZIP_MAGIC):
        return Shard(path, "GZIP", status.length)
    if len(head) < 8 or _end(0, head) > status.length:
        raise ValueError(f"{path} ({status.length} bytes) is not a TFRecord file, or it is cut short in its first "
                         "record: fetch it again, or leave it out of the pattern.")
    return Shard(path, "", status.length)


def _open(path):
    # GFile reads half a megabyte ahead, which 3844 local files need not suffer.
    return tf.io.gfile.GFile(path, "rb") if "://" in path else open(path, "rb")


def _end(start, length_bytes):
    """Where the record ends that starts at byte `start` with these 8 bytes."""
    return start + HEADER_BYTES + struct.unpack("<Q", length_bytes)[0] + FOOTER_BYTES


def first_record(shard):
    """The first record of a file, as bytes. ValueError if it has none or it is damaged."""
    try:
        for record in tf.data.TFRecordDataset(shard.path, shard.compression).take(1):
            return record.numpy()
    except tf.errors.DataLossError as error:
        raise ValueError(f"{shard.path}: the first record is damaged or cut short: fetch the file again.") from error
    raise ValueError(f"{shard.path} holds no record: leave it out of the pattern.")


def record_starts(shard):
    """Yields the byte at which each record of an uncompressed file starts; reads no record.

    Raises:
        ValueError: after the last whole record, if the file ends within one.
    """
    start = 0
    with _open(shard.path) as file:
        while start < shard.size:
            file.seek(start)
            length_bytes = file.read(8)
            end = _end(start, length_bytes) if len(length_bytes) == 8 else shard.size + 1
            if end > shard.size:
                raise ValueError(f"{shard.path} is cut short or damaged at byte {start}: fetch the file again.")
            yield start
            start = end


def count_records(shards, at_most=None):
    """Counts the records of all files exactly: by their headers, or by reading where a file is compressed.

    Args:
        at_most: stop counting here; None counts all.
    Returns:
        int, no more than `at_most`.
    Raises:
        ValueError: if a file is cut short or damaged.
    """
    if at_most is None:
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(_count, shards))
    count = 0
    for shard in shards:
        count += _count(shard, at_most - count)
        if count >= at_most:
            break
    return count


def _count(shard, at_most=None):
    if not shard.compression:
        starts = record_starts(shard)
        return sum(1 for _ in zip(starts, range(at_most))) if at_most is not None else sum(1 for _ in starts)
    records = tf.data.TFRecordDataset(shard.path, shard.compression).take(-1 if at_most is None else at_most)
    try:
        return int(records.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1))
    except tf.errors.DataLossError as error:
        raise ValueError(f"{shard.path} is cut short or damaged: fetch the file again.") from error


def estimate_records(shards):
    """How many records there are: exact for a small set, else by the bytes a record takes in a few of the files.

    Returns:
        (int count, bool exact). Exact where all files together are below `EXACT_BELOW_BYTES`.
    Raises:
        ValueError: if a file that was looked at is cut short or damaged.
    """
    total = sum(shard.size for shard in shards)
    if total < EXACT_BELOW_BYTES or len(shards) <= SAMPLED_SHARDS:
        return count_records(shards), True
    sample = [shards[i * len(shards) // SAMPLED_SHARDS] for i in range(SAMPLED_SHARDS)]
    return round(count_records(sample) * total / sum(shard.size for shard in sample)), False


def digest(shard, *about):
    """Tells a file from others, wherever it lies: by its size and the 64 KiB at either end, and by texts given besides.

    Returns:
        str, 16 hexadecimal digits.
    """
    with _open(shard.path) as file:
        start = file.read(END_BYTES)
        file.seek(max(0, shard.size - END_BYTES))
        content = b"%d %s %s" % (shard.size, start, file.read(END_BYTES))
    return hashlib.sha256(" ".join(about).encode() + b" " + content).hexdigest()[:16]


@contextlib.contextmanager
def record_writer(path, compression=""):
    """A tf.io.TFRecordWriter whose failures, a full disk for one, are OSErrors."""
    try:
        with tf.io.TFRecordWriter(str(path), compression or None) as writer:
            yield writer
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError, tf.errors.FailedPreconditionError,
            tf.errors.NotFoundError, tf.errors.UnknownError) as error:
        raise OSError(f"{path} cannot be written: {error.message}") from error
