"""The files of a run: found, checked and counted before anything is built or written."""

import dataclasses
import json
import math
import os
import pathlib

from youtube8m_distill import config as configs
from youtube8m_distill import files
from youtube8m_distill.data.held_records import HeldRecords
from youtube8m_distill.data.screening import Screening
from youtube8m_distill.data.screening_report import write_report
from youtube8m_distill.data.tfrecord import Shard, count_records, estimate_records
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs.initial_weights import check_initial_weights
from youtube8m_distill.runs.run import BAD_RECORDS_FILE, BAD_RECORDS_REPORT, Run, open_run
from youtube8m_distill.runs.shards import fingerprint, usable_shards
from youtube8m_distill.runs.targets import check_targets


@dataclasses.dataclass(frozen=True)
class TrainingFiles:
    """The files of a run."""

    screenings: tuple[Screening, ...]  # of the training files and, if there are any, the validation files
    num_train: int
    num_train_is_exact: bool

    @property
    def train(self) -> tuple[Shard, ...]:
        return self.screenings[0].shards

    @property
    def validation(self) -> tuple[Shard, ...]:
        return self.screenings[1].shards if len(self.screenings) > 1 else ()

    def held_in(self, records: HeldRecords) -> "TrainingFiles":
        """The same files, read from `records` as far as it has room for them."""
        screenings = (dataclasses.replace(found, shards=records.hold(found.shards)) for found in self.screenings)
        return dataclasses.replace(self, screenings=tuple(screenings))


def find_training_files(config: configs.RunConfig, folder: pathlib.Path | None = None) -> TrainingFiles:
    """Finds and checks a run's files, and the weights it starts from.

    Args:
        config: of the run.
        folder: of the run; bad records that `keep_screenings` noted there are not searched for again.
    Raises:
        SettingError: with the setting that is invalid.
    """
    check_initial_weights(config)
    network, training = config.networks[config.main_role], config.training
    known = _known_screenings(folder)

    def usable(flag, roles):
        views = [config.networks[role].view for role in roles]
        return usable_shards(
            flag,
            getattr(config, flag),
            network.features,
            network.num_classes,
            views,
            skip=training.skip_bad_records,
            max_bad_fraction=training.max_bad_fraction,
            known=known.get(flag),
        )

    screenings = [usable("train_data_pattern", config.networks)]
    train = screenings[0].shards
    if config.validation_data_pattern:
        screenings.append(usable("validation_data_pattern", config.trained_roles))
        _refuse_overlap(config, train, screenings[1].shards)
    _check_fills_batch(config, train)
    return TrainingFiles(tuple(screenings), *estimate_records(train))


def _known_screenings(folder):
    """What `keep_screenings` wrote, by flag; nothing if it did not, or if it cannot be read."""
    try:
        known = json.loads((folder / BAD_RECORDS_FILE).read_text(encoding="utf-8")) if folder else {}
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def keep_screenings(run: Run, training_files: TrainingFiles) -> str:
    """Writes which records are skipped into a run's folder, for a resumed run and, as a report, for people.

    Returns:
        A warning with their number; empty if there are none.
    Raises:
        OSError: if the folder cannot be written.
    """
    if not run.config.training.skip_bad_records:
        (run.folder / BAD_RECORDS_FILE).unlink(missing_ok=True)
        return write_report(run.folder / BAD_RECORDS_REPORT)
    flags = ("train_data_pattern", "validation_data_pattern")
    known = {flag: screening.to_json() for flag, screening in zip(flags, training_files.screenings)}
    files.write_text(run.folder / BAD_RECORDS_FILE, json.dumps(known) + "\n")
    return write_report(run.folder / BAD_RECORDS_REPORT, *training_files.screenings)


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
