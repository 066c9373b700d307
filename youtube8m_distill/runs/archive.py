"""A trained network to share, as a folder or in one file: a run's configuration and one checkpoint's weights.

    config.json                     as in the run's folder
    README.md                       optional: the model card (`model_card`)
    vocabulary.csv                  optional: the names of the classes
    best/progress.json              how far the training had come
    best/<role>.weights.h5          of every network that the run trained

The folder is a run's folder, which every command takes as --train_dir. An archive, a .tgz, may come from strangers. Reading
one writes these files and nothing else, and runs no code from it.
"""

import filecmp
import gzip
import io
import os
import pathlib
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Mapping

from youtube8m_distill import config as configs
from youtube8m_distill import files, schema
from youtube8m_distill.engine.checkpoints import read_progress
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export import about, vocabulary
from youtube8m_distill.runs.run import CASCADE_FILE, CONFIG_FILE, Run, open_run

WEIGHTS = {role: f"best/{role}.weights.h5" for role in (schema.TEACHER, schema.STUDENT)}
PROGRESS = "best/progress.json"
README = "README.md"
OPTIONAL = (README, vocabulary.FILE)
# Most bytes per file, since a few MB of archive can expand to a thousand times as many zeros. The largest published
# network, MOD, has 4.2e9 bytes of weights.
LIMITS = {
    CONFIG_FILE: 2**20,
    README: 2**20,
    vocabulary.FILE: 2**22,
    PROGRESS: 2**16,
    **dict.fromkeys(WEIGHTS.values(), 2**33 - 1),
}

COPY_BYTES = 2**22  # at a time
GZIP_LEVEL = 1  # higher levels hardly make weights smaller
FOLDER_FILES = (CONFIG_FILE, CASCADE_FILE, about.FILE)  # users name them where the folder is meant
UNREADABLE = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error)


FindTexts = Callable[[Progress], Mapping[str, str]]


def no_texts(progress: Progress) -> Mapping[str, str]:
    """No further files."""
    return {}


def write_folder(run: Run, checkpoint: str | int, folder: str | os.PathLike, find_texts: FindTexts = no_texts) -> Progress:
    """Writes a run's configuration and one checkpoint to a folder, complete or not at all; returns its Progress.

    Args:
        folder: new or empty.
        find_texts: from the checkpoint's Progress to the contents of the files in OPTIONAL, by name.
    Raises:
        FileNotFoundError, ValueError: if there is no such checkpoint, or one of its files exceeds `LIMITS`.
    """

    def write(source):
        with files.atomic_path(folder) as temporary:
            for name, content in _contents(run, source, find_texts):
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                with content, open(temporary / name, "wb") as file:
                    shutil.copyfileobj(content, file, COPY_BYTES)

    return run.read_checkpoint(checkpoint, write)[1]


def pack(run: Run, checkpoint: str | int, path: str | os.PathLike, find_texts: FindTexts = no_texts) -> Progress:
    """Writes what `write_folder` writes to an archive instead.

    The same run and checkpoint give the same bytes: the archive holds neither times nor user names.
    """

    def write(source):
        with (
            files.atomic_path(path) as temporary,
            open(temporary, "wb") as file,
            gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0) as stream,
            tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for name, content in _contents(run, source, find_texts):
                with content:
                    _add(archive, name, content)

    return run.read_checkpoint(checkpoint, write)[1]


def _contents(run, folder, find_texts):
    """Yields the name of each file and its open content, from the checkpoint in a folder."""
    # The configuration that was loaded with the network, not the file, which a resumed training may have replaced.
    texts = {CONFIG_FILE: configs.to_json(run.config), **find_texts(read_progress(folder))}
    for name, text in texts.items():
        _check_size(name, len(text.encode()))
        yield name, io.BytesIO(text.encode())
    for name in _names(run.config)[1:]:
        source = folder / pathlib.Path(name).name
        _check_size(name, source.stat().st_size, source)
        yield name, open(source, "rb")


def _check_size(name, size, source=None):
    if size > LIMITS[name]:
        raise ValueError(f"{source or name} has {size:,} bytes; an archive takes at most {LIMITS[name]:,}.")


def _add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size = content.seek(0, io.SEEK_END)
    content.seek(0)
    archive.addfile(member, content)


def unpack(path: str | os.PathLike, folder: str | os.PathLike) -> Run:
    """Recreates the run that `pack` put into an archive, complete or not at all.

    Anything that `pack` does not write is refused: other names, links, devices, folders, duplicates, files beyond `LIMITS`,
    an invalid configuration, weights that the configuration does not ask for.

    Args:
        folder: of the run: missing, empty, or holding what this archive gave before, which is then kept.
    Raises:
        FileNotFoundError, ValueError: if there is no archive, or it is refused, or the folder holds something else.
    """
    path, folder = pathlib.Path(path), pathlib.Path(folder)
    files.check_output("untar_model_dir", folder, folder=True)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; name an archive that --output_model_tgz wrote.")
    if not folder.is_dir() or not any(folder.iterdir()):
        with files.atomic_path(folder) as temporary:
            _extract(path, temporary)
    else:
        # Next to it, where there is room; hidden, like the temporary folders of `files.atomic_path`.
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=files.SUFFIX, dir=folder.parent) as holder:
            names = _extract(path, pathlib.Path(holder) / "run")
            same, _, _ = filecmp.cmpfiles(folder, pathlib.Path(holder) / "run", names, shallow=False)
        if same != names:
            raise SettingError("untar_model_dir", f"does not hold the model in {path}; name a new folder.", folder)
    return open_run(folder)


def _names(config):
    """The files that every archive holds, in order."""
    return [CONFIG_FILE, PROGRESS, *(WEIGHTS[role] for role in config.trained_roles)]


def _extract(path, folder):
    """Creates `folder` from an archive and returns the names of its files; errors name the archive."""
    try:
        with gzip.open(path) as stream:
            _extract_members(stream, folder)
        found = [name for name in LIMITS if (folder / name).exists()]
        if CONFIG_FILE not in found:
            raise ValueError(f"it holds no {CONFIG_FILE}.")
        names = _names(configs.from_json((folder / CONFIG_FILE).read_text(encoding="utf-8")))
        if set(found) - set(OPTIONAL) != set(names):
            raise ValueError(f"its configuration needs {', '.join(names)}, but it holds {', '.join(found)}.")
        read_progress(folder / "best")
        return found
    except UNREADABLE as error:
        if path.name in FOLDER_FILES:
            raise ValueError(f"{path} is one file of a folder; name the folder, {path.parent}.") from error
        raise ValueError(f"{path} is damaged, or not a .tgz archive: {error}.") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a model that --output_model_tgz wrote: {error}") from error


class _Member(tarfile.TarInfo):
    """A header that is checked before `tarfile` does anything with it, such as reading an extended header into memory."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        member = super().frombuf(buf, encoding, errors)
        if member.name not in LIMITS:
            raise ValueError(f"it holds {member.name!r}, which no such archive does.")
        if member.type != tarfile.REGTYPE:
            raise ValueError(f"{member.name} in it is not a regular file.")
        if not 0 <= member.size <= LIMITS[member.name]:
            raise ValueError(f"{member.name} in it has {member.size:,} bytes; at most {LIMITS[member.name]:,} are accepted.")
        return member


def _extract_members(stream, folder):
    (folder / "best").mkdir(parents=True)
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
        for member in archive:
            if (folder / member.name).exists():
                raise ValueError(f"it holds {member.name} twice.")
            archive.extract(member, folder, set_attrs=False, filter="data")
    if stream.read(1):  # reading to the end also verifies the checksum
        raise ValueError("it continues after its end.")
