"""Writes the predictions of a network or a cascade for many files as a CSV; an interrupted command resumes where it stopped.

Finished rows are kept in a folder next to the CSV until all are done.

    predictions.csv.progress/
        about.json          what the rows depend on: weights, settings, files
        rows.csv            the rows so far, uncompressed
        videos.bin          for each row, the video's hash, place, notes and stage, and where the row ends (`VIDEO`)
        committed.json      how many rows are certainly on disk
        .lock               the process that writes there (runs/lock.py)

Batches start at multiples of the batch size, counted over all videos, and prediction resumes only at such a multiple. Each
batch then holds the same videos as without an interruption: the last bits of a row of a matrix product may depend on the
other rows, and the file is to be identical to the byte.
"""

import contextlib
import json
import logging
import os
import pathlib
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from youtube8m_distill import files, schema
from youtube8m_distill.data import file_access
from youtube8m_distill.data.ids import hash_ids
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export.kaggle import HEADER, compress, csv_lines
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.runs.lock import LOCK_FILE, locked
from youtube8m_distill.runs.tagger import Done, Tagger
from youtube8m_distill.settings import require

FORMAT = 3  # incremented when the same settings give other rows
ABOUT, ROWS, VIDEOS, COMMITTED = "about.json", "rows.csv", "videos.bin", "committed.json"
COMMIT_SECONDS = 5.0  # the most work that is lost, plus one batch; a commit takes some milliseconds
VIDEO = np.dtype(
    [
        ("hash", "<u8"),
        ("record", "<u8"),
        ("end", "<u8"),
        ("shard", "<u4"),
        ("notes", "<f4", len(schema.NOTES)),
        ("stage", "u1"),  # of a cascade: which of its networks answered
    ]
)

log = logging.getLogger(__name__)


class Written(NamedTuple):
    """What a finished CSV of predictions is of, over all calls that it took."""

    notes: NoteCounter  # of all videos, with their number
    stages: list[int]  # videos that each network of a cascade answered; all of them for a single network


def predict_to_csv(
    path: str | os.PathLike, tagger: Tagger, shards: Sequence[Shard], batch_size: int | None = None
) -> Written:
    """Writes the predictions for all videos in some files as a Kaggle CSV; returns their number and notes.

    If it is interrupted or killed, the next call with the same arguments resumes, and the result is that of a single call.
    An old file at `path` stays until the end. Files that have not been reached yet may change in between, and more may be
    added.

    Args:
        path: of the CSV; compressed if the name ends with `.gz`. Its folder is created. Until the end, `<path>.progress`
            next to it takes the size of the uncompressed CSV plus 49 bytes per video.
    Raises:
        ValueError: if another process writes there, if the partial predictions there have other weights, settings or files,
            or as for `Tagger.predict`.
        OSError: if something cannot be written. Rows written before are kept.
    """
    batch_size = batch_size or tagger.batch_size
    output = pathlib.Path(path).resolve()  # a link stays a link
    folder = output.with_name(output.name + ".progress")
    try:
        with locked(folder, "output_file"):
            files.remove_leftovers(output.parent, folder.name)  # from a process killed while it removed such a folder
            settings = {"format": FORMAT, **tagger.row_settings(), "batch_size": batch_size}
            kept = _keep(folder, settings, shards, batch_size)
            with contextlib.closing(_Rows(folder, kept)) as rows:
                try:
                    for batch in tagger.predict(shards, batch_size, done=_done(kept)):
                        rows.append(batch)
                    rows.commit()
                    _move(folder, output)
                except BaseException as error:
                    rows.leave(error)
                    raise
            videos, notes = np.fromfile(folder / VIDEOS, VIDEO), NoteCounter(tagger.configs[0].max_video_frames)
            notes.add(videos["notes"])
            stages = np.bincount(videos["stage"], minlength=len(tagger.configs)).tolist()
            files.remove_folder(folder)
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # if it is empty
    return Written(notes, stages)


def file_entry(shard: Shard) -> list:
    """What rows depend on in a file, as JSON values: with a time of writing, in nanoseconds, or a version, if it has one."""
    path = shard.path if "://" in shard.path else os.path.abspath(shard.path)
    written_at = os.stat(path).st_mtime_ns if os.path.exists(path) else file_access.version(path)
    return [path, shard.size, written_at, list(shard.excluded), shard.readable]


def _keep(folder, settings, shards, batch_size):
    """Writes what the next rows depend on, and returns the rows to keep: whole batches before the first changed file."""
    files.remove_leftovers(folder)
    entries = [file_entry(shard) for shard in shards]
    before, kept = _read(folder)
    if len(kept):
        count = len(kept)
        what, remedy = "partial predictions", "name another --output_file, or remove that folder"
        Manifest(folder / ABOUT, settings, flag="output_file", section="made with", what=what, remedy=remedy).check()
        reason = f"starts with {entries[0][0]}, and the {what} in {folder} with {before[0][0]}. "
        require(before[0][0] == entries[0][0], "input_data_pattern", f"{reason}Give the same files to resume, {remedy}.")
        same = [old == new for old, new in zip(before, entries)]
        first_changed = same.index(False) if False in same else len(same)
        kept = kept[kept["shard"] < first_changed]
        if len(kept) < count:
            again = f"{count - len(kept):,} of the {count:,} videos in {folder}"
            log.info("%s are in a file that has changed, or after it, and are predicted again.", again)
        kept = kept[: len(kept) // batch_size * batch_size]
    if len(kept):
        place = f"in file {kept['shard'][-1] + 1:,} of {len(shards):,}"
        log.info("Resuming after %s videos, %s; they are in %s.", f"{len(kept):,}", place, folder)
    # First drop rows, then write the settings: after a kill in between, the old settings are still true.
    _write(folder / COMMITTED, {"videos": len(kept)})
    _write(folder / ABOUT, {"made with": settings, "files": entries})
    return kept


def _write(path, value):
    files.write_text(path, json.dumps(value), make_parent=False)


def _read(folder):
    """The files that the rows in a folder depend on, and the `VIDEO` array of those rows that are certainly on disk."""
    found = {path.name for path in folder.iterdir() if not path.name.endswith(files.SUFFIX)}
    foreign = sorted(found - {LOCK_FILE, ABOUT, ROWS, VIDEOS, COMMITTED})
    if foreign:
        reason = f"holds {foreign[0]!r}, which is not part of partial predictions. Move it, or name another --output_file."
        raise SettingError("output_file", reason, folder)
    if not {ABOUT, ROWS} <= found:
        return [], np.zeros(0, VIDEO)
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if about["made with"]["format"] != FORMAT:
            reason = "holds partial predictions of another version. Remove this folder, or name another --output_file."
            raise SettingError("output_file", reason, folder)
        count = json.loads((folder / COMMITTED).read_text(encoding="utf-8"))["videos"]
        videos = np.fromfile(folder / VIDEOS, VIDEO, count) if count else np.zeros(0, VIDEO)
        if len(videos) != count or count and videos["end"][-1] > (folder / ROWS).stat().st_size:
            raise ValueError(f"some of its {count} videos are missing")
        if not isinstance(about["made with"], dict) or not isinstance(about["files"][0][0], str):
            raise ValueError(f"{ABOUT} does not describe them")
    except SettingError:
        raise
    except (ValueError, TypeError, LookupError, FileNotFoundError) as error:
        raise SettingError("output_file", f"is damaged ({error}). Remove this folder to start over.", folder) from error
    return about["files"], videos


def _done(kept):
    """The Done of some rows."""
    if not len(kept):
        return Done()
    done = Done(len(kept), int(kept["shard"][-1]), int(kept["record"][-1]) + 1)
    done.seen.add(kept["hash"], kept["shard"], kept["record"])
    return done


class _Rows:
    """The rows so far, in a folder that this process has locked. Starts with `kept`, a `VIDEO` array."""

    def __init__(self, folder, kept):
        self._folder = folder
        self._count = self._committed = len(kept)
        self._end = int(kept["end"][-1]) if len(kept) else 0
        self._committed_at = time.monotonic()
        self._rows, self._videos = _open_at(folder / ROWS, self._end), _open_at(folder / VIDEOS, kept.nbytes)
        if not len(kept):
            self._end += self._rows.write(HEADER)

    def append(self, batch):
        """Adds a batch of a Predictor."""
        lines = csv_lines(batch[schema.VIDEO_ID], batch["classes"], batch["scores"])
        videos = np.zeros(len(lines), VIDEO)
        videos["hash"], videos["shard"] = hash_ids(batch[schema.VIDEO_ID]), batch[schema.SHARD]
        videos["record"] = batch[schema.RECORD]
        videos["end"] = self._end + np.cumsum([len(line) for line in lines])
        videos["notes"], videos["stage"] = batch[schema.NOTED], batch.get(schema.STAGE, 0)
        self._rows.write(b"".join(lines))
        self._videos.write(videos.tobytes())
        self._end = int(videos["end"][-1])
        self._count += len(videos)
        if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            self.commit()

    def commit(self):
        """Returns when all rows are certainly on disk."""
        for file in (self._rows, self._videos):
            file.flush()
            os.fsync(file.fileno())
        _write(self._folder / COMMITTED, {"videos": self._count})
        self._committed, self._committed_at = self._count, time.monotonic()

    def leave(self, error):
        """Keeps the rows that the next call can resume after, and logs it."""
        with contextlib.suppress(OSError):
            if not isinstance(error, OSError):  # after one, it is unknown what has been written
                self.commit()
        with contextlib.suppress(OSError):
            if not self._committed:
                files.remove_folder(self._folder)
        if self._committed:
            kept = f"{self._committed:,} predictions are kept in {self._folder}"
            log.info("%s; the same command resumes after them.", kept)

    def close(self):
        for file in (self._rows, self._videos):
            with contextlib.suppress(OSError):  # the disk may be full
                file.close()


def _open_at(path, size):
    """A file to append to after its first `size` bytes. Links are not followed."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")
    file.truncate(size)
    file.seek(size)
    return file


def _move(folder, output):
    """Turns the finished rows into the CSV at `output`, in one step."""
    if output.name.endswith(".gz"):
        with files.atomic_path(output) as temporary:
            compress(folder / ROWS, temporary)
    else:
        os.replace(folder / ROWS, output)
