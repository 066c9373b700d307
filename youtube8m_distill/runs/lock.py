"""One training per folder: a lock that ends with the process that holds it, even if that is killed."""

import contextlib
import errno
import logging
import os
import pathlib
import socket
from collections.abc import Callable, Iterator

import filelock

from youtube8m_distill import files
from youtube8m_distill.errors import SettingError

LOCK_FILE = ".lock"
CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # file systems mounted without locks

log = logging.getLogger(__name__)


class FolderInUse(SettingError):
    """Another process holds a folder."""


@contextlib.contextmanager
def locked(folder: str | os.PathLike, flag: str = "train_dir") -> Iterator[Callable[[], None]]:
    """Holds a folder for this process alone inside the block. Processes that only read there need no lock.

    Meanwhile the file `.lock` in it names the holder. The lock itself is the kernel's (on NFS, the server's): a killed
    process leaves the file behind, but it blocks nobody.

    Args:
        folder: created if missing.
        flag: what messages call the folder.
    Yields:
        A function that raises OSError if the folder was removed meanwhile, and may belong to another process now.
    Raises:
        FolderInUse, OSError: if another process holds it, or it cannot be written.
    """
    path = pathlib.Path(folder) / LOCK_FILE
    holder = f"process {os.getpid()} on {socket.gethostname()}\n"

    def check_held():
        # By the content: over a network, inode numbers and times of files are not reliable.
        try:
            found = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise OSError(f"{folder} was removed while this process wrote there.") from None
        if found != holder:
            raise OSError(f"{folder} now belongs to another process ({found.strip()}): it was removed and recreated.")

    with files.saying_what_failed(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _acquire(path, flag)
        path.touch()  # where the file system has no locks
        own = path.stat()
    try:
        with files.saying_what_failed(path):
            path.write_text(holder, encoding="utf-8")
        yield check_held
    finally:
        with contextlib.suppress(OSError):
            if os.path.samestat(own, path.stat()):  # the folder may belong to another process now
                path.unlink()
        lock.release()


def _acquire(path, flag):
    lock = filelock.FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        holder = path.read_text(encoding="utf-8").strip() if path.exists() else ""
        reason = f"is in use: {holder or 'another process'} writes there. Wait until it ends, or name another folder."
        raise FolderInUse(flag, reason, path.parent) from None
    except OSError as error:
        if error.errno not in CANNOT_LOCK:
            raise
        why = f"is on a file system without locks ({error.strerror})"
        log.warning("%s %s: let no other process write there.", path.parent, why)
    return lock
