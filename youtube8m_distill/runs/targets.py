"""A frozen teacher's targets for the training files of its students: computed once, then read instead of running it.

Of several teachers, they are the mean of their predictions.

    manifest.json                               the teachers and settings they depend on
    train0000.tfrecord.5d41402abc4b2a76.targets a TFRecord file per training file, with a record per video, or per rated
                                                segment, in the same order: little-endian float16, encoding then logits
                                                (schemes.targets); without an encoding for several teachers

A file's name holds a digest of the manifest and of the training file (its size and the 64 KiB at either end; for segments,
also everything in them), but not of its folder. So targets of another teacher or of other files are never mistaken for
these, and both the set and the data may be moved. Each file is complete or absent: an interrupted computation resumes with
the first missing file, and two processes at once write the same files.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from youtube8m_distill import display, files, schema
from youtube8m_distill.config import RunConfig
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.targets import TargetFiles
from youtube8m_distill.data.tfrecord import THREADS, RecordWriter, Shard, count_records, digest, estimate_records
from youtube8m_distill.engine.predictor import Predictor
from youtube8m_distill.engine.strategy import local_replicas
from youtube8m_distill.errors import SettingError
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.runs.evaluation import good_batch_size
from youtube8m_distill.runs.run import BETWEEN_FINGERPRINTS, fingerprint_of
from youtube8m_distill.schemes import targets

TEACHERS = "teachers"  # the role of all teachers together
FORMAT = 1  # incremented when the same teacher and videos give other files

log = logging.getLogger(__name__)


def check_targets(config: RunConfig) -> str:
    """Raises SettingError for a folder of other targets than a run needs, or of something else.

    Returns a fingerprint of everything but the videos that the targets depend on; "" for a run without stored targets.
    """
    if not config.teacher_targets_dir:
        return ""
    files.check_place("teacher_targets_dir", config.teacher_targets_dir, folder=True)
    manifest = _manifest(config)
    manifest.check()
    return f"float16, sha256 {_digest_of(manifest)}"


def complete_targets(
    config: RunConfig, teachers: Mapping[str, keras.Model], shards: Sequence[Shard], strategy: tf.distribute.Strategy
) -> TargetFiles:
    """The targets of all videos or segments in some training files; computes those that the folder does not have.

    Args:
        teachers: role -> network in `config.teacher_dirs`, built under `strategy`.
    Raises:
        SettingError, BadRecordError: as for `check_targets`, and if a record of a training file cannot be used.
        FloatingPointError: if the teacher computes a number that float16 cannot hold.
        OSError: with path and reason, if something cannot be written. Existing files stay complete.
    """
    check_targets(config)
    folder, manifest = pathlib.Path(config.teacher_targets_dir), _manifest(config)
    of_manifest = _digest_of(manifest)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        paths = list(pool.map(lambda shard: folder / _name(shard, of_manifest), shards))
    missing = {path: shard for path, shard in zip(paths, shards) if not path.exists()}
    teacher, is_single = teachers[schema.TEACHER], len(teachers) == 1
    size = teacher.num_classes + (teacher.encoding_size if is_single else 0)
    whose, who = ("the teacher's", "teacher is") if is_single else (f"the {len(teachers)} teachers' mean", "teachers are")
    if missing:
        if config.teacher_weights not in ("", fingerprint_of(config.teacher_dirs)):
            reason = "its weights changed since this run started; wait until its training ends."
            raise SettingError("teacher_dir", reason, config.teacher_dir)
        count = f"{len(missing)} of {len(shards)}"
        log.info("Computing %s targets for %s training file(s), into %s.", whose, count, folder)
        files.remove_leftovers(folder)
        manifest.write()
        weights = _fingerprints(config)  # in their order, so that the order of the folders changes no sum
        in_order = {role: teachers[role] for role in sorted(teachers, key=weights.__getitem__)}
        _compute(config, in_order, missing, size, strategy)
    message = "%s targets are read from %s, %s bytes per %s; the %s not run."
    log.info(message, whose.capitalize(), folder, f"{2 * size:,}", _example(config.reading), who)
    return TargetFiles(tuple(map(str, paths)), size)


def _example(reading):
    return "segment" if reading.segment_labels else "video"


def _fingerprints(config):
    """The fingerprint of each teacher, by role."""
    weights = config.teacher_weights or fingerprint_of(config.teacher_dirs)
    found = [weights] if len(config.teacher_roles) == 1 else weights.split(BETWEEN_FINGERPRINTS)
    return dict(zip(config.teacher_roles, found, strict=True))


def _manifest(config):
    """What the targets depend on besides the videos. Several teachers are in the order of their fingerprints."""
    settings = {"format": FORMAT, "mixed_precision": config.training.mixed_precision}
    teachers = sorted((weights, role) for role, weights in _fingerprints(config).items())
    if len(teachers) == 1:
        settings |= _about_teacher(config.networks[schema.TEACHER], teachers[0][0])
    else:
        settings["num_teachers"] = len(teachers)
        for number, (weights, role) in enumerate(teachers, 1):
            about = _about_teacher(config.networks[role], weights)
            settings |= {f"{name}_{number}": value for name, value in about.items()}
    if config.reading.segment_labels:
        settings["segment_labels"] = True
    path = pathlib.Path(config.teacher_targets_dir) / "manifest.json"
    return Manifest(path, settings, flag="teacher_targets_dir", what="a teacher's targets")


def _about_teacher(network, weights):
    return {
        "teacher_weights": weights,
        "model": network.model,
        "num_classes": network.num_classes,
        "features": network.features.to_dict(),
        "frames": network.view.to_dict(),
        "classifier": network.classifier.model,
        **network.settings(),
    }


def _digest_of(manifest):
    return hashlib.sha256(json.dumps(manifest.settings, sort_keys=True).encode()).hexdigest()[:16]


def _name(shard, of_manifest):
    """The name of a training file's targets file. `of_manifest` is the manifest's digest."""
    about = (of_manifest, *_about_segments(shard.held))
    return f"{os.path.basename(shard.path)}.{digest(shard, *about)}.targets"


def _about_segments(held):
    """A digest of the segments that were cut out of a file, ids and frames; nothing for whole videos."""
    if held is None or held.numbers is None:
        return ()
    found = hashlib.sha256()
    for record in held.records[held.start : held.end].numpy():
        found.update(b"%d " % len(record) + record)
    return (f"segments {found.hexdigest()[:16]}",)


def _compute(config, teachers, missing, size, strategy):
    """Writes the files of `missing` (path -> training file), `size` numbers per record, from the teachers by role."""
    shards, reading = tuple(missing.values()), config.reading
    network, views = config.networks[schema.TEACHER], {role: config.networks[role].view for role in teachers}
    # One dataset over all files: a batch may hold the end of one and the start of the next.
    layout = find_layout(shards, network.features, reading)
    parser = VideoParser(network.features, network.num_classes, views, layout=layout, with_labels=False, trim=True)
    max_frames = max(config.networks[role].max_frames for role in teachers)
    dataset = make_dataset(shards, parser, good_batch_size(max_frames) * local_replicas(strategy))
    # The Predictor sees one network, which reads the frames of all teachers.
    dataset = dataset.map(lambda batch: {**batch, TEACHERS: {role: batch[role] for role in teachers}})
    total, _ = estimate_records(shards)
    no_targets = np.full(size, np.nan, "<f2").tobytes()  # an excluded record also has its place
    example = _example(reading)
    with display.ProgressBar(total, "teacher targets", f"{example}s") as bar, naming_bad_records(shards):
        predictor = Predictor(_together(teachers), TEACHERS, strategy, PackedTargets())
        rows = _rows(predictor(dataset), bar, example)
        for path, shard in missing.items():
            with files.atomic_path(path, make_parent=False) as temporary, RecordWriter(temporary) as writer:
                for number in range(count_records([dataclasses.replace(shard, excluded=())])):
                    writer.write(no_targets if number in shard.excluded else next(rows))


def _together(teachers):
    """The teachers as one network for a Predictor."""
    return lambda views, training: targets.of_teachers(teachers, views)


class PackedTargets:
    """An output function of a Predictor: a teacher's targets, float16 [B, size]."""

    reads_labels = False

    def __call__(self, outputs, labels):
        return {"targets": targets.pack(outputs)}


def _rows(batches, bar, example):
    """Yields the serialized targets of each record, which is an `example`: a video or a segment."""
    for batch in batches:
        finite = np.isfinite(batch["targets"]).all(axis=1)
        if not finite.all():
            targets_of = f"The teacher's targets for {example} {batch[schema.VIDEO_ID][np.argmin(finite)].decode()}"
            reason = "hold a number that float16 cannot (above 65504, or NaN). Omit --teacher_targets_dir."
            raise FloatingPointError(f"{targets_of} {reason}")
        for row in batch["targets"].astype("<f2"):
            bar.update()
            yield row.tobytes()
