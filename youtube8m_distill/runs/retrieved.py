"""The CSV of retrieved segments, and the snapshots from which an interrupted retrieval resumes.

Next to the CSV `<path>`, until the end:

    <path>.progress/
        about.json          what the ranking depends on, and the files
        videos.bin          a `VIDEO` for each video so far
        ranking-<n>/        a snapshot of the SegmentRanking
        committed.json      which snapshot holds, and after how many videos
"""

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from youtube8m_distill import files, schema
from youtube8m_distill.data.ids import hash_ids
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.errors import BadRecordError, SettingError
from youtube8m_distill.export.segments import ClassSegments, write_segments
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.runs.lock import LOCK_FILE, locked
from youtube8m_distill.runs.predictions import file_entry
from youtube8m_distill.runs.retrieval import CANDIDATE, RANKER, Retrieval, SegmentRetriever
from youtube8m_distill.runs.segment_ranking import SegmentRanking
from youtube8m_distill.runs.tagger import Done
from youtube8m_distill.settings import require

FORMAT = 1  # of the folder of partial results
ABOUT, VIDEOS, COMMITTED, SNAPSHOT = "about.json", "videos.bin", "committed.json", "ranking-"
VIDEO = np.dtype([("hash", "<u8"), ("record", "<u8"), ("shard", "<u4"), ("notes", "<f4", len(schema.NOTES))])
SNAPSHOT_SECONDS, SNAPSHOT_SHARE = 60.0, 0.05  # at most so often, and at most this share of the time

log = logging.getLogger(__name__)


def retrieve_to_csv(
    path: str | os.PathLike, retriever: SegmentRetriever, shards: Sequence[Shard], batch_size: int | None = None
) -> tuple[int, NoteCounter]:
    """Writes the best segments of each class in some files as a CSV; returns their number, and the notes of the videos.

    If it is interrupted or killed, the next call with the same arguments resumes after the last snapshot, at most a minute
    of work (or, with a large ranking, 20 times as long as a snapshot takes) before. The result is that of a single call.

    Args:
        path: of the CSV; compressed if the name ends with `.gz`. Until the end, `<path>.progress` next to it holds
            snapshots.
    Raises:
        SettingError, ValueError: if another process writes there, if the partial results there have other weights, settings
            or files, or as for `LoadedNetwork.predict`.
        OSError: if something cannot be written.
    """
    batch_size = batch_size or retriever.batch_size
    output = pathlib.Path(path).resolve()
    folder, classes = output.with_name(output.name + ".progress"), retriever.retrieval.classes
    try:
        with locked(folder, "output_file"):
            files.remove_leftovers(output.parent, folder.name)  # from a process killed while it removed such a folder
            made_with = _settings(retriever, batch_size)
            with contextlib.closing(_Partial(folder, made_with, shards, retriever.retrieval)) as partial:
                try:
                    for batch in retriever.predict(shards, batch_size, partial.done()):
                        partial.add(batch, retriever.retrieval.segment_frames)
                except BaseException:
                    partial.leave()
                    raise
                notes = NoteCounter(retriever.max_video_frames)
                notes.add(partial.videos()["notes"])
                ranked = ((c, partial.ranking.ranked(place)) for place, c in enumerate(classes))
                rows = (ClassSegments(c, found.video_ids, found.starts) for c, found in ranked)
                count = write_segments(output, rows, classes)
            files.remove_folder(folder)
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # if it is empty
    return count, notes


def _settings(retriever, batch_size):
    """What the result depends on besides the videos, as JSON values."""
    networks = {RANKER: retriever.ranker, CANDIDATE: retriever.candidate}
    return {
        "format": FORMAT,
        **{name: network and network.config.to_dict() for name, network in networks.items()},
        "weights": retriever.fingerprint(),
        **retriever.ranker.reading.to_dict(),
        **{name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(retriever.retrieval).items()},
        "batch_size": batch_size,
    }


class _Partial:
    """The ranking so far and the videos that it is of, in a folder that this process has locked."""

    def __init__(self, folder: pathlib.Path, settings: dict[str, Any], shards: Sequence[Shard], retrieval: Retrieval):
        self.folder, self._saved_at, self._save_seconds = folder, time.monotonic(), 0.0
        self._shards, self._is_consistent = shards, True
        files.remove_leftovers(folder)
        entries = [file_entry(shard) for shard in shards]
        committed = _read_json(folder / COMMITTED)
        self.count = self._number = 0
        if committed is None:
            self._refuse_others()
            self.ranking = SegmentRanking(len(retrieval.classes), retrieval.max_per_class)
        else:
            about, self.count, self._number = _read_json(folder / ABOUT), committed["videos"], committed["snapshot"]
            what, remedy = "partial results", "name another --output_file, or remove that folder"
            Manifest(folder / ABOUT, settings, flag="output_file", section="made with", what=what, remedy=remedy).check()
            reason = f"has other files than the partial results in {folder}. Give the same ones to resume, {remedy}."
            videos = np.fromfile(folder / VIDEOS, VIDEO, self.count)
            is_same = about is not None and len(videos) and _are_same(about["files"], entries, videos[-1])
            require(is_same, "input_data_pattern", reason)
            self.ranking = SegmentRanking.load(folder / f"{SNAPSHOT}{self._number}")
            log.info("Resuming after %s videos; what they gave is in %s.", f"{self.count:,}", folder)
        files.write_text(folder / ABOUT, json.dumps({"made with": settings, "files": entries}), make_parent=False)
        self._file = open(folder / VIDEOS, "ab")  # noqa: SIM115
        self._file.truncate(self.count * VIDEO.itemsize)

    def _refuse_others(self):
        foreign = sorted({path.name for path in self.folder.iterdir()} - {LOCK_FILE, ABOUT, VIDEOS})
        if any(not name.startswith(SNAPSHOT) for name in foreign):
            reason = f"holds {foreign[0]!r}, which is not part of partial results. Move it, or name another --output_file."
            raise SettingError("output_file", reason, self.folder)

    def done(self) -> Done:
        """How far the videos so far go."""
        videos = self.videos()
        if not len(videos):
            return Done()
        done = Done(len(videos), int(videos["shard"][-1]), int(videos["record"][-1]) + 1)
        done.seen.add(videos["hash"], videos["shard"], videos["record"])
        return done

    def videos(self) -> np.ndarray:
        """The `VIDEO` array of all videos so far."""
        self._file.flush()
        return np.fromfile(self.folder / VIDEOS, VIDEO)

    def add(self, batch: dict[str, np.ndarray], segment_frames: int) -> None:
        """Adds a batch of a SegmentRetriever."""
        self._check_ids(batch)
        places, values = batch["classes"], batch["values"]  # [B, S, K]
        self._is_consistent = False
        videos, segments, _ = found = np.nonzero(places >= 0)
        starts = segments * segment_frames
        self.ranking.add(batch[schema.VIDEO_ID].tolist(), videos, starts, places[found], values[found])
        added = np.zeros(len(places), VIDEO)
        added["hash"], added["shard"] = hash_ids(batch[schema.VIDEO_ID]), batch[schema.SHARD]
        added["record"], added["notes"] = batch[schema.RECORD], batch[schema.NOTED]
        self._file.write(added.tobytes())
        self.count += len(added)
        self._is_consistent = True
        if time.monotonic() - self._saved_at >= max(SNAPSHOT_SECONDS, self._save_seconds / SNAPSHOT_SHARE):
            self.save()

    def save(self) -> None:
        """Writes a snapshot after which the next call can resume; then removes the one before."""
        started, before = time.monotonic(), self._number
        self._is_consistent = False
        self._file.flush()
        os.fsync(self._file.fileno())
        self._number += 1
        self.ranking.save(self.folder / f"{SNAPSHOT}{self._number}")
        committed = {"videos": self.count, "snapshot": self._number}
        files.write_text(self.folder / COMMITTED, json.dumps(committed), make_parent=False)
        if before:
            files.remove_folder(self.folder / f"{SNAPSHOT}{before}")
        self._is_consistent = True
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def leave(self) -> None:
        """Keeps what the next call can resume after, and logs it.

        A signal may arrive in the middle of `add` or `save`. Then the last complete snapshot is what remains.
        """
        with contextlib.suppress(OSError):
            if self._is_consistent and self.count:
                self.save()
            committed = _read_json(self.folder / COMMITTED)
            if committed is None:
                files.remove_folder(self.folder)
            else:
                count = f"{committed['videos']:,}"
                log.info("Saved the results of %s videos in %s. Run the same command to resume.", count, self.folder)

    def _check_ids(self, batch):
        """Refuses ids that a list of segments cannot hold, before anything of the batch is added."""
        for row, video_id in enumerate(batch[schema.VIDEO_ID]):
            if len(video_id.split()) != 1:
                where = f"file {self._shards[batch[schema.SHARD][row]].path}, record {batch[schema.RECORD][row]}"
                raise BadRecordError(f"{where}: the video id {video_id!r} contains whitespace, as no list of segments can")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the disk may be full
            self._file.close()


def _are_same(before, now, last):
    """Whether two lists of `file_entry` agree on everything up to the last video that was read, a `VIDEO`."""
    for index, (old, new) in enumerate(zip(before, now)):
        if index == last["shard"]:
            old, new = ([*e[:3], [n for n in e[3] if n <= last["record"]]] for e in (old, new))
            return old == new
        if old != new:
            return False
    return False


def _read_json(path):
    """The contents of a file; None if there is none. SettingError if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        reason = f"is damaged ({path.name}: {error}). Remove this folder to start over."
        raise SettingError("output_file", reason, path.parent) from error
