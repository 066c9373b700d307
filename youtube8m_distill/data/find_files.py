"""Finds the files that a pattern names, and looks into each before anything is built on them."""

import concurrent.futures
import contextlib
import dataclasses
import importlib
import os
import re
from collections.abc import Iterator, Sequence

import tensorflow as tf

from youtube8m_distill.data.tfrecord import (
    BARE,
    THREADS,
    BadFileError,
    Shard,
    count_readable,
    first_record,
    open_file,
    record_end,
)

GZIP_MAGIC = b"\x1f\x8b\x08"
SMALLEST_PACKED = 64  # bytes below which a compressed file may hold no record
LARGEST_BARE = 2**28  # bytes of such a file
EXAMPLE_SET = "yt8m synthesize --output_dir=yt8m_sample"


def find_files(pattern: str, allow_bad_files: bool = False) -> tuple[Shard, ...]:
    """Finds the TFRecord files that match a pattern and looks into each, so that bad ones are reported before training.

    Args:
        pattern: one or more globs, comma-separated, local or on any file system TensorFlow reads (`gs://` as it is,
            `s3://` and `hdfs://` with the `[io]` extra). Every glob must match; a file matched twice counts once.
        allow_bad_files: whether files that are empty or not TFRecord files are returned, with their `problem`.
    Returns:
        The files, sorted by path.
    Raises:
        FileNotFoundError: if a glob matches nothing.
        BadFileError: if a file is empty or not a TFRecord file.
        ValueError: if a path is a folder, or if its file system cannot be read.
    """
    with unreachable_files(pattern):
        paths = matching_paths(pattern)
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            shards = tuple(pool.map(_look_into, sorted(paths.values())))
        if not allow_bad_files:
            require_records(shards)
    return shards


def matching_paths(pattern: str) -> dict[str, str]:
    """The files that match a pattern, real path -> path as it was found. Errors as for `find_files`."""
    globs = [glob.strip() for glob in pattern.split(",") if glob.strip()]
    if not globs:
        raise FileNotFoundError(f"{pattern!r} names no file. Give globs, or write a small set with: {EXAMPLE_SET}")
    if os.path.isfile(pattern):  # its name may hold commas and brackets
        return {real_path(pattern): pattern}
    return {real_path(path): path for glob in globs for path in _matches(glob)}


@contextlib.contextmanager
def unreachable_files(what: str) -> Iterator[None]:
    """Turns TensorFlow's errors about files and object stores that cannot be read into OSErrors of one line.

    `what` names the files if the error does not. Errors about the contents of records pass.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError):
        raise
    except tf.errors.OpError as error:
        first = (error.message or type(error).__name__).strip().splitlines()[0]
        reason = re.sub(r"\{\{.*?\}\} *", "", first).partition(" [Op:")[0].lstrip(": ")  # without names of graph nodes
        kind = type(error).__name__.removesuffix("Error")
        advice = "Check that it still exists and that its server can be reached."
        raise OSError(f"{what} cannot be read ({kind}: {reason}). {advice}") from error


def is_unreachable(error: Exception) -> bool:
    """Whether an error is TensorFlow's about a file or an object store that cannot be read, not about memory or machines."""
    if not isinstance(error, tf.errors.OpError) or isinstance(error, tf.errors.ResourceExhaustedError):
        return False
    message = str(error)
    if isinstance(error, (tf.errors.NotFoundError, tf.errors.PermissionDeniedError)):
        return "OpKernel" not in message  # no operation for this device
    return bool(re.search(r"\b(gs|s3|hdfs)://|curl|HTTP response", message))


def require_records(shards: Sequence[Shard]) -> None:
    """Raises BadFileError if a file has a `problem`, or the first record cannot be read."""
    for shard in shards:
        if shard.problem:
            raise BadFileError(f"{shard.path} {shard.problem}: fetch it again, or leave it out of the pattern.")
    first_record(shards[0])


def real_path(path: str) -> str:
    """The one path of a file that has several spellings."""
    return path if "://" in path else os.path.realpath(path)


def _matches(glob):
    """Paths that one glob matches, at least one."""
    if glob.startswith(("s3://", "hdfs://")):
        with contextlib.suppress(ImportError):  # TensorFlow may have the reader itself
            importlib.import_module("tensorflow_io")  # importing it is what registers the file system
    glob = os.path.expanduser(glob)  # no shell expands the ~ in --train_data_pattern=~/yt8m/...
    try:
        paths = tf.io.gfile.glob(glob)
    except tf.errors.UnimplementedError as error:
        raise ValueError(
            f"{glob!r}: this TensorFlow ({tf.__version__}) has no reader for {glob.split('://')[0]}://. "
            "For s3:// and hdfs:// install one with: pip install 'youtube8m_distill[io]'"
        ) from error
    if not paths:
        if glob.startswith("s3://"):
            _require_answer("/".join([*glob.split("/")[:3], ""]))
        raise FileNotFoundError(
            f"{glob!r} matches no file (commas separate patterns). Quote it in your shell, or "
            f"write a small set with: {EXAMPLE_SET}"
        )
    return paths


def _require_answer(bucket):
    """Raises TensorFlow's error if the server of an S3 bucket does not answer, which looks like an empty bucket to glob."""
    with contextlib.suppress(tf.errors.NotFoundError):
        tf.io.gfile.stat(bucket)


def _look_into(path):
    """The Shard at `path`, with its problem if it is clear from its size and its first bytes."""
    status = tf.io.gfile.stat(path)
    if status.is_directory:
        raise ValueError(f"{path} is a folder; name the files in it, as in {path.rstrip('/')}/*.tfrecord")
    with open_file(path) as file:
        head = file.read(8)
    shard, problem = Shard(path, "GZIP" if head.startswith(GZIP_MAGIC) else "", status.length), ""
    if not shard.size:
        problem = "is empty (0 bytes)"
    elif shard.compression:
        if shard.size < SMALLEST_PACKED and count_readable(shard, at_most=1) == (0, 0, False):
            problem = "holds no record"
    elif record_end(0, head) > shard.size:
        if _is_bare(shard):
            return dataclasses.replace(shard, compression=BARE)
        problem = f"({shard.size} bytes) is not a TFRecord file, or it is cut short in its first record"
    return dataclasses.replace(shard, problem=problem)


def _is_bare(shard):
    """Whether a file is one serialized SequenceExample, as MediaPipe writes it."""
    if shard.size > LARGEST_BARE:
        return False
    with open_file(shard.path) as file:
        content = file.read()
    try:
        return bool(tf.train.SequenceExample.FromString(content).feature_lists.feature_list)
    except Exception:  # protobuf's own DecodeError, which TensorFlow does not export
        return False
