"""A trained network in one file to share: a run's configuration and one checkpoint's weights as a .tgz.

    config.json                     as in the run's folder
    best/progress.json              how far the training had come
    best/<role>.weights.h5          of every network that the run trained

Archives may come from strangers. Reading one writes these files and nothing else, and runs no code from it.
"""

import filecmp
import gzip
import io
import os
import pathlib
import tarfile
import tempfile
import zlib

from youtube8m_distill import config as configs
from youtube8m_distill import files, schema
from youtube8m_distill.engine.checkpoints import read_progress
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs.run import CONFIG_FILE, Run, open_run

WEIGHTS = {role: f"best/{role}.weights.h5" for role in (schema.TEACHER, schema.STUDENT)}
PROGRESS = "best/progress.json"
# Most bytes per file, since a few MB of archive can expand to a thousand times as many zeros. The largest published
# network, MOD, has 4.2e9 bytes of weights.
LIMITS = {CONFIG_FILE: 2**20, PROGRESS: 2**16, **dict.fromkeys(WEIGHTS.values(), 2**33 - 1)}

GZIP_LEVEL = 1  # higher levels hardly make weights smaller
UNREADABLE = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error)


def pack(run: Run, checkpoint: str | int, path: str | os.PathLike) -> Progress:
    """Writes a run's configuration and one checkpoint to an archive, complete or not at all; returns its Progress.

    The same run and checkpoint give the same bytes: the archive holds neither times nor user names.

    Raises:
        FileNotFoundError, ValueError: if there is no such checkpoint, or one of its files exceeds `LIMITS`.
    """
    return run.read_checkpoint(checkpoint, lambda folder: _pack(run, folder, path))[1]


def _pack(run, folder, path):
    """`pack` of the checkpoint in a folder."""
    sources = {name: folder / pathlib.Path(name).name for name in _names(run.config)[1:]}
    for name, source in sources.items():
        size = source.stat().st_size
        if size > LIMITS[name]:
            raise ValueError(f"{source} has {size:,} bytes; an archive takes at most {LIMITS[name]:,}.")
    with (
        files.atomic_path(path) as temporary,
        open(temporary, "wb") as file,
        gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        # The configuration that was loaded with the network, not the file, which a resumed training may have replaced.
        _add(archive, CONFIG_FILE, io.BytesIO(configs.to_json(run.config).encode()))
        for name, source in sources.items():
            with open(source, "rb") as content:
                _add(archive, name, content)


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
    """The files of an archive, in order."""
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
        if set(found) != set(names):
            raise ValueError(f"its configuration needs {', '.join(names)}, but it holds {', '.join(found)}.")
        read_progress(folder / "best")
        return names
    except UNREADABLE as error:
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
