"""Copies of files of object stores, in a folder that all processes of a user share. The least recently used make room.

YT8M_CACHE_DIR names the folder. It takes half of the free space of its disk, or YT8M_CACHE_GB, and more while the copies
of the last JUST_USED seconds are larger than that.
"""

import contextlib
import hashlib
import itertools
import logging
import math
import os
import pathlib
import shutil
import time
from collections.abc import Callable

import filelock

from youtube8m_distill import files

FOLDER, LIMIT = "YT8M_CACHE_DIR", "YT8M_CACHE_GB"  # environment variables
JUST_USED = 60  # seconds, of which a reader needs a few milliseconds to open a copy; once open, it may be removed
LOCK = ".lock"
RESERVED = ".reserved"  # ends the name of an empty file beside an unfinished copy; before it is the size it will have

log = logging.getLogger(__name__)

_excesses = itertools.count()  # times that the limit was exceeded; `next` is atomic, and threads call `fetch`


def folder() -> pathlib.Path:
    """Where the copies are."""
    default = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "youtube8m_distill")
    return pathlib.Path(os.environ.get(FOLDER) or default).expanduser()


def place(path: str, version: str | None) -> pathlib.Path:
    """Where the copy of a version of a file is, or would be."""
    return folder() / hashlib.sha256(f"{path} {version}".encode()).hexdigest()[:32]


def fetch(place: pathlib.Path, size: int, download: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """Makes a copy if there is none; `place` itself.

    Args:
        place: from the function `place`.
        size: of the file, in bytes.
        download: writes the file to a path.
    Raises:
        OSError: with place and reason, if it cannot be written, or there is no room. What `download` raises, too.
    """
    with files.saying_what_failed(place):
        if not _use(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            with _locked(place):
                if not _use(place):
                    with files.atomic_path(place) as temporary:
                        # Before room is made: of two programs that do so at once, one at least counts both copies.
                        temporary.with_name(f"{size}{RESERVED}").touch()
                        _make_room(place.parent, size)
                        download(temporary)
    return place


def _use(place):
    """Whether there is a copy, which is now the most recently used one."""
    try:
        os.utime(place)
    except FileNotFoundError:
        return False
    return True


@contextlib.contextmanager
def _locked(place):
    """Other threads and processes that want the same copy wait for the block. At worst, two of them make it."""
    path = place.with_suffix(LOCK)
    try:
        with filelock.FileLock(path):
            yield
    finally:
        path.unlink(missing_ok=True)


def _make_room(folder, size):
    """Removes what killed programs left, and copies until the unfinished ones fit, of which one will have `size` bytes."""
    files.remove_leftovers(folder)
    copies, reserved = [], 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process may be removing it
            if path.is_file() and path.suffix != LOCK:
                copies.append((path.stat().st_mtime, path.stat().st_size, path))
            elif path.suffix == files.SUFFIX:
                reserved += sum(int(inner.stem) for inner in path.glob(f"*{RESERVED}"))
    taken = sum(size for _, size, _ in copies)
    limit = _limit()
    if limit is None:
        limit = (shutil.disk_usage(folder).free + taken) / 2
    if size > limit:
        reason = f"a file of {size:,} bytes does not fit: copies may take {limit:,.0f} bytes"
        raise OSError(f"{folder}: {reason}. Set {FOLDER} to a folder on a larger disk, or {LIMIT}.")
    for used_at, own, path in sorted(copies):
        if taken + reserved <= limit or used_at > time.time() - JUST_USED:
            break
        path.unlink(missing_ok=True)
        taken -= own
    if taken + reserved > limit and next(_excesses) == 0:
        log.warning(
            "copies in %s take %.3g GB, more than the limit of %.3g GB (%s), because those used in the last %d seconds are "
            "kept. Raise the limit if the disk has room, or set %s to a folder on a larger disk.",
            *(folder, (taken + reserved) / 1e9, limit / 1e9, LIMIT, JUST_USED, FOLDER),
        )


def _limit():
    """Bytes that the user allows; None for the default."""
    text = os.environ.get(LIMIT)
    try:
        limit = float(text) if text else 0.0
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise OSError(f"{LIMIT}={text}: must be a finite number of gigabytes, 0 or more.")
    return limit * 1e9 if text else None
