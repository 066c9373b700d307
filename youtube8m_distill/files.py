"""Writing files and folders that are complete or absent."""

import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import shutil
import tempfile
import time

from youtube8m_distill.errors import SettingError

SUFFIX = ".partial"  # of the hidden folders in which things are written, and of nothing else
REPLACED = "replaced"  # in such a folder: the folder that stood at the path before
LONGEST_WRITE = 24 * 3600  # seconds; what has not changed for longer is nobody's, where locks cannot tell
GONE = (errno.ENOENT, errno.ESTALE)
CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # folders on some network file systems
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux: fcntl.h, renameat2(2)


@contextlib.contextmanager
def atomic_path(path, make_parent=True):
    """Yields a temporary path beside `path`; what was written there takes the name `path` when the block ends well.

    Works for files and for folders (make the folder at the yielded path). On an error the temporary is removed and
    what stood at `path` before is untouched. A folder that already stands at `path` is replaced, and there is no moment
    without one, where the file system can exchange two names. It is on the disk before it takes its name, so that a
    power cut leaves the old or the new.

    What a killed writer left of this path is removed first.

    Args:
        path: where the finished file or folder goes.
        make_parent: whether its parent folder is created. For one of several things that belong together, say False:
            where their folder is removed meanwhile, the rest must not stand there alone.
    Raises:
        OSError: with the path and the reason, if anything of this fails.
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
            _sync_folder(path.parent)


@contextlib.contextmanager
def saying_what_failed(path, doing="written"):
    """Makes the system's errors about `path` inside the block name it and the reason, in one line.

    Args:
        path: what the block writes, a file or a folder.
        doing: past participle, for the message.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or not _is_about(error, path):  # has been said already, or of a file that is read
            raise
        gone = f" (is {pathlib.Path(path).parent} still there?)" if error.errno in GONE else ""
        raise OSError(f"{path} cannot be {doing}: {os.strerror(error.errno)}{gone}.") from error


def _is_about(error, path):
    """Whether an OSError is about what is, or is to come, beside `path`, below it or above it; a full disk names no file."""
    parent, at_fault = str(pathlib.Path(path).parent), str(error.filename)
    return error.filename is None or at_fault.startswith(parent) or parent.startswith(at_fault)


def system_error(message):
    """The OSError that TensorFlow's message about a file is about: "path; No space left on device"."""
    reason = message.partition("\n")[0].partition(" [Op:")[0].rpartition("; ")[2]
    number = next((number for number in errno.errorcode if os.strerror(number) == reason), None)
    return OSError(message) if number is None else OSError(number, reason)


@contextlib.contextmanager
def _holder(path):
    """A hidden folder beside `path` that is locked while its writer lives, and removed in the end."""
    while True:
        holder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent))
        descriptor = os.open(holder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # no locks here: `remove_leftovers` goes by the age
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        if holder.exists():  # or taken for a leftover, before it was locked
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
    """Waits until a file, or a folder with all that is in it, is on the disk."""
    if not path.is_dir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        return
    for inner in path.iterdir():
        _sync(inner)
    _sync_folder(path)


def _sync_folder(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def _put_in_place(temporary, path, replaced):
    """Gives a finished file or folder its name; a folder that has the name goes to `replaced`, or where the new one was."""
    if not (temporary.is_dir() and path.is_dir()):
        os.replace(temporary, path)
    elif not _exchange(temporary, path):
        os.replace(path, replaced)  # killed here, `remove_leftovers` ends it
        os.replace(temporary, path)


def _exchange(one, other):
    """Exchanges two names at once; False where this is not possible."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def remove_leftovers(folder, name=None):
    """Removes what writers killed in the middle of `atomic_path` left in a folder; never what one is still at.

    Args:
        folder: path; need not be there.
        name: of the file or folder that they were writing; None for any.
    """
    start = "." if name is None else f".{name}."
    for path in sorted(pathlib.Path(folder).glob(".*" + SUFFIX)):
        rest = path.name.removeprefix(start).removesuffix(SUFFIX)
        if path.name.startswith(start) and (name is None or "." not in rest) and path.is_dir():
            _remove_if_abandoned(path)


def _remove_if_abandoned(holder):
    with contextlib.suppress(FileNotFoundError):  # another may be removing it, too
        descriptor = os.open(holder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is gone
            abandoned = True
        except BlockingIOError:
            abandoned = False
        except OSError:  # no locks here
            youngest = max(path.stat().st_mtime for path in (holder, *holder.rglob("*")))
            abandoned = time.time() - youngest > LONGEST_WRITE
        try:
            if abandoned:
                _finish_replacement(holder)
                shutil.rmtree(holder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _finish_replacement(holder):
    """Puts a finished folder where the one before has been taken away for it."""
    for finished in holder.iterdir():
        path = holder.parent / finished.name
        if (holder / REPLACED).exists() and finished.name != REPLACED and not path.exists():
            os.replace(finished, path)


def check_output(name, path, folder=False):
    """Refuses a path that `atomic_path` could not write to, before any work is done for it.

    It is tried out: a byte is written where the output will go, or where its folder will be made, and removed.

    Args:
        name: of the flag or argument, for the message.
        path: str.
        folder: whether a folder is to be written, not a file.
    Raises:
        ValueError: if the path is remote, something else stands there, or nothing can be written there.
    """
    check_place(name, path, folder)
    place = _standing(path if folder else pathlib.Path(path).resolve().parent)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        raise SettingError(name, f"cannot be written: {os.strerror(error.errno)} ({place}).", path) from error


def check_place(name, path, folder=False):
    """The part of `check_output` that holds for what is only read, too: a local path where nothing else stands."""
    if "://" in str(path):
        raise SettingError(name, "is not on this machine; write to a local path and copy it from there.", path)
    path = pathlib.Path(path)
    if path.exists() and not (path.is_dir() if folder else path.is_file()):
        raise SettingError(name, f"exists and is not a {'folder' if folder else 'regular file'}; name another.", path)


def free_bytes(path):
    """Bytes that are free where `path` is, or is to be made. int."""
    return shutil.disk_usage(_standing(path)).free


def _standing(path):
    """`path`, or the nearest folder above it that there is."""
    path = pathlib.Path(path).resolve()
    return next(place for place in (path, *path.parents) if place.exists())


def write_text(path, text):
    """Writes `text` as UTF-8 to `path`, complete or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_folder(path):
    """Removes a folder so that a kill in the middle leaves nothing that looks like it.

    What cannot be removed at once, as where a reader on another machine holds a file open, is left to
    `remove_leftovers`.
    """
    path = pathlib.Path(path)
    with saying_what_failed(path, "removed"), _holder(path) as holder:
        os.replace(path, holder / "removed")
