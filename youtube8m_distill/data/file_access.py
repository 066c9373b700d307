"""Decides how a path is opened: by the system, by TensorFlow (gs://, hdfs://), or by fsspec (s3:// and other schemes).

TensorFlow reads all records, so that their order and the check of their checksums are the same wherever they are. What it
cannot read itself is copied to a folder of this machine first (`copies`).
"""

import contextlib
import errno
import importlib
import importlib.util
import itertools
import logging
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from youtube8m_distill.data import copies
from youtube8m_distill.errors import UnreachableError

BUILT_IN = ("file", "gs", "ram")  # schemes of every TensorFlow
TENSORFLOW_IO = ("hdfs", "viewfs", "har")  # schemes for tensorflow-io; it reads s3, too, where s3fs is not installed
ADVICE = "Check that it still exists and that its server can be reached."
# What to check, by the kind of error.
HINTS = {
    "NoCredentialsError": "Set credentials as for AWS's own tools: environment variables, a profile, or a role.",
    "PermissionError": "Check the credentials, and what they may read.",
    "EndpointConnectionError": "Check AWS_ENDPOINT_URL, the address of an S3 server other than AWS, and the network.",
}
# What file systems call that which changes with a file, best first.
VERSIONS = (
    *("ETag", "etag", "md5Hash", "Content-MD5", "Digest"),
    *("LastModified", "last_modified", "Last-Modified", "mtime", "modify", "modificationTime", "updated", "created"),
)


class Found(NamedTuple):
    """What a file system says about a path."""

    size: int  # in bytes
    is_folder: bool
    version: str | None  # changes with the file; None if TensorFlow reads the file where it is


log = logging.getLogger(__name__)

_found: dict[str, Found] = {}  # of copied files
_without_version = itertools.count()  # files of which only the size is known; `next` is atomic, and threads call `stat`


def find(glob: str) -> list[str]:
    """The paths that match a glob, folders among them.

    Raises:
        ValueError: if nothing that is installed reads paths of this scheme.
        UnreachableError: if a server does not answer, has no such bucket, or denies access. Errors of TensorFlow pass.
    """
    glob = os.path.expanduser(glob)  # no shell expands the ~ in --train_data_pattern=~/yt8m/...
    bucket = "/".join(glob.split("/")[:3]) if glob.startswith("s3://") else None
    system = _file_system(glob)
    if system is None:
        paths = tf.io.gfile.glob(glob)
        if not paths and bucket:
            with contextlib.suppress(tf.errors.NotFoundError):  # no answer is another error, but only here
                tf.io.gfile.stat(f"{bucket}/")
        return paths
    with _reporting(glob):
        system.invalidate_cache()
        paths = [system.unstrip_protocol(path) for path in system.glob(glob)]
        if not paths and bucket and not system.exists(bucket):
            raise FileNotFoundError(f"there is no bucket {bucket}")
    return paths


def stat(path: str) -> Found:
    """What is known about a path now. FileNotFoundError if TensorFlow does not find it; other errors as for `find`."""
    system = _file_system(path)
    if system is None:
        status = tf.io.gfile.stat(path)
        return Found(status.length, status.is_directory, None)
    with _reporting(path):
        about = system.info(path)
        size, is_folder = about.get("size"), about["type"] == "directory"
        mark = next((about[name] for name in VERSIONS if about.get(name)), "")
    if size is None and not is_folder:
        reason = "its server does not state the size. Download the file, and give its local path"
        raise UnreachableError(path, f"{path} cannot be read: {reason}.")
    if not mark and not is_folder and next(_without_version) == 0:
        log.warning(
            "%s: its server states neither an ETag nor a time, so a new version of the same size is not noticed. If files "
            "change there, delete the copies in %s.",
            path,
            copies.folder(),
        )
    _found[path] = Found(int(size or 0), is_folder, f"{size} {mark}")
    return _found[path]


def version(path: str) -> str | None:
    """The `Found.version` of the last `stat` of this process, which therefore never mixes two versions of a file."""
    return _known(path).version if is_copied(path) else None


def _known(path):
    return _found.get(path) or stat(path)


def exists(path: str) -> bool:
    """Whether there is a file. Errors as for `find`."""
    system = _file_system(path)
    if system is None:
        return tf.io.gfile.exists(path)
    with _reporting(path):
        try:
            return system.exists(path)
        except PermissionError:  # S3's answer about a missing file to those who may not list the bucket
            return False


def read(path: str, start: int = 0, end: int | None = None) -> bytes:
    """Bytes `start` .. `end` - 1 of a file, without copying the others to this machine. Errors as for `open_file`."""
    system = _file_system(path)
    if system is not None and not is_here(path):
        with _reporting(path):
            content = system.cat_file(path, start=start, end=end)
            # Some web servers ignore the range.
            return content if end is None or len(content) <= end - start else content[start:end]
    with open_file(path) as file:
        file.seek(start)
        return file.read() if end is None else file.read(end - start)


def open_file(path: str) -> Any:
    """A file, or its copy, opened to read bytes. FileNotFoundError if it is gone; other errors as for `local_path`."""
    # GFile reads half a megabyte ahead, which is slow over 3844 local files.
    is_remote = "://" in path and not is_copied(path)
    try:
        return tf.io.gfile.GFile(path, "rb") if is_remote else open(local_path(path), "rb")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} no longer exists: it was deleted or moved after it was found.") from error


def is_copied(path: str) -> bool:
    """Whether TensorFlow reads a copy, since it cannot read the file where it is."""
    return _file_system(path) is not None


def is_here(path: str) -> bool:
    """Whether a file is on this machine, or a copy of it is."""
    if is_copied(path):
        return path in _found and copies.place(path, _found[path].version).exists()
    return "://" not in path


def local_path(path: str) -> str:
    """The path under which TensorFlow reads a file: its own, or that of a copy, which is made now if there is none.

    Raises:
        UnreachableError: if the file cannot be read.
        OSError: if the copy cannot be written.
    """
    system = _file_system(path)
    if system is None:
        return path
    known = _known(path)

    def download(place):
        with _reporting(path):
            system.get_file(path, str(place))
            if (size := os.path.getsize(place)) != known.size:
                raise EOFError(f"{size} of {known.size} bytes were received")

    return str(copies.fetch(copies.place(path, known.version), known.size, download))


def _file_system(path):
    """The file system of fsspec for a path; None if the system or TensorFlow reads it. ValueError if nothing does."""
    scheme = path.partition("://")[0] if "://" in path else ""
    if not scheme or scheme in BUILT_IN:
        return None
    package = "s3fs" if scheme == "s3" else "fsspec"
    if scheme not in TENSORFLOW_IO and importlib.util.find_spec(package):
        fsspec = importlib.import_module("fsspec")
        try:
            return fsspec.filesystem(scheme)  # one for each scheme, which fsspec keeps
        except (ImportError, ValueError) as error:  # of a package that it needs, or an unknown scheme
            raise ValueError(f"{path!r}: no reader for {scheme}:// ({error}).") from error
    with contextlib.suppress(ImportError):
        importlib.import_module("tensorflow_io")  # importing it is what registers its file systems
    if scheme in tf.io.gfile.get_registered_schemes():
        return None
    extra = "io" if scheme in TENSORFLOW_IO else "s3"
    raise ValueError(f"{path!r}: no reader for {scheme}:// is installed: pip install '.[{extra}]' in a checkout.")


@contextlib.contextmanager
def _reporting(path) -> Iterator[None]:
    """Turns errors of fsspec and of the many libraries under it into an UnreachableError about a path or glob."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):  # of this machine
            raise
        kind = type(error).__name__
        reason = (str(error).strip() or kind).splitlines()[0]
        raise UnreachableError(path, f"{path} cannot be read ({kind}: {reason}). {HINTS.get(kind, ADVICE)}") from error
