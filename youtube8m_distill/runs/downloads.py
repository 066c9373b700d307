"""Downloads archives of networks once, into the folder where Keras keeps what it downloads."""

import hashlib
import http.client
import os
import pathlib
import re
import urllib.error
import urllib.parse
import urllib.request

from youtube8m_distill import display, files
from youtube8m_distill.runs.archive import LIMITS

CHUNK = 2**20  # bytes
TIMEOUT = 60  # seconds without an answer
LARGEST = sum(LIMITS.values())
LONGEST_NAME = 200  # bytes of the last part of an address in the name of its file; file systems allow 255 in all
SHA256 = re.compile(r"sha256=([0-9a-f]{64})")


def is_url(path: str | os.PathLike) -> bool:
    """Whether a path is a URL of any kind."""
    return "://" in os.fspath(path)


def download(url: str) -> pathlib.Path:
    """The path of a downloaded file. A URL that was downloaded before is not asked for again.

    Args:
        url: http or https. It may end with the expected digest: `#sha256=...`, 64 digits, as in links for pip.
    Raises:
        OSError: if it cannot be downloaded.
        ValueError: if the URL is of another kind, or the digest differs; nothing is kept then.
    """
    try:
        address, fragment = urllib.parse.urldefrag(url)
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise ValueError(f"{url} cannot be downloaded: {error}.") from error
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{url} cannot be downloaded: only http:// and https:// can.")
    expected = SHA256.fullmatch(fragment)
    if fragment and not expected:
        raise ValueError(f"{url} cannot be downloaded: what follows # must be sha256= and 64 digits from 0 to f.")
    name = os.fsencode(pathlib.PurePosixPath(parts.path).name)[-LONGEST_NAME:].decode(errors="ignore") or "model.tgz"
    path = _cache() / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{name}"
    digest = expected and expected[1]
    if not path.is_file() or digest and _digest(path) != digest:
        _fetch(address, path, digest)
    return path


def _cache():
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return pathlib.Path(home).expanduser() / "youtube8m_distill"


def _fetch(address, path, expected):
    """Downloads a file, complete or not at all."""
    with files.atomic_path(path) as temporary:
        try:
            digest = _copy(address, temporary)
        except urllib.error.HTTPError as error:
            raise OSError(f"{address} cannot be downloaded: {error.code} {error.reason}.") from error
        except (OSError, http.client.HTTPException) as error:
            raise OSError(f"{address} cannot be downloaded: {getattr(error, 'reason', error)}.") from error
        if expected and digest != expected:
            raise ValueError(f"{address} has the SHA-256 {digest}, not the expected {expected}. It was not kept.")


def _copy(address, path):
    """Copies what an address answers to a file; returns the SHA-256."""
    digest, count = hashlib.sha256(), 0
    with urllib.request.urlopen(address, timeout=TIMEOUT) as response, open(path, "wb") as file:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        with display.ProgressBar(total, "download", "bytes") as bar:
            while chunk := response.read(CHUNK):
                count += len(chunk)
                if count > LARGEST:
                    raise OSError("it is larger than any archive of a network")
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
    if total is not None and count < total:
        raise OSError(f"the connection ended after {count:,} of {total:,} bytes")
    return digest.hexdigest()


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
