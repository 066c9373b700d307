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
from youtube8m_distill.config import FeatureConfig, NetworkConfig, Reading, RunConfig
from youtube8m_distill.config.video import FeatureDtype
from youtube8m_distill.data.compact import check_networks, check_whole_videos
from youtube8m_distill.data.contents import detect_dtype, find_layout, stored_features
from youtube8m_distill.data.exclusions import Fault, match, read_exclusions, without
from youtube8m_distill.data.find_files import find_files, real_path, require_records, unreachable_files
from youtube8m_distill.data.held_records import HeldRecords
from youtube8m_distill.data.labels import check_labels
from youtube8m_distill.data.segment_classes import read_segment_classes
from youtube8m_distill.data.segments import hold_segments
from youtube8m_distill.data.stored_features import OFFICIAL
from youtube8m_distill.data.tfrecord import THREADS, Shard, count_records, digest, estimate_records
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs.initial_weights import check_initial_weights
from youtube8m_distill.runs.run import CONFIG_FILE, fingerprint_of, open_run
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


class RecordFiles:
    """The files that flags name, without excluded records. Each pattern is searched once.

    All methods raise SettingError: about the flag, or about --exclude_records if the list is not about these files.

    Args:
        exclusions: from `data.exclusions.read_exclusions`, about files of any of the flags.
        reading: how the records are read.
    """

    def __init__(self, exclusions: Sequence[Fault] = (), reading: Reading = OFFICIAL):
        self.exclusions, self.reading = exclusions, reading
        self._found: dict[str, tuple[Shard, ...]] = {}

    def find(
        self,
        patterns: Mapping[str, str],
        features: FeatureConfig | None = None,
        networks: Mapping[str, Iterable[NetworkConfig]] | None = None,
        num_classes: int = schema.NUM_CLASSES,
    ) -> dict[str, tuple[Shard, ...]]:
        """The files of some flags; with `reading.segment_labels`, their rated segments.

        Args:
            patterns: name of a flag -> its value.
            features: that the files must hold; None for any.
            networks: name of a flag -> the networks that read its files.
            num_classes: of the networks, on which the default list of rated classes depends.
        """
        found = {flag: self._search(flag, pattern) for flag, pattern in patterns.items()}
        faults = match([shard for shards in found.values() for shard in shards], self.exclusions)
        for flag, pattern in patterns.items():
            with _naming(flag, pattern):
                shards = found[flag] = without(found[flag], faults)
                require_records(shards)
                layout = None if features is None else find_layout(shards, features, self.reading)
                check_networks(shards, (networks or {}).get(flag, ()), self.reading.segment_labels)
                if self.reading.segment_labels:
                    classes = segment_classes(self.reading, num_classes)
                    found[flag] = hold_segments(shards, classes, layout and layout.keys)
        return found

    def stored_dtype(self, flag: str, pattern: str, names: Sequence[str]) -> FeatureDtype:
        """The type of the input of a network that is trained on these features of the files of one flag."""
        with _naming(flag, pattern):
            return detect_dtype(self._readable(flag, pattern), names, self.reading)

    def are_video_level(self, flag: str, pattern: str) -> bool:
        """Whether the first record of the files of one flag has video-level features and no frames."""
        with _naming(flag, pattern):
            found = stored_features(self._readable(flag, pattern)[0])
        return any(name in found for name in schema.VIDEO_FEATURES) and all(f.num_frames is None for f in found.values())

    def _readable(self, flag, pattern):
        """The files of one flag, when those of the others are not known yet."""
        shards = self._search(flag, pattern)
        shards = without(shards, match(shards, self.exclusions, required=False))
        require_records(shards)
        return shards

    def _search(self, flag, pattern):
        if pattern not in self._found:
            with _naming(flag, pattern):
                self._found[pattern] = find_files(pattern, allow_bad_files=bool(self.exclusions))
        return self._found[pattern]


def find_shards(
    flag: str,
    pattern: str,
    features: FeatureConfig | None = None,
    networks: Iterable[NetworkConfig] = (),
    exclusions: Sequence[Fault] = (),
    reading: Reading = OFFICIAL,
    num_classes: int = schema.NUM_CLASSES,
) -> tuple[Shard, ...]:
    """The files of a single flag, as `RecordFiles.find` finds them."""
    return RecordFiles(exclusions, reading).find({flag: pattern}, features, {flag: networks}, num_classes)[flag]


def segment_classes(reading: Reading, num_classes: int) -> tuple[int, ...]:
    """The classes of rated segments: those in the file that is named or, with 3,862 classes, the official 1,000."""
    if not reading.segment_label_ids_file and num_classes != schema.NUM_CLASSES:
        return tuple(range(num_classes))
    classes = read_segment_classes(reading.segment_label_ids_file or None)
    if max(classes) >= num_classes:
        reason = f"lists class {max(classes)}, which num_classes={num_classes} does not have."
        raise SettingError("segment_label_ids_file", reason, reading.segment_label_ids_file)
    return classes


@contextlib.contextmanager
def _naming(flag, pattern):
    """Turns errors about files into errors about the flag that names them."""
    try:
        with unreachable_files(pattern):
            yield
    except SettingError:
        raise
    except (OSError, ValueError) as error:
        reason = str(error).removeprefix(f"{pattern}: ").removeprefix(f"{pattern} ")
        raise SettingError(flag, reason, pattern) from error


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


def find_training_files(config: RunConfig, record_files: RecordFiles | None = None) -> TrainingFiles:
    """Finds and checks a run's files, and the weights it starts from; SettingError names the setting that is invalid.

    `record_files` may have found some of them already.
    """
    check_initial_weights(config)
    roles = {"train_data_pattern": config.read_roles}
    if config.validation_data_pattern:
        roles["validation_data_pattern"] = config.trained_roles
    patterns = {flag: getattr(config, flag) for flag in roles}
    networks = {flag: [config.networks[role] for role in roles[flag]] for flag in roles}
    if record_files is None:
        exclusions = read_exclusions(config.exclude_records) if config.exclude_records else ()
        record_files = RecordFiles(exclusions, config.reading)
    network = config.networks[config.main_role]
    found = record_files.find(patterns, network.features, networks, network.num_classes)
    unlabeled = () if _trains_on_labels(config) else ("train_data_pattern",)
    for flag, shards in found.items():
        if flag not in unlabeled and not config.reading.segment_labels:
            check_labels(flag, patterns[flag], shards, config.reading.label_key, network.num_classes)
    train, validation = found["train_data_pattern"], found.get("validation_data_pattern", ())
    both = {real_path(shard.path) for shard in train} & {real_path(shard.path) for shard in validation}
    if both:  # the best epoch must not be chosen on videos of the training set
        reason = f"contains {len(both)} training file(s), for example {min(both)}; keep the two sets apart."
        raise SettingError("validation_data_pattern", reason, config.validation_data_pattern)
    with _naming("train_data_pattern", patterns["train_data_pattern"]):
        _check_fills_batch(config, train)
        if config.training.jitter_frames:
            check_whole_videos(train)
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
    teacher = fingerprint_of(config.teacher_dirs) if config.mode == "serial" else ""
    initial = open_run(config.init_from).fingerprint() if config.init_from else ""
    train, validation = training_files.train, training_files.validation
    with _naming("train_data_pattern", config.train_data_pattern):
        train_files, by_names = fingerprint(train, config.training.train_fraction < 1), fingerprint_of_names(train)
    with _naming("validation_data_pattern", config.validation_data_pattern):
        validation_files = fingerprint(validation) if validation else ""
    if folder is not None and (pathlib.Path(folder) / CONFIG_FILE).is_file():
        with contextlib.suppress(ValueError):  # reported when the run is prepared
            train_files = by_names if open_run(pathlib.Path(folder)).config.train_files == by_names else train_files
    config = config.replace(
        train_files=train_files, validation_files=validation_files, teacher_weights=teacher, init_weights=initial
    )
    return config.replace(teacher_targets=check_targets(config))
