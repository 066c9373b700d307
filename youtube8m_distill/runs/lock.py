"""One training a folder: a lock that goes with the process that holds it, however that ends."""

import contextlib
import errno
import fcntl
import os
import pathlib
import socket

LOCK_FILE = ".lock"
CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)      # file systems mounted without locks


@contextlib.contextmanager
def locked(folder, say=print):
    """Holds a folder for this process alone inside the block. Who only reads there need not ask.

    Meanwhile the file `.lock` in it names the holder. The lock itself is the kernel's (on NFS, the server's): a killed
    process leaves the file behind, and holds nothing.

    Args:
        folder: path, created where it is not there.
        say: where a line goes if the file system has no locks.
    Raises:
        ValueError: if another process holds it.
        OSError: if the folder cannot be written to.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder, say) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            (folder / LOCK_FILE).unlink(missing_ok=True)


def _lock(folder, say):
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
            raise ValueError(f"train_dir={folder} is in use: {holder} trains there. Let it end, or name another "
                             "folder.") from None
        except OSError as error:
            if error.errno not in CANNOT_LOCK:
                file.close()
                raise
            say(f"{folder} is on a file system without locks ({error.strerror}): see to it that no other training uses it.")
            return file
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()            # the holder before has removed it since it was opened here
