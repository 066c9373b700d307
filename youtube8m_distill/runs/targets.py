"""A frozen teacher's targets for the training files of its students: computed once, then read instead of running it.

    manifest.json                               the teacher and settings they depend on
    train0000.tfrecord.5d41402abc4b2a76.targets a TFRecord file per training file, with a record per video in the same order:
                                                little-endian float16, encoding then logits (schemes.targets)

A file's name holds a digest of the manifest and of the training file (its size and the 64 KiB at either end), but not of its
folder. So targets of another teacher or of other files are never mistaken for these, and both the set and the data may be
moved. Each file is complete or absent: an interrupted computation resumes with the first missing file, and two processes at
once write the same files.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from youtube8m_distill import display, files, schema
from youtube8m_distill.config import RunConfig
from youtube8m_distill.data.bad_records import BadRecordError, naming_bad_records
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.targets import TargetFiles
from youtube8m_distill.data.tfrecord import (
    FOOTER_BYTES,
    HEADER_BYTES,
    THREADS,
    RecordWriter,
    Shard,
    count_records,
    digest,
    estimate_records,
)
from youtube8m_distill.engine.predictor import Predictor
from youtube8m_distill.engine.strategy import local_replicas
from youtube8m_distill.errors import SettingError
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.runs.evaluation import good_batch_size
from youtube8m_distill.runs.run import open_run
from youtube8m_distill.schemes import targets

FORMAT = 1  # incremented when the same teacher and videos give other files
MANIFEST = "manifest.json"

log = logging.getLogger(__name__)


class StoredTargets(NamedTuple):
    """Targets of a tuple of training files."""

    shards: tuple[Shard, ...]  # the files of targets, one per training file
    size: int  # numbers per video

    @property
    def files(self) -> TargetFiles | None:
        """What `make_dataset` reads; None if there are none."""
        return TargetFiles(tuple(shard.path for shard in self.shards), self.size) if self.shards else None


def check_targets(config: RunConfig) -> str:
    """Refuses a folder of other targets than a run needs, before anything is built or written.

    Returns:
        A fingerprint of everything but the videos that the targets depend on; "" for a run without stored targets.
    Raises:
        SettingError: if the folder holds other targets, or something else.
    """
    if not config.teacher_targets_dir:
        return ""
    files.check_place("teacher_targets_dir", config.teacher_targets_dir, folder=True)
    manifest = _manifest(config)
    manifest.check()
    return f"float16, sha256 {_digest_of(manifest)}"


def complete_targets(
    config: RunConfig, teacher: keras.Model, shards: Sequence[Shard], strategy: tf.distribute.Strategy
) -> StoredTargets:
    """The targets of all videos in some training files; computes those that the folder does not have.

    Args:
        config: of the run.
        teacher: the network in `config.teacher_dir`, built under `strategy`.
        shards: the training files.
        strategy: that the teacher runs under.
    Raises:
        SettingError: as for `check_targets`.
        BadRecordError: if a record of a training file, or a file of targets, cannot be used.
        FloatingPointError: if the teacher computes a number that float16 cannot hold.
        OSError: with path and reason, if something cannot be written. Existing files stay complete.
    """
    check_targets(config)
    folder = pathlib.Path(config.teacher_targets_dir)
    of_manifest = _digest_of(_manifest(config))
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        names = list(pool.map(lambda shard: _name(shard, of_manifest), shards))
    missing = {folder / name: shard for name, shard in zip(names, shards) if not (folder / name).exists()}
    size = sum(classifier.encoding_size for classifier in teacher.classifiers) + teacher.num_classes
    if missing:
        if config.teacher_weights not in ("", open_run(config.teacher_dir).fingerprint()):
            raise SettingError(
                "teacher_dir",
                "its weights changed since this run started; wait until its training ends.",
                config.teacher_dir,
            )
        log.info(
            "Computing the teacher's targets for %d of %d training file(s), into %s.", len(missing), len(shards), folder
        )
        files.remove_leftovers(folder)
        _manifest(config).write()
        _compute(config.networks[schema.TEACHER], teacher, missing, size, strategy)
    log.info("The teacher's targets are read from %s, %s bytes per video; the teacher is not run.", folder, f"{2 * size:,}")
    return StoredTargets(tuple(_whole_file(folder / name, size) for name in names), size)


def _manifest(config):
    """What the targets depend on besides the videos."""
    weights = config.teacher_weights or open_run(config.teacher_dir).fingerprint()
    network = config.networks[schema.TEACHER]
    settings = {
        "format": FORMAT,
        "teacher_weights": weights,
        "mixed_precision": config.training.mixed_precision,
        "model": network.model,
        "num_classes": network.num_classes,
        "features": network.features.to_dict(),
        "frames": network.view.to_dict(),
        "classifier": network.classifier.model,
        **network.settings(),
    }
    return Manifest(
        pathlib.Path(config.teacher_targets_dir) / MANIFEST, settings, flag="teacher_targets_dir", what="a teacher's targets"
    )


def _digest_of(manifest):
    return hashlib.sha256(json.dumps(manifest.settings, sort_keys=True).encode()).hexdigest()[:16]


def _name(shard, of_manifest):
    """The name of a training file's targets file. `of_manifest` is the manifest's digest."""
    return f"{os.path.basename(shard.path)}.{digest(shard, of_manifest)}.targets"


def _whole_file(path, size):
    """The targets file at `path`, whose records hold `size` numbers each."""
    shard = Shard(str(path), "", path.stat().st_size)
    if shard.size % (HEADER_BYTES + 2 * size + FOOTER_BYTES):
        raise BadRecordError(f"{path} ({shard.size} bytes) is truncated or damaged. Remove it to compute it again.")
    return shard


def _compute(network, teacher, missing, size, strategy):
    """Writes the files of `missing`, dict path -> training file.

    Args:
        network: the teacher's NetworkConfig.
        size: numbers per video.
    """
    shards = tuple(missing.values())
    # One dataset over all files: a batch may hold the end of one and the start of the next.
    parser = VideoParser(network.features, network.num_classes, {schema.TEACHER: network.view})
    dataset = make_dataset(shards, parser, good_batch_size(network.max_frames) * local_replicas(strategy))
    total, _ = estimate_records(shards)
    no_targets = np.full(size, np.nan, "<f2").tobytes()
    with display.ProgressBar(total, "teacher targets", "videos") as bar, naming_bad_records(shards):
        rows = _rows(Predictor(teacher, schema.TEACHER, strategy, PackedTargets())(dataset), bar)
        for path, shard in missing.items():
            with files.atomic_path(path, make_parent=False) as temporary, RecordWriter(temporary) as writer:
                excluded = set(shard.excluded)
                for number in range(_count(shard)):
                    writer.write(no_targets if number in excluded else next(rows))


def _count(shard):
    """Number of records in a file, including excluded ones: each has its place among the targets."""
    try:
        return count_records((dataclasses.replace(shard, excluded=()),))
    except ValueError as error:
        raise BadRecordError(str(error)) from None


class PackedTargets:
    """An output function of a Predictor: a teacher's targets, float16 [B, size]."""

    reads_labels = False

    def __call__(self, outputs, labels):
        return {"targets": targets.pack(outputs)}


def _rows(batches, bar):
    """Yields the serialized targets of each video."""
    for batch in batches:
        video_ids, values = batch[schema.VIDEO_ID], batch["targets"]
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            video_id = video_ids[np.argmin(finite)].decode()
            raise FloatingPointError(
                f"The teacher's targets for video {video_id} hold a number that float16 cannot (above 65504, or NaN). Omit "
                "--teacher_targets_dir."
            )
        for row in values.astype("<f2"):
            bar.update()
            yield row.tobytes()
