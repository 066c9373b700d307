"""One training a folder: a lock that goes with the process that holds it, however that ends."""

import contextlib
import errno
import fcntl
import os
import pathlib
import socket

from youtube8m_distill import files
from youtube8m_distill.errors import SettingError

LOCK_FILE = ".lock"
CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # file systems mounted without locks


class FolderInUse(SettingError):
    """Another process holds a folder."""


@contextlib.contextmanager
def locked(folder, say=print, flag="train_dir"):
    """Holds a folder for this process alone inside the block. Who only reads there need not ask.

    Meanwhile the file `.lock` in it names the holder. The lock itself is the kernel's (on NFS, the server's): a killed
    process leaves the file behind, and holds nothing.

    Yields a function without arguments that raises OSError where the file names this process no longer: the folder was
    removed since, and may be another's by now.

    Args:
        folder: path, created where it is not there.
        say: where a line goes if the file system has no locks.
        flag: what the folder is called in messages.
    Raises:
        FolderInUse: if another process holds it.
        OSError: with path and reason, if the folder cannot be written to.
    """
    folder = pathlib.Path(folder)
    with files.saying_what_failed(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = _lock(folder, say, flag)
    holder = f"process {os.getpid()} on {socket.gethostname()}\n"
    with file:
        try:
            with files.saying_what_failed(folder / LOCK_FILE):
                file.truncate(0)
                file.write(holder)
                file.flush()
            yield lambda: _check_held(folder, holder, flag)
        finally:
            with contextlib.suppress(OSError):
                if _is_at(folder / LOCK_FILE, file):  # the folder may be another's by now
                    (folder / LOCK_FILE).unlink(missing_ok=True)


def _check_held(folder, holder, flag):
    # By what it says: over a network, numbers and times of files are no sure sign.
    try:
        found = (folder / LOCK_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OSError(f"{folder} was removed while this process wrote there.") from None
    if found != holder:
        raise OSError(
            f"{folder} now belongs to another process ({found.strip()}): it was removed and recreated while this "
            "one wrote there."
        )


def _is_at(path, file):
    """Whether an open file is the one that stands at `path`."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(folder, say, flag):
    """The lock file of a folder, open and locked."""
    path = folder / LOCK_FILE
    while True:
        file = open(path, "a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise FolderInUse(
                flag, f"is in use: {holder} writes there. Wait until it ends, or name another folder.", folder
            ) from None
        except OSError as error:
            if error.errno not in CANNOT_LOCK:
                file.close()
                raise
            say(
                f"{folder} is on a file system without locks ({error.strerror}): see to it that no other process writes "
                "there."
            )
            return file
        if _is_at(path, file):
            return file
        file.close()  # the holder before has removed it since it was opened here
