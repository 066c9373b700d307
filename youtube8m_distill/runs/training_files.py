"""The files of a run: found, checked and counted before anything is built or written."""

import dataclasses
import math
import os

from youtube8m_distill import config as configs
from youtube8m_distill.data.exclusions import read_exclusions
from youtube8m_distill.data.held_records import HeldRecords
from youtube8m_distill.data.tfrecord import Shard, count_records, estimate_records
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs.initial_weights import check_initial_weights
from youtube8m_distill.runs.run import open_run
from youtube8m_distill.runs.shards import find_sets, fingerprint
from youtube8m_distill.runs.targets import check_targets


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


def find_training_files(config: configs.RunConfig) -> TrainingFiles:
    """Finds and checks a run's files, and the weights it starts from.

    Raises:
        SettingError: with the setting that is invalid.
    """
    check_initial_weights(config)
    roles = {"train_data_pattern": config.networks, "validation_data_pattern": config.trained_roles}
    patterns = {flag: getattr(config, flag) for flag in roles if flag == "train_data_pattern" or getattr(config, flag)}
    views = {flag: [config.networks[role].view for role in roles[flag]] for flag in patterns}
    exclusions = read_exclusions(config.exclude_records) if config.exclude_records else ()
    found = find_sets(patterns, config.networks[config.main_role].features, views, exclusions)
    train, validation = found["train_data_pattern"], found.get("validation_data_pattern", ())
    _refuse_overlap(config, train, validation)
    _check_fills_batch(config, train)
    return TrainingFiles(train, validation, *estimate_records(train))


def _refuse_overlap(config, train, validation):
    """The best epoch must not be chosen on videos of the training set."""
    both = {os.path.realpath(shard.path) for shard in train} & {os.path.realpath(shard.path) for shard in validation}
    if both:
        raise SettingError(
            "validation_data_pattern",
            f"contains {len(both)} training file(s), for example {min(both)}; keep the two sets apart.",
            config.validation_data_pattern,
        )


def _check_fills_batch(config, train):
    """Refuses a batch larger than the training set: a training batch is never padded or cut short."""
    batch_size, fraction = config.training.batch_size, config.training.train_fraction
    found = count_records(train, at_most=math.ceil(batch_size / fraction))
    if int(found * fraction) >= batch_size:
        return
    share = f", of which train_fraction={fraction:g} uses about {found * fraction:.0f}" if fraction < 1 else ""
    raise SettingError(
        "batch_size",
        f"{config.train_data_pattern!r} holds only {found} records{share}, and a training batch is never padded or cut "
        "short. Choose a smaller batch.",
        batch_size,
    )


def pin(config: configs.RunConfig, training_files: TrainingFiles) -> configs.RunConfig:
    """The same RunConfig with fingerprints of the files and weights it depends on, so that it resumes only with those.

    Raises:
        SettingError: if stored targets belong to another teacher.
    """
    teacher = open_run(config.teacher_dir).fingerprint() if config.mode == "serial" else ""
    initial = open_run(config.init_from).fingerprint() if config.init_from else ""
    config = config.replace(train_files=fingerprint(training_files.train), teacher_weights=teacher, init_weights=initial)
    return config.replace(teacher_targets=check_targets(config))
