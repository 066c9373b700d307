"""The folder of a job on Apache Beam: what its workers need, and what they write.

    job.json                            what the rows depend on (weights, settings, files), and how the files are read
    model.tgz                           the network (runs/archive.py); a cascade is read from its own folder
    predictions-00000-of-00010.csv      some of the rows, as a Kaggle CSV of its own
    bad_records-00000-of-00010.jsonl    the records that are missing in these rows, if there are any

The folder may be on any file system that Beam writes to. Under these names, every file is complete or absent; unfinished
ones end in PARTIAL. A job in the folder of an earlier one computes the parts that are missing.
"""

# Apache Beam is an extra.
# pyright: reportMissingImports=false

import concurrent.futures
import contextlib
import dataclasses
import io
import itertools
import json
import os
import pathlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from apache_beam.io.filesystems import FileSystems

from youtube8m_distill.config import Reading
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.tfrecord import THREADS, Shard
from youtube8m_distill.engine.process import set_up_tensorflow
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.errors import SettingError
from youtube8m_distill.manifest import differences
from youtube8m_distill.runs.archive import pack, unpack
from youtube8m_distill.runs.cascade import open_cascade
from youtube8m_distill.runs.evaluation import LoadedNetwork
from youtube8m_distill.runs.loaded_cascade import LoadedCascade
from youtube8m_distill.runs.lock import LOCK_FILE, locked
from youtube8m_distill.runs.predictions import file_entry
from youtube8m_distill.runs.record_batches import REST_IS_DAMAGED
from youtube8m_distill.runs.tagger import Tagger

FORMAT = 1  # of job.json; incremented when the same settings give other rows
JOB, MODEL = "job.json", "model.tgz"
PARTIAL = ".partial"  # ends the names of unfinished files
REMEDY = "name another folder, or remove this one"
# A part takes one or two seconds to start, and one of 2 GiB takes from half a minute on.
BYTES_A_PART, FEW_PARTS = 2**31, 16


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What a worker process holds in memory."""

    tagger: Tagger
    shards: tuple[Shard, ...]
    layout: Layout


@dataclasses.dataclass(frozen=True)
class Job:
    """What every worker is given. All else is in the folder."""

    output_dir: str
    num_parts: int
    batch_size: int

    def path(self, name: str) -> str:
        return FileSystems.join(self.output_dir, name)

    def predictions(self, part: int) -> str:
        """The path of the rows of a part."""
        return self.path(f"predictions-{part:05d}-of-{self.num_parts:05d}.csv")

    def bad_records(self, part: int) -> str:
        """The path of the records that these rows lack."""
        return self.path(f"bad_records-{part:05d}-of-{self.num_parts:05d}.jsonl")

    def missing_parts(self) -> list[int]:
        """The parts that have no rows yet."""
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            is_there = pool.map(lambda part: FileSystems.exists(self.predictions(part)), range(self.num_parts))
            return [part for part, found in enumerate(is_there) if not found]

    def count_bad_records(self) -> tuple[int, int]:
        """The entries of all lists of bad records, also of earlier calls, and the number of files that are damaged.

        The entry of a damaged file stands for its first unusable record and all that follow.
        """

        def read(part):
            path = self.bad_records(part)
            if not FileSystems.exists(path):
                return []
            with FileSystems.open(path) as file:
                return [json.loads(line) for line in file.read().splitlines()]

        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            entries = list(itertools.chain.from_iterable(pool.map(read, range(self.num_parts))))
        return len(entries), len({entry["file"] for entry in entries if entry["reason"] == REST_IS_DAMAGED})

    def load(self) -> Loaded:
        """The network or cascade and the list of files. ValueError if it is another one than the job was started with."""
        set_up_tensorflow()
        about = _read_json(self.path(JOB))
        reading, expected = Reading(**about["reading"]), about["made with"]
        options = {"reading": reading, "top_k": expected["top_k"], "for_metrics": False}
        if about["cascade_dir"]:
            tagger = LoadedCascade(open_cascade(about["cascade_dir"]), make_strategy(), **options)
        else:
            with tempfile.TemporaryDirectory() as folder, FileSystems.open(self.path(MODEL)) as file:
                archive = pathlib.Path(folder, MODEL)
                with open(archive, "wb") as local:
                    shutil.copyfileobj(file, local, 2**20)
                is_mixed, run = expected["mixed_precision"], unpack(archive, archive.with_name("model"))
                tagger = LoadedNetwork(run, make_strategy(), expected["network"], mixed_precision=is_mixed, **options)
        found = row_settings(tagger)
        differing = "; ".join(differences({name: expected.get(name) for name in found}, found))
        if differing:
            source = about["cascade_dir"] or self.path(MODEL)
            raise ValueError(f"{source} is not what the job was started with: {differing}.")
        keys, kinds, *others = about["layout"]
        return Loaded(tagger, tuple(map(_shard, about["files"])), Layout(tuple(keys), tuple(kinds), *others))


def row_settings(tagger: Tagger) -> dict[str, Any]:
    """What rows depend on, besides batches and kinds of processors."""
    settings = {name: value for name, value in tagger.row_settings().items() if name != "devices"}
    return json.loads(json.dumps(settings))


def good_num_parts(shards: Sequence[Shard]) -> int:
    """One part per file; of more than 16, fewer that are of 2 GiB of input or more."""
    return min(len(shards), max(FEW_PARTS, sum(shard.size for shard in shards) // BYTES_A_PART))


@contextlib.contextmanager
def held(output_dir: str) -> Iterator[None]:
    """Holds the folder of a job for this process inside the block, if it is on this machine.

    SettingError if another process writes there.
    """
    if "://" in output_dir:
        yield
    else:
        with locked(output_dir, "output_dir"):
            for unfinished in pathlib.Path(output_dir).glob(f"*{PARTIAL}"):  # by killed workers
                unfinished.unlink()
            yield


def prepare(
    output_dir: str, tagger: Tagger, shards: Sequence[Shard], checkpoint: str | int, batch_size: int, num_parts: int
) -> Job:
    """Writes what workers need to a new folder, or checks that the folder holds a job of the same settings and files.

    Args:
        output_dir: which this process holds (`held`).
        tagger: a LoadedNetwork or a LoadedCascade.
        checkpoint: from which the network was loaded.
    Raises:
        SettingError: if the folder holds something else, or a training has replaced the checkpoint.
    """
    job = Job(output_dir, num_parts, batch_size)
    about = {
        "made with": {"format": FORMAT, **row_settings(tagger), "batch_size": batch_size, "num_shards": num_parts},
        "files": [[*file_entry(shard), shard.compression] for shard in shards],
        "cascade_dir": os.path.abspath(tagger.cascade.folder) if isinstance(tagger, LoadedCascade) else "",
        "reading": tagger.reading.to_dict(),
        "layout": find_layout(shards, tagger.configs[0].features, tagger.reading),
    }
    if FileSystems.exists(job.path(JOB)):
        _check_same(job, about)
    else:
        _require_empty(output_dir)
        with create(job.path(JOB)) as file:
            file.write(json.dumps(about).encode())
    if isinstance(tagger, LoadedNetwork) and not FileSystems.exists(job.path(MODEL)):
        _write_model(job, tagger, checkpoint)
    return job


def _check_same(job, about):
    try:
        there = _read_json(job.path(JOB))
        differing = differences(there["made with"], about["made with"])
        files = [old for old, new in zip(there["files"], about["files"]) if json.loads(json.dumps(new)) != old]
        numbers = [len(found["files"]) for found in (there, about)]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        reason = f"its {JOB} cannot be read ({error}), so what it holds is unknown; {REMEDY}."
        raise SettingError("output_dir", reason, job.output_dir) from error
    if differing:
        reason = (
            f"holds predictions with other settings: {'; '.join(differing)}. Give the same settings to resume, {REMEDY}."
        )
        raise SettingError("output_dir", reason, job.output_dir)
    if files or numbers[0] != numbers[1]:
        what = f"{files[0][0]} has changed, was moved, or" if files else f"{numbers[0]} file(s)"
        which = "is in another place" if files else f"instead of {numbers[1]}"
        reason = f"holds predictions of other files: {what} {which}. Give the same files to resume, {REMEDY}."
        raise SettingError("output_dir", reason, job.output_dir)


def _require_empty(output_dir):
    if "://" in output_dir:
        (found,) = FileSystems.match([FileSystems.join(output_dir, "*")], [1])
        names = [metadata.path for metadata in found.metadata_list]
    else:
        names = sorted(name for name in os.listdir(output_dir) if name != LOCK_FILE)
    if names:
        reason = f"is not empty and holds no {JOB} (first entry: {names[0]}). Name a new or empty folder."
        raise SettingError("output_dir", reason, output_dir)


def _write_model(job, network, checkpoint):
    with tempfile.TemporaryDirectory() as folder:
        packed = pack(network.run, checkpoint, pathlib.Path(folder, MODEL))
        if packed != network.progress:
            reason = "was replaced by a training while it was read; run the command again, or name a step."
            raise SettingError("checkpoint", reason, checkpoint)
        with open(pathlib.Path(folder, MODEL), "rb") as local, create(job.path(MODEL)) as file:
            shutil.copyfileobj(local, file, 2**20)


def _shard(entry):
    path, size, _, excluded, readable, compression = entry
    return Shard(path, compression, size, tuple(excluded), readable)


def _read_json(path):
    with FileSystems.open(path) as file:
        return json.loads(file.read())


@contextlib.contextmanager
def create(path: str) -> Iterator[BinaryIO]:
    """A file to write bytes to, on any file system of Beam. It appears at `path` when it is complete.

    Several workers may write the same contents: the last one replaces the others.
    """
    temporary = f"{path}.{uuid.uuid4().hex}{PARTIAL}"
    try:
        with FileSystems.create(temporary) as file:
            yield file
            file.flush()
            with contextlib.suppress(io.UnsupportedOperation, AttributeError):  # of an object store
                os.fsync(file.fileno())
        FileSystems.rename([temporary], [path])
    except BaseException:
        with contextlib.suppress(Exception):
            FileSystems.delete([temporary])
        raise
