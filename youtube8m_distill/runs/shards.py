"""The record files that flags name: found, checked and counted before anything is built or written."""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from youtube8m_distill import schema
from youtube8m_distill.config import FeatureConfig, FrameView, Reading, RunConfig
from youtube8m_distill.config.video import FeatureDtype
from youtube8m_distill.data.compact import check_views
from youtube8m_distill.data.contents import OFFICIAL, detect_dtype, find_layout, stored_features
from youtube8m_distill.data.exclusions import Fault, match, read_exclusions, without
from youtube8m_distill.data.held_records import HeldRecords
from youtube8m_distill.data.labels import check_labels
from youtube8m_distill.data.tfrecord import (
    THREADS,
    Shard,
    count_records,
    digest,
    estimate_records,
    find_files,
    real_path,
    require_records,
)
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs.initial_weights import check_initial_weights
from youtube8m_distill.runs.run import CONFIG_FILE, open_run
from youtube8m_distill.runs.targets import check_targets


def fingerprint(shards: Sequence[Shard], with_names: bool = False) -> str:
    """Identifies files in an order by their contents (`tfrecord.digest`), wherever they are and whatever they are called.

    `with_names` adds their names, on which the choice of a fraction of the records depends.
    """
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        digests = list(pool.map(lambda shard: digest(dataclasses.replace(shard, excluded=(), readable=None)), shards))
    names = [os.path.basename(shard.path) for shard in shards] if with_names else []
    return f"{_total(shards)}, contents {hashlib.sha256(' '.join(digests + names).encode()).hexdigest()[:16]}"


def fingerprint_of_names(shards: Sequence[Shard]) -> str:
    """Identifies files by their names and sizes, as version 0.1 did."""
    names = "\n".join(f"{os.path.basename(shard.path)} {shard.size}" for shard in shards)
    return f"{_total(shards)}, sha256 {hashlib.sha256(names.encode()).hexdigest()[:16]}"


def _total(shards):
    return f"{len(shards)} file(s), {sum(shard.size for shard in shards)} bytes"


def find_shards(
    flag: str,
    pattern: str,
    features: FeatureConfig | None = None,
    views: Iterable[FrameView | None] = (),
    exclusions: Sequence[Fault] = (),
    reading: Reading = OFFICIAL,
) -> tuple[Shard, ...]:
    """`find_sets` for a single flag."""
    return find_sets({flag: pattern}, features, {flag: views}, exclusions, reading)[flag]


def find_sets(
    patterns: Mapping[str, str],
    features: FeatureConfig | None = None,
    views: Mapping[str, Iterable[FrameView | None]] | None = None,
    exclusions: Sequence[Fault] = (),
    reading: Reading = OFFICIAL,
) -> dict[str, tuple[Shard, ...]]:
    """Finds the files of some flags, without excluded records.

    Args:
        patterns: name of a flag -> its value.
        features: that the files must hold; None for any.
        views: name of a flag -> views of the networks that read its files.
        exclusions: from `data.exclusions.read_exclusions`, about files of any of the flags.
        reading: how the records are read.
    Raises:
        SettingError: naming the flag, or --exclude_records if the list is not about these files.
    """
    found = {flag: _find(flag, pattern, exclusions) for flag, pattern in patterns.items()}
    faults = match([shard for shards in found.values() for shard in shards], exclusions)
    for flag, pattern in patterns.items():
        with _naming(flag, pattern):
            shards = found[flag] = without(found[flag], faults)
            require_records(shards)
            if features is not None:
                find_layout(shards, features, reading)
            check_views(shards, (views or {}).get(flag, ()))
    return found


def stored_dtype(
    flag: str, pattern: str, names: Sequence[str], exclusions: Sequence[Fault] = (), reading: Reading = OFFICIAL
) -> FeatureDtype:
    """The type of the input of a network that is trained on the files of one flag. Raises as `find_sets` does."""
    shards = _find(flag, pattern, exclusions)
    with _naming(flag, pattern):
        shards = without(shards, match(shards, exclusions, required=False))
        require_records(shards)
        return detect_dtype(shards, names, reading)


def are_video_level(flag: str, pattern: str, exclusions: Sequence[Fault] = ()) -> bool:
    """Whether the first record of some files has video-level features and no frames. Raises as `find_sets` does."""
    shards = _find(flag, pattern, exclusions)
    with _naming(flag, pattern):
        shards = without(shards, match(shards, exclusions, required=False))
        require_records(shards)
        found = stored_features(shards[0])
    return any(name in found for name in schema.VIDEO_FEATURES) and all(f.num_frames is None for f in found.values())


def _find(flag, pattern, exclusions):
    with _naming(flag, pattern):
        return find_files(pattern, allow_bad_files=bool(exclusions))


@contextlib.contextmanager
def _naming(flag, pattern):
    """Turns errors about files into errors about the flag that names them."""
    try:
        yield
    except SettingError:
        raise
    except (FileNotFoundError, ValueError) as error:
        raise SettingError(flag, str(error), pattern) from error


@dataclasses.dataclass(frozen=True)
class TrainingFiles:
    """The files of a run, without excluded records."""

    train: tuple[Shard, ...]
    validation: tuple[Shard, ...]
    num_train: int
    num_train_is_exact: bool

    def held_in(self, records: HeldRecords) -> "TrainingFiles":
        """The same files, held in memory by `records` as far as it has room for them."""
        return dataclasses.replace(self, train=records.hold(self.train), validation=records.hold(self.validation))


def find_training_files(config: RunConfig) -> TrainingFiles:
    """Finds and checks a run's files, and the weights it starts from; SettingError names the setting that is invalid."""
    check_initial_weights(config)
    roles = {"train_data_pattern": tuple(config.networks)}
    if config.validation_data_pattern:
        roles["validation_data_pattern"] = config.trained_roles
    patterns = {flag: getattr(config, flag) for flag in roles}
    views = {flag: [config.networks[role].view for role in roles[flag]] for flag in roles}
    exclusions = read_exclusions(config.exclude_records) if config.exclude_records else ()
    found = find_sets(patterns, config.networks[config.main_role].features, views, exclusions, config.reading)
    unlabeled = () if _trains_on_labels(config) else ("train_data_pattern",)
    for flag, shards in found.items():
        if flag in unlabeled:
            continue
        check_labels(flag, patterns[flag], shards, config.reading.label_key, config.networks[config.main_role].num_classes)
    train, validation = found["train_data_pattern"], found.get("validation_data_pattern", ())
    both = {real_path(shard.path) for shard in train} & {real_path(shard.path) for shard in validation}
    if both:  # the best epoch must not be chosen on videos of the training set
        reason = f"contains {len(both)} training file(s), for example {min(both)}; keep the two sets apart."
        raise SettingError("validation_data_pattern", reason, config.validation_data_pattern)
    _check_fills_batch(config, train)
    return TrainingFiles(train, validation, *estimate_records(train))


def _trains_on_labels(config):
    """Whether a run minimizes a loss of the labels. A student may learn from its teacher's outputs alone."""
    if config.mode != "serial":
        return True
    return "ce" in config.distillation.student_loss or not config.distillation.trains_classifier


def _check_fills_batch(config, train):
    """Refuses a batch larger than the training set: a training batch is never padded or cut short."""
    batch_size, fraction = config.training.batch_size, config.training.train_fraction
    found = count_records(train, at_most=math.ceil(batch_size / fraction))
    if int(found * fraction) < batch_size:
        share = f", of which train_fraction={fraction:g} uses about {found * fraction:.0f}" if fraction < 1 else ""
        reason = (
            f"{config.train_data_pattern!r} holds only {found} records{share}, and a training batch is never padded or cut "
            "short. Choose a smaller batch."
        )
        raise SettingError("batch_size", reason, batch_size)


def pin(config: RunConfig, training_files: TrainingFiles, folder: str | os.PathLike | None = None) -> RunConfig:
    """The same RunConfig with fingerprints of the files and weights that it depends on; it resumes only with those.

    A run of an older version that is in `folder` keeps its own kind of fingerprint, if that fits. SettingError if stored
    targets belong to another teacher.
    """
    teacher = open_run(config.teacher_dir).fingerprint() if config.mode == "serial" else ""
    initial = open_run(config.init_from).fingerprint() if config.init_from else ""
    train, validation = training_files.train, training_files.validation
    train_files, by_names = fingerprint(train, config.training.train_fraction < 1), fingerprint_of_names(train)
    if folder is not None and (pathlib.Path(folder) / CONFIG_FILE).is_file():
        with contextlib.suppress(ValueError):  # reported when the run is prepared
            train_files = by_names if open_run(pathlib.Path(folder)).config.train_files == by_names else train_files
    config = config.replace(
        train_files=train_files,
        validation_files=fingerprint(validation) if validation else "",
        teacher_weights=teacher,
        init_weights=initial,
    )
    return config.replace(teacher_targets=check_targets(config))
