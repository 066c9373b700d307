"""Retrieves segments of videos by class, in three phases on one reading of the files (MOD 2019, section 3.1).

1. A video-level network names the candidates: the most probable classes of the whole video.
2. The segment network gives each segment of the video a probability of each candidate.
3. The value of a segment for a class is P_vid^a * P_seg^b, with a = 0.05 and b = 0.95 in the paper (equation 1).

Without a video-level network, the candidates are the most probable classes of each segment, and the value is P_seg.
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
import tensorflow as tf

from youtube8m_distill import files, schema
from youtube8m_distill.config import FrameView
from youtube8m_distill.data import frame_selection
from youtube8m_distill.data.ids import hash_ids
from youtube8m_distill.data.notes import NoteCounter
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.tfrecord import Shard
from youtube8m_distill.engine.predictor import Predictor
from youtube8m_distill.errors import BadRecordError, SettingError
from youtube8m_distill.export.segments import ClassSegments, write_segments
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.runs.evaluation import Done, LoadedNetwork, good_batch_size
from youtube8m_distill.runs.lock import LOCK_FILE, locked
from youtube8m_distill.runs.predictions import file_entry
from youtube8m_distill.runs.segment_ranking import SegmentRanking
from youtube8m_distill.settings import require

FORMAT = 1  # of the folder of partial results
ABOUT, VIDEOS, COMMITTED, SNAPSHOT = "about.json", "videos.bin", "committed.json", "ranking-"
VIDEO = np.dtype([("hash", "<u8"), ("record", "<u8"), ("shard", "<u4"), ("notes", "<f4", len(schema.NOTES))])
SNAPSHOT_SECONDS, SNAPSHOT_SHARE = 60.0, 0.05  # at most so often, and at most this share of the time
RANKER, CANDIDATE = "ranker", "candidate"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """What to retrieve.

    Args:
        classes: the class list; other classes of the networks are ignored.
        num_candidates: classes of each video (or, without a video-level network, of each segment) that are considered.
        exponents: a and b of the value P_vid^a * P_seg^b.
        segment_frames: frames of a segment; the last one of a video may be shorter.
        max_per_class: segments of each class to keep.
    """

    classes: tuple[int, ...]
    num_candidates: int = schema.TOP_K
    exponents: tuple[float, float] = (0.05, 0.95)
    segment_frames: int = 5
    max_per_class: int = schema.TOP_N


class _Phases:
    """A callable in place of a network: from the frames of videos to the values of their segments.

    Gives `classes` int32 [B, S, K], places in the class list, -1 where there is no segment; `values` float32 [B, S, K]; and
    `finite` bool [B], whether all predictions about the video are.
    """

    def __init__(self, ranker, candidate, retrieval):
        self.ranker, self.candidate, self.retrieval = ranker, candidate, retrieval

    def __call__(self, inputs, training=False):
        wanted, length = self.retrieval, self.retrieval.segment_frames
        frames, num_frames = inputs[RANKER][schema.FRAMES], inputs[RANKER][schema.NUM_FRAMES]
        rows = tf.shape(frames)[0]
        num_segments = -(-tf.shape(frames)[1] // length)  # S
        frames = tf.pad(frames, [[0, 0], [0, num_segments * length - tf.shape(frames)[1]], [0, 0]])
        frames = tf.reshape(frames, [rows * num_segments, length, frames.shape[2]])  # [B * S, length, D]
        starts = tf.range(num_segments) * length
        lengths = tf.reshape(tf.clip_by_value(num_frames[:, None] - starts, 0, length), [-1])  # [B * S]
        real = tf.where(lengths > 0)[:, 0]  # [R]
        scores = self._score(tf.gather(frames, real), tf.gather(lengths, real))  # [R, L]
        finite = [tf.reduce_sum(scores, axis=1)]
        if self.candidate is None:
            values, places = tf.math.top_k(scores, min(wanted.num_candidates, len(wanted.classes)))  # [R, K]
        else:
            of_video = self.candidate.network(inputs[CANDIDATE], training=False)["predictions"]
            of_video = tf.gather(of_video, wanted.classes, axis=1)  # [B, L]
            likely, candidates = tf.math.top_k(of_video, min(wanted.num_candidates, len(wanted.classes)))
            videos = real // tf.cast(num_segments, tf.int64)
            places, likely = tf.gather(candidates, videos), tf.gather(likely, videos)  # [R, K]
            first, second = wanted.exponents
            values = likely**first * tf.gather(scores, places, batch_dims=1) ** second
            finite.append(tf.gather(tf.reduce_sum(of_video, axis=1), videos))
        shape = [tf.cast(rows * num_segments, tf.int64)]
        is_bad = tf.scatter_nd(real[:, None], tf.cast(~tf.math.is_finite(tf.add_n(finite)), tf.int32), shape)

        def by_video(of_segments, padding):
            found = tf.tensor_scatter_nd_update(
                tf.fill([rows * num_segments, of_segments.shape[1]], padding), real[:, None], of_segments
            )
            return tf.reshape(found, [rows, num_segments, of_segments.shape[1]])

        return {
            "classes": by_video(places, -1),
            "values": by_video(values, 0.0),
            "finite": tf.reduce_sum(tf.reshape(is_bad, [rows, num_segments]), axis=1) < 1,
        }

    def _score(self, frames, lengths):
        """The segment network's predictions of the listed classes. [R, length, D], int32 [R] -> float32 [R, L]."""
        view = self.ranker.config.view
        no_seed = tf.zeros([tf.shape(lengths)[0], 2], tf.int64)
        count = min(view.max_frames, self.retrieval.segment_frames)
        indices = frame_selection.select(view, lengths, no_seed)[:, :count]  # [R, count]
        seen = {
            schema.FRAMES: tf.where(
                indices[:, :, None] >= 0, tf.gather(frames, tf.maximum(indices, 0), batch_dims=1), tf.zeros([], frames.dtype)
            ),
            schema.NUM_FRAMES: tf.math.count_nonzero(indices >= 0, axis=1, dtype=tf.int32),
            schema.FRAME_INDICES: indices,
        }
        predictions = self.ranker.network(seen, training=False)["predictions"]
        return tf.gather(predictions, self.retrieval.classes, axis=1)


class _Outputs:
    """An output function of a Predictor: what `_Phases` gives."""

    reads_labels = False

    def __call__(self, outputs, labels):
        return outputs


class SegmentRetriever(LoadedNetwork):
    """A segment network and, if there is one, the video-level network that names its candidates.

    Args:
        ranker: LoadedNetwork that scores segments.
        candidate: LoadedNetwork that sees whole videos; None for the first phase to be left out.
        strategy: under which both were built.
    Raises:
        SettingError: naming the flag, if a network cannot be used so.
    """

    def __init__(
        self, ranker: LoadedNetwork, candidate: LoadedNetwork | None, strategy: tf.distribute.Strategy, retrieval: Retrieval
    ):
        vars(self).update(vars(ranker))
        _check(ranker, candidate)
        networks = [network for network in (ranker, candidate) if network is not None]
        self.max_video_frames = max(schema.MAX_FRAMES, *(network.config.max_video_frames for network in networks))
        self.batch_size = good_batch_size(self.max_video_frames) * strategy.num_replicas_in_sync
        self.ranker, self.candidate, self.retrieval = ranker, candidate, retrieval
        self.predictor = Predictor(_Phases(ranker, candidate, retrieval), RANKER, strategy, _Outputs())  # pyright: ignore[reportArgumentType]

    def make_dataset(
        self, shards: Sequence[Shard], batch_size: int, with_labels: bool | None = None, layout: Layout | None = None
    ) -> tf.data.Dataset:
        """Batches of whole videos, with the frames for both networks under one key."""
        config, whole = self.ranker.config, FrameView(max_video_frames=self.max_video_frames)
        views: dict[str, FrameView | None] = {RANKER: whole}
        if self.candidate is not None:
            views[CANDIDATE] = self.candidate.config.view
        parser = VideoParser(config.features, config.num_classes, views, self.seed, layout, bool(with_labels), trim=True)
        dataset = make_dataset(shards, parser, batch_size)
        return dataset.map(lambda batch: {**batch, RANKER: {role: batch[role] for role in views}})

    def fingerprint(self) -> str:
        networks = [network.fingerprint() for network in (self.ranker, self.candidate) if network is not None]
        return "; ".join(networks)


def _check(ranker, candidate):
    reason = f"holds a {ranker.config.model}, which reads video-level files: it cannot score segments."
    require(not ranker.config.is_video_level, "train_dir", reason, ranker.run.folder)
    reason = "holds a network with frame_selection=random, which has no meaning for segments."
    require(ranker.config.view.frame_selection != "random", "train_dir", reason, ranker.run.folder)
    if candidate is None:
        return
    folder, one, two = candidate.run.folder, candidate.config, ranker.config
    reason = f"holds a {one.model}, which reads video-level files; name a network that reads frames."
    require(not one.is_video_level, "candidate_dir", reason, folder)
    reason = f"holds a network of {one.num_classes} classes, and the one in --train_dir has {two.num_classes}."
    require(one.num_classes == two.num_classes, "candidate_dir", reason, folder)
    reason = "holds a network of other features than the one in --train_dir; both must be trained on the same."
    require(one.features == two.features, "candidate_dir", reason, folder)


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
                    for batch in retriever.predict(shards, batch_size, "retrieve", partial.done()):
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
        **retriever.reading.to_dict(),
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
