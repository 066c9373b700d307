"""Writes files and folders that are either complete or absent."""

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from youtube8m_distill.errors import SettingError

SUFFIX = ".partial"  # of the hidden folders for unfinished output, and of nothing else
REPLACED = "replaced"  # in such a folder: the old folder that was at the path
LONGEST_WRITE = 24 * 3600  # seconds; where locks do not work, an unfinished output that has not changed for longer is stale
GONE = (errno.ENOENT, errno.ESTALE)
CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # folders on some network file systems


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike, make_parent: bool = True) -> Iterator[pathlib.Path]:
    """Yields a temporary path next to `path`; what is written there becomes `path` when the block succeeds.

    Works for files and for folders (create the folder at the yielded path). On an error, the temporary is removed and the
    old content of `path` stays. The new content is on disk before it takes its name, so a power failure leaves the old or
    the new. A file is replaced in one step. A folder is replaced in two, so readers must retry if it is missing; if the
    process is killed in between, `remove_leftovers` finishes the replacement. What a killed writer left is removed first.

    Args:
        make_parent: create the parent folder of `path`. Say False for a part of a larger output: if that was removed
            meanwhile, it must not reappear with this part alone.
    Raises:
        OSError: with the path and the reason, if anything fails.
    """
    path = pathlib.Path(path).resolve()  # a link stays a link
    with saying_what_failed(path):
        if make_parent:
            path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, path.name)
        with _holder(path) as holder:
            temporary = holder / path.name
            yield temporary
            _sync(temporary)
            _put_in_place(temporary, path, holder / REPLACED)
            _sync_entry(path.parent)


@contextlib.contextmanager
def saying_what_failed(path: str | os.PathLike, doing: str = "written") -> Iterator[None]:
    """Rewrites OSErrors about `path`, which the block writes, to name it and the reason, in one line."""
    try:
        yield
    except OSError as error:
        parent, at_fault = str(pathlib.Path(path).parent), str(error.filename)
        # Next to the path, below it or above it; a full disk names no file.
        is_about_path = error.filename is None or at_fault.startswith(parent) or parent.startswith(at_fault)
        if error.errno is None or not is_about_path:  # rewritten already, or about a file that is read
            raise
        gone = f" (is {parent} still there?)" if error.errno in GONE else ""
        raise OSError(f"{path} cannot be {doing}: {os.strerror(error.errno)}{gone}.") from error


def system_error(message: str) -> OSError:
    """The OSError behind TensorFlow's message about a file: "path; No space left on device"."""
    reason = message.partition("\n")[0].partition(" [Op:")[0].rpartition("; ")[2]
    number = next((number for number in errno.errorcode if os.strerror(number) == reason), None)
    return OSError(message) if number is None else OSError(number, reason)


@contextlib.contextmanager
def _holder(path):
    """A hidden folder next to `path` that is locked while its writer lives, and removed at the end."""
    while True:
        holder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent))
        descriptor = os.open(holder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # without locks, `remove_leftovers` goes by age
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        if holder.exists():  # or another process took it for a leftover before it was locked
            break
        os.close(descriptor)
    try:
        yield holder
    finally:
        with contextlib.suppress(OSError):
            _finish_replacement(holder)
        shutil.rmtree(holder, ignore_errors=True)
        os.close(descriptor)


def _sync(path):
    """Waits until a file, or a folder with its contents, is on disk."""
    for inner in path.iterdir() if path.is_dir() else ():
        _sync(inner)
    _sync_entry(path)


def _sync_entry(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def _put_in_place(temporary, path, replaced):
    """Gives finished output its name; moves an old folder of that name to `replaced` first."""
    if temporary.is_dir() and path.is_dir():
        os.replace(path, replaced)
    os.replace(temporary, path)


def _finish_replacement(holder):
    """Puts a finished folder in place if its writer has moved the old one away but was killed then."""
    for finished in holder.iterdir():
        path = holder.parent / finished.name
        if (holder / REPLACED).exists() and finished.name != REPLACED and not path.exists():
            os.replace(finished, path)


def remove_leftovers(folder: str | os.PathLike, name: str | None = None) -> None:
    """Removes what killed writers in `atomic_path` left in a folder, of output `name` or any; not what live ones write."""
    for path in sorted(pathlib.Path(folder).glob(".*" + SUFFIX)):
        if name in (None, path.name[1:].rsplit(".", 2)[0]) and path.is_dir():  # .NAME.RANDOM.partial
            _remove_if_abandoned(path)


def _remove_if_abandoned(holder):
    with contextlib.suppress(FileNotFoundError):  # another process may be removing it, too
        descriptor = os.open(holder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until it is removed
            abandoned = True
        except BlockingIOError:
            abandoned = False
        except OSError:  # the file system has no locks
            youngest = max(path.stat().st_mtime for path in (holder, *holder.rglob("*")))
            abandoned = time.time() - youngest > LONGEST_WRITE
        try:
            if abandoned:
                _finish_replacement(holder)
                shutil.rmtree(holder, ignore_errors=True)
        finally:
            os.close(descriptor)


def check_output(name: str, path: str | os.PathLike, folder: bool = False) -> None:
    """Refuses a path that `atomic_path` could not write, before any work is done.

    It is tried: a byte is written where the output will go, or where its folder will be created, and removed.

    Raises:
        SettingError: with `name`, if the path is remote, something else is there, or nothing can be written there.
    """
    check_place(name, path, folder)
    place = _nearest(path if folder else pathlib.Path(path).resolve().parent)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        raise SettingError(name, f"cannot be written: {os.strerror(error.errno or 0)} ({place}).", path) from error


def check_new_folder(name: str, path: str | os.PathLike) -> None:
    """`check_output` of a folder that must be new or empty. Raises SettingError."""
    check_output(name, path, folder=True)
    if os.path.isdir(path) and os.listdir(path):
        raise SettingError(name, "is in use; name a new folder.", path)


def check_place(name: str, path: str | os.PathLike, folder: bool = False) -> None:
    """The part of `check_output` that also applies to what is only read: a local path with nothing else there."""
    if "://" in str(path):
        raise SettingError(name, "is not on this machine; write to a local path and copy the result.", path)
    path = pathlib.Path(path)
    if path.exists() and not (path.is_dir() if folder else path.is_file()):
        raise SettingError(name, f"exists and is not a {'folder' if folder else 'regular file'}; name another.", path)


def _nearest(path):
    """`path`, or the nearest folder above it that exists."""
    path = pathlib.Path(path).resolve()
    return next(place for place in (path, *path.parents) if place.exists())


def write_text(path: str | os.PathLike, text: str, make_parent: bool = True) -> None:
    """Writes `text` as UTF-8 to `path`, complete or not at all."""
    with atomic_path(path, make_parent) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_folder(path: str | os.PathLike) -> None:
    """Removes a folder so that a kill in the middle leaves nothing under its name.

    What a reader on another machine holds open, and so cannot be removed at once, is left to `remove_leftovers`.
    """
    path = pathlib.Path(path)
    with saying_what_failed(path, "removed"), _holder(path) as holder:
        os.replace(path, holder / "removed")
