"""A trained network in one file, to give away: a run's configuration and one checkpoint's weights as a .tgz.

    config.json                     as in the run's folder
    best/progress.json              how far its training had come
    best/<role>.weights.h5          of every network that the run has trained

Archives may come from anyone. Reading one makes these files and nothing else, under these names and not under those that
the archive gives, and runs no code from it.
"""

import filecmp
import gzip
import io
import pathlib
import tarfile
import tempfile
import zlib

from youtube8m_distill import config as configs
from youtube8m_distill import files, schema
from youtube8m_distill.checks import require
from youtube8m_distill.engine.checkpoints import read_progress
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs.run import CONFIG_FILE, open_run

WEIGHTS = {role: f"best/{role}.weights.h5" for role in (schema.TEACHER, schema.STUDENT)}
PROGRESS = "best/progress.json"
# Bytes that a file may have, since a few MB of archive can hold a thousand times as much of zeros. The largest published
# network, MOD, has 4.2e9 of weights.
LIMITS = {CONFIG_FILE: 2**20, PROGRESS: 2**16, **dict.fromkeys(WEIGHTS.values(), 2**33 - 1)}

GZIP_LEVEL = 1  # weights hardly get smaller, whatever is spent on them
UNREADABLE = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error)


def pack(run, checkpoint, path):
    """Writes a run's configuration and one checkpoint to an archive, complete or not at all.

    The same run and checkpoint give the same bytes: neither times nor users are in it.

    Args:
        run: runs.Run.
        checkpoint: "best", "last" or a step.
        path: where the archive goes.
    Returns:
        Progress at which the weights were saved.
    Raises:
        FileNotFoundError, ValueError: if there is no such checkpoint, or a file of it is larger than `unpack` takes.
    """
    return run.read_checkpoint(checkpoint, lambda folder: _pack(run, folder, path))[1]


def _pack(run, folder, path):
    """`pack` of the checkpoint in a folder."""
    sources = {name: folder / pathlib.Path(name).name for name in _names(run.config)[1:]}
    for name, source in sources.items():
        size = source.stat().st_size
        require(size <= LIMITS[name], f"{source} has {size:,} bytes, and {LIMITS[name]:,} is the most an archive takes.")
    with (
        files.atomic_path(path) as temporary,
        open(temporary, "wb") as file,
        gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        _add(archive, CONFIG_FILE, io.BytesIO(configs.to_json(run.config).encode()))
        for name, source in sources.items():
            with open(source, "rb") as content:
                _add(archive, name, content)


def unpack(path, folder):
    """Makes the run that `pack` put into an archive, complete or not at all.

    Refused is what is not exactly such an archive: other names, absolute ones and ones with `..` among them, links, devices,
    folders, a name twice, a file larger than `LIMITS` says, a configuration that is none, weights that it does not ask for.

    Args:
        path: the archive.
        folder: where the run goes: not there yet, empty, or holding what this archive gave before, which then stays.
    Returns:
        runs.Run in `folder`.
    Raises:
        FileNotFoundError: if there is no archive.
        ValueError: if it is refused, or the folder holds something else. Nothing has been written then.
    """
    path, folder = pathlib.Path(path), pathlib.Path(folder)
    files.check_output("untar_model_dir", folder, folder=True)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; it should be an archive that --output_model_tgz wrote.")
    if not folder.is_dir() or not any(folder.iterdir()):
        with files.atomic_path(folder) as temporary:
            _extract(path, temporary)
    else:
        # Beside it, where there is room for it; hidden, as what `files.atomic_path` writes.
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent) as holder:
            run = _extract(path, pathlib.Path(holder) / "run")
            same, _, _ = filecmp.cmpfiles(folder, pathlib.Path(holder) / "run", _names(run), shallow=False)
        if len(same) != len(_names(run)):
            raise SettingError(
                "untar_model_dir", f"holds something other than the model in {path}; name a new folder.", folder
            )
    return open_run(folder)


def _names(config):
    """The files of an archive, in their order."""
    return [CONFIG_FILE, PROGRESS, *(WEIGHTS[role] for role in config.trained_roles)]


def _add(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size = content.seek(0, io.SEEK_END)
    content.seek(0)
    archive.addfile(member, content)


def _extract(path, folder):
    """Makes `folder` from an archive and returns its RunConfig; says of every error that it is the archive's."""
    try:
        with gzip.open(path) as stream:
            _write_members(stream, folder)
        found = [name for name in LIMITS if (folder / name).exists()]
        require(CONFIG_FILE in found, f"it holds no {CONFIG_FILE}.")
        config = configs.from_json((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        require(
            set(found) == set(_names(config)),
            f"its configuration asks for {', '.join(_names(config))}, and it holds {', '.join(found)}.",
        )
        read_progress(folder / "best")
        return config
    except UNREADABLE as error:
        raise ValueError(f"{path} is damaged or no .tgz archive: {error}.") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a model that --output_model_tgz wrote: {error}") from error


def _write_members(stream, folder):
    (folder / "best").mkdir(parents=True)
    # Header by header, as `tarfile` would read extended ones into memory whatever their size.
    while (block := stream.read(tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        require(member.name in LIMITS, f"it holds {member.name!r}, which no such archive does.")
        require(member.type == tarfile.REGTYPE, f"{member.name} in it is no regular file.")
        require(
            0 <= member.size <= LIMITS[member.name],
            f"{member.name} in it would have {member.size:,} bytes, and {LIMITS[member.name]:,} is the most that is taken.",
        )
        require(not (folder / member.name).exists(), f"it holds {member.name} twice.")
        _copy(stream, folder / member.name, member.size)
        stream.read(-member.size % tarfile.BLOCKSIZE)
    # To the end, as only there gzip compares its checksum.
    rest = stream.read(tarfile.RECORDSIZE + 1)
    require(len(rest) <= tarfile.RECORDSIZE and not any(rest), "something follows after its end.")


def _copy(stream, path, size):
    with open(path, "xb") as file:
        while size:
            part = stream.read(min(size, 2**20))
            if not part:
                raise EOFError("it ends within a file")
            file.write(part)
            size -= len(part)
