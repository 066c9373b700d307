"""Finds the files that a pattern names, and looks into each before anything is built on them."""

import concurrent.futures
import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator, Sequence

import tensorflow as tf

from youtube8m_distill.data import copy_ahead, file_access
from youtube8m_distill.data.stored_features import EXTRACT, IS_VIDEO, why_no_records
from youtube8m_distill.data.tfrecord import BARE, THREADS, BadFileError, Shard, count_readable, first_record, record_end
from youtube8m_distill.errors import UnreachableError

GZIP_MAGIC = b"\x1f\x8b\x08"
SMALLEST_PACKED = 64  # bytes below which a compressed file may hold no record
LARGEST_BARE = 2**28  # bytes of such a file
EXAMPLE_SET = "yt8m synthesize --output_dir=yt8m_sample"


def find_files(pattern: str, allow_bad_files: bool = False) -> tuple[Shard, ...]:
    """Finds the TFRecord files that match a pattern and looks into each, so that bad ones are reported before training.

    Args:
        pattern: one or more globs, comma-separated: local, `gs://`, `s3://` and others of fsspec with the `[s3]` extra, or
            `hdfs://` with the `[io]` extra. Every glob must match; a file matched twice counts once.
        allow_bad_files: whether files that are empty or not TFRecord files are returned, with their `problem`.
    Returns:
        The files, sorted by path.
    Raises:
        FileNotFoundError: if a glob matches nothing.
        BadFileError: if a file is empty or not a TFRecord file.
        ValueError: if a path is a folder, or if nothing that is installed reads paths like it.
        UnreachableError: if a server does not answer or denies access.
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
    """Turns TensorFlow's errors about files and object stores that cannot be read into UnreachableErrors of one line.

    `what` names the files if the error does not. Errors about the contents of records pass.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError):
        raise
    except tf.errors.OpError as error:
        if of_copy := copy_ahead.error_in(error.message):
            raise of_copy from None
        first = (error.message or type(error).__name__).strip().splitlines()[0]
        reason = re.sub(r"\{\{.*?\}\} *", "", first).partition(" [Op:")[0].lstrip(": ")  # without names of graph nodes
        kind = type(error).__name__.removesuffix("Error")
        raise UnreachableError(what, f"{what} cannot be read ({kind}: {reason}). {file_access.ADVICE}") from error


def is_unreachable(error: Exception) -> bool:
    """Whether an error is TensorFlow's about a file or an object store that cannot be read, not about memory or machines."""
    if not isinstance(error, tf.errors.OpError) or isinstance(error, tf.errors.ResourceExhaustedError):
        return False
    message = str(error)
    if copy_ahead.error_in(message):
        return True
    if isinstance(error, (tf.errors.NotFoundError, tf.errors.PermissionDeniedError)):
        return "OpKernel" not in message  # no operation for this device
    return bool(re.search(r"\b(gs|s3|hdfs)://|curl|HTTP response", message))


def require_records(shards: Sequence[Shard]) -> None:
    """Raises BadFileError if a file has a `problem`, or the first record cannot be read."""
    for shard in shards:
        if shard.problem:
            advice = EXTRACT if shard.problem == IS_VIDEO else "fetch it again, or leave it out of the pattern"
            raise BadFileError(f"{shard.path} {shard.problem}: {advice}.")
    first_record(shards[0])


def real_path(path: str) -> str:
    """The one path of a file that has several spellings."""
    return path if "://" in path else os.path.realpath(path)


def _matches(glob):
    """Paths that one glob matches, at least one."""
    paths = file_access.find(glob)
    if not paths:
        raise FileNotFoundError(
            f"{glob!r} matches no file (commas separate patterns). Quote it in your shell, or "
            f"write a small set with: {EXAMPLE_SET}"
        )
    return paths


def _look_into(path):
    """The Shard at `path`, with its problem if it is clear from its size and its first bytes."""
    found = file_access.stat(path)
    if found.is_folder:
        raise ValueError(f"{path} is a folder; name the files in it, as in {path.rstrip('/')}/*.tfrecord")
    head = file_access.read(path, 0, min(8, found.size))
    shard, problem = Shard(path, "GZIP" if head.startswith(GZIP_MAGIC) else "", found.size), ""
    if not shard.size:
        problem = "is empty (0 bytes)"
    elif shard.compression:
        if shard.size < SMALLEST_PACKED and count_readable(shard, at_most=1) == (0, 0, False):
            problem = "holds no record"
    elif record_end(0, head) > shard.size:
        if _is_bare(shard):
            return dataclasses.replace(shard, compression=BARE)
        problem = why_no_records(shard.path, shard.size)
    return dataclasses.replace(shard, problem=problem)


def _is_bare(shard):
    """Whether a file is one serialized SequenceExample, as MediaPipe writes it."""
    if shard.size > LARGEST_BARE:
        return False
    content = file_access.read(shard.path)
    try:
        return bool(tf.train.SequenceExample.FromString(content).feature_lists.feature_list)
    except Exception:  # protobuf's own DecodeError, which TensorFlow does not export
        return False
