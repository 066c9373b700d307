"""Writing files and folders that are complete or absent. Nothing of ours is imported here."""

import contextlib
import os
import pathlib
import shutil
import tempfile


@contextlib.contextmanager
def atomic_path(path):
    """Yields a temporary path beside `path`; what was written there takes the name `path` when the block ends well.

    Works for files and for folders (make the folder at the yielded path). On an error the temporary is removed and
    what stood at `path` before is untouched. A folder that already stands at `path` is replaced.

    Args:
        path: where the finished file or folder goes. Its parent folder is created.
    Raises:
        OSError: if the parent cannot be created or written to.
    """
    path = pathlib.Path(path).resolve()     # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        temporary = holder / path.name
        yield temporary
        if temporary.is_dir() and path.is_dir():
            os.replace(path, holder / "replaced")
        os.replace(temporary, path)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def check_output(name, path, folder=False):
    """Refuses a path that `atomic_path` should not write to, before any work is done for it.

    Args:
        name: of the flag or argument, for the message.
        path: str.
        folder: whether a folder is to be written, not a file.
    Raises:
        ValueError: if the path is remote, or something else stands there.
    """
    if "://" in str(path):
        raise ValueError(f"{name}={path} is not on this machine; write to a local path and copy it from there.")
    path = pathlib.Path(path)
    if path.exists() and not (path.is_dir() if folder else path.is_file()):
        raise ValueError(f"{name}={path} exists and is not a {'folder' if folder else 'regular file'}; name another.")


def write_text(path, text):
    """Writes `text` as UTF-8 to `path`, complete or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove_leftovers(folder):
    """Removes what writers killed in the middle of `atomic_path` left in a folder. No writer may be at work there."""
    for path in pathlib.Path(folder).glob(".*.partial"):
        shutil.rmtree(path, ignore_errors=True)


def remove_folder(path):
    """Removes a folder so that a kill in the middle leaves nothing that looks like it."""
    path = pathlib.Path(path)
    hidden = path.with_name(f".{path.name}.removed.partial")
    os.replace(path, hidden)
    shutil.rmtree(hidden)
