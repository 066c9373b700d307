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
    path = pathlib.Path(path)
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


def write_text(path, text):
    """Writes `text` as UTF-8 to `path`, complete or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
