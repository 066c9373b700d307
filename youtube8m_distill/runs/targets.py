"""A frozen teacher's targets for the training files of its students: computed once, kept in a folder, read in its place.

    manifest.json                               which teacher's they are
    train0000.tfrecord.5d41402abc4b2a76.targets a TFRecord file for each training file, a record for each video, in its
                                                order: little-endian float16, encoding then logits (distillation.targets)

The name of a file holds a digest of the manifest and of the training file (its size and the 64 KiB at either end), but not
of its folder. So targets of another teacher or of other files are not taken for these, and the set stays valid wherever it
or the data is moved. Each file is complete or absent: a computation that was stopped goes on with the first one that is
missing, and two at once write the same.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
from typing import NamedTuple

import numpy as np

from youtube8m_distill import display, files, schema
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

FORMAT = 1  # raised when the same teacher and videos give other files
MANIFEST = "manifest.json"


class StoredTargets(NamedTuple):
    """Targets of a tuple of training files."""

    shards: tuple  # of data.tfrecord.Shard, one for each of them
    size: int  # numbers per video

    @property
    def files(self):
        """TargetFiles to read; None where there are none."""
        return TargetFiles(tuple(shard.path for shard in self.shards), self.size) if self.shards else None


def check_targets(config):
    """Refuses a folder that holds other targets than a run asks for, before anything is built or written.

    Args:
        config: RunConfig.
    Returns:
        str, a fingerprint of all that the targets depend on but the videos; "" for a run without stored targets.
    Raises:
        ValueError: beginning with the name of the flag.
    """
    if not config.teacher_targets_dir:
        return ""
    files.check_place("teacher_targets_dir", config.teacher_targets_dir, folder=True)
    manifest = _manifest(config)
    manifest.check()
    return f"float16, sha256 {_digest_of(manifest)}"


def complete_targets(config, teacher, shards, strategy, say):
    """The targets for all videos of some training files; those that the folder does not have are computed first.

    Args:
        config: RunConfig.
        teacher: the network in `config.teacher_dir`, built under `strategy`.
        shards: tuple of data.tfrecord.Shard.
        strategy: tf.distribute.Strategy.
        say: where a line about the set goes.
    Returns:
        StoredTargets.
    Raises:
        ValueError: as of `check_targets`.
        BadRecordError: if a record of a training file, or a file of targets, cannot be used.
        FloatingPointError: if the teacher gives a number that float16 cannot hold.
        OSError: with path and reason, if something cannot be written. The files that are there are complete.
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
                "teacher_dir", "has got other weights since this run began; let its training end first.", config.teacher_dir
            )
        say(f"Computing the teacher's targets for {len(missing)} of {len(shards)} training file(s), into {folder}.")
        files.remove_leftovers(folder)
        _manifest(config).write()
        _compute(config.networks[schema.TEACHER], teacher, missing, size, strategy)
    say(f"The teacher's targets come from {folder}, {2 * size:,} bytes a video; the teacher itself is not run.")
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
    """The file of a training file's targets. `of_manifest`: its digest. Records that are left out have none in it."""
    return f"{os.path.basename(shard.path)}.{digest(shard, of_manifest)}.targets"


def _whole_file(path, size):
    """The Shard at `path`, whose records hold `size` numbers each."""
    shard = Shard(str(path), "", path.stat().st_size)
    if shard.size % (HEADER_BYTES + 2 * size + FOOTER_BYTES):
        raise BadRecordError(f"{path} ({shard.size} bytes) is cut short or damaged: remove it, and it is computed anew.")
    return shard


def _compute(network, teacher, missing, size, strategy):
    """Writes the files of `missing`, dict path -> Shard of the training file.

    Args:
        network: the teacher's NetworkConfig.
        teacher: the network.
        size: int, numbers a video.
    """
    shards = tuple(missing.values())
    # One data set over all files: a batch may hold the end of one and the beginning of the next.
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
    """Records of a file, those to leave out too: each has its place among the targets."""
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
    """Yields the record of each video."""
    for batch in batches:
        video_ids, values = batch[schema.VIDEO_ID], batch["targets"]
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            video_id = video_ids[np.argmin(finite)].decode()
            raise FloatingPointError(
                f"The teacher's targets for video {video_id} hold a number that float16 cannot (above "
                "65504, or not a number): leave --teacher_targets_dir out."
            )
        for row in values.astype("<f2"):
            bar.update()
            yield row.tobytes()
