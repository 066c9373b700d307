"""A run's folder: what it holds, how it is begun, gone on with, and read again.

config.json     everything that rebuilds the networks
checkpoints/    the last few states of the training (see training/checkpoints.py)
best/           weights of the best state on validation GAP, where there is validation data
tensorboard/    one TensorBoard run a network
.lock           who trains there (see runs/lock.py)
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

from youtube8m_distill import config as configs
from youtube8m_distill import files
from youtube8m_distill.engine import weights_file
from youtube8m_distill.engine.checkpoints import Checkpoints, read_progress
from youtube8m_distill.errors import SettingError
from youtube8m_distill.families.build import build_model, count_weights
from youtube8m_distill.manifest import Manifest, differences
from youtube8m_distill.runs.lock import locked
from youtube8m_distill.settings import fields_with

CONFIG_FILE = "config.json"
# The last two were written by versions that skipped bad records themselves.
OUR_ENTRIES = (CONFIG_FILE, "checkpoints", "best", "tensorboard", "eval", "bad_records.json", "bad_records.csv")

READING_TRIES = 5  # a training replaces its best folder once an epoch, and reading takes seconds

# Compared only where the run was begun with them; a configuration made by hand may lack them.
FINGERPRINTS = ("train_files", "teacher_weights", "init_weights")

# Settings that a run may be resumed with other values of; the rest make another run.
MAY_CHANGE = (*(f"training.{name}" for name in fields_with(configs.TrainingConfig, may_change=True)), "teacher_targets_dir")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's folder and its configuration.

    Attributes:
        folder: pathlib.Path.
        config: RunConfig.
        check_held: what `lock_run` has given to who trains there; None for a reader.
    """

    folder: pathlib.Path
    config: configs.RunConfig
    check_held: Callable | None = dataclasses.field(default=None, compare=False)

    @property
    def checkpoints(self):
        return Checkpoints(self.folder, self.config.training.max_to_keep, self.check_held)

    def drop_checkpoints(self):
        """Removes what only going on with the training needs, most of the folder's size. The best weights stay, and without
        any, everything does."""
        if (self.folder / "best").is_dir() and (self.folder / "checkpoints").is_dir():
            files.remove_folder(self.folder / "checkpoints")

    def role(self, network=None):
        """Checks the name of one of this run's networks; None for the main one.

        Raises:
            ValueError: if this run trains no such network.
        """
        roles = self.config.trained_roles
        if network is None:
            return self.config.main_role
        if network not in roles:
            raise SettingError("network", f"the run in {self.folder} has trained {', '.join(roles)}.", network)
        return network

    def weights_folder(self, checkpoint="best"):
        """The folder of a checkpoint: "best", "last" or a step. Where there is but one of best and last, it is both.

        Raises:
            FileNotFoundError: if there is none.
        """
        steps = self.checkpoints.steps()
        best = self.folder / "best"
        if best.is_dir() and (checkpoint == "best" or checkpoint == "last" and not steps):
            return best
        if not steps:
            raise FileNotFoundError(f"{self.folder} holds no checkpoint yet; let its training reach one.")
        if checkpoint in ("best", "last"):
            return self.checkpoints.step_folder(steps[-1])
        if str(checkpoint) not in map(str, steps):
            raise SettingError(
                "checkpoint", f"{self.folder} has best, last and the steps {', '.join(map(str, steps))}.", checkpoint
            )
        return self.checkpoints.step_folder(int(checkpoint))

    def fingerprint(self, checkpoint="best"):
        """Tells a checkpoint of the main network from any other: its step and a digest of its weights."""

        def digest(folder):
            with open(folder / f"{self.config.main_role}.weights.h5", "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

        digest, progress = self.read_checkpoint(checkpoint, digest)
        return f"step {progress.step}, sha256 {digest[:16]}"

    def load_network(self, network=None, checkpoint="best", dtype="float32"):
        """Rebuilds one network with its weights. Nothing but this folder is needed.

        Args:
            network: "teacher" or "student"; None for the main one.
            checkpoint: as for `weights_folder`.
            dtype: as for `build_model`.
        Returns:
            VideoClassifier and the Progress at which its weights were saved.
        """
        role = self.role(network)
        self._check_size(role, checkpoint)  # before anything is built
        model = build_model(self.config.networks[role], dtype, name=role)
        return model, self.restore_network(model, role, checkpoint)

    def restore_network(self, model, role, checkpoint):
        """Fills a network with a checkpoint's weights; returns the Progress at which they were saved."""
        name = f"{role}.weights.h5"
        return self.read_checkpoint(checkpoint, lambda folder: weights_file.load_weights(model, folder / name))[1]

    def _check_size(self, role, checkpoint):
        """Refuses a configuration that asks for a larger network than was saved, which may be larger than any memory."""
        path = self.weights_folder(checkpoint) / f"{role}.weights.h5"
        found, _ = self.read_checkpoint(checkpoint, lambda folder: weights_file.count_weights(folder / path.name))
        expected = count_weights(self.config.networks[role])
        if found != expected:
            raise ValueError(
                f"{self.folder / CONFIG_FILE} describes a {role} of {expected:,} numbers, and {path} holds "
                f"{found:,}: they do not belong together."
            )

    def read_checkpoint(self, checkpoint, read):
        """`read(folder)` of a checkpoint, and its Progress; anew where a training at work has replaced or removed it."""
        reason = "it is being replaced all the time"
        for _ in range(READING_TRIES):
            folder = self.weights_folder(checkpoint)
            try:
                before, found = read_progress(folder), read(folder)
                if read_progress(folder) == before:
                    return found, before
            except FileNotFoundError as error:
                reason = error
        raise FileNotFoundError(f"{folder} cannot be read: {reason}")


def open_run(folder):
    """The run in a folder.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if its `config.json` cannot be read.
    """
    folder = pathlib.Path(folder)
    path = folder / CONFIG_FILE
    if not path.is_file():
        found = "does not exist" if not folder.exists() else f"holds no {CONFIG_FILE}"
        raise FileNotFoundError(f"{str(folder)!r} is not a training directory: it {found}.")
    try:
        return Run(folder, configs.from_json(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def lock_run(folder):
    """A context manager that keeps every other training out of a folder to train in; gives what `prepare_run` takes.

    Raises:
        ValueError: if the folder is something else's, before anything is written there, or another process trains in it.
    """
    files.check_output("train_dir", folder, folder=True)
    _manifest(folder, {}).read()
    return locked(folder)


def prepare_run(folder, config, start_new=False, check_held=None):
    """Starts a run in an empty or new folder, or resumes the one that is there.

    Args:
        folder: path.
        config: RunConfig.
        start_new: remove the run that is there first. Other files in the folder stay.
        check_held: what `lock_run` gave: checkpoints are then saved only while this process holds the folder.
    Returns:
        Run.
    Raises:
        SettingError: if the folder holds something else, or its run has other settings that may not change.
    """
    files.check_output("train_dir", folder, folder=True)
    folder = pathlib.Path(folder)
    before = read_config(folder)
    if before is not None and start_new:
        _remove_run(folder)
    elif before is not None:
        _check_same(folder, before, config)
    for place in (folder, folder / "checkpoints"):
        files.remove_leftovers(place)
    files.write_text(folder / CONFIG_FILE, configs.to_json(config))
    return Run(folder, config, check_held)


def join_run(folder, config):
    """The run that the chief of a job has just prepared, for the other workers of the job.

    Raises:
        FileNotFoundError: if this machine does not see it.
        ValueError: if the chief was started with other settings.
    """
    try:
        run = open_run(folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error} The workers of a job share one train_dir: it must lie on a file system that every machine sees."
        ) from error
    differing = differences(run.config.to_dict(), config.to_dict())
    if differing:
        raise ValueError(
            f"this worker's settings are not the chief's: {'; '.join(differing)}. Start every worker with the same command."
        )
    return run


def read_config(folder):
    """The RunConfig in a folder to train in; None where the folder is new or empty.

    Raises:
        SettingError: if the folder holds something else.
    """
    return _manifest(folder, {}).read() and open_run(folder).config


def _manifest(folder, settings, may_change=()):
    return Manifest(
        pathlib.Path(folder) / CONFIG_FILE,
        settings,
        flag="train_dir",
        what="a run",
        may_change=may_change,
        remedy="name another folder, or replace it with --start_new_model",
        parse=lambda text: configs.from_json(text).to_dict(),
    )


def _remove_run(folder):
    for name in OUR_ENTRIES[1:]:  # config.json is replaced: the folder is known as ours all the time
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            files.remove_folder(path)
        elif path.exists():
            path.unlink()


def _check_same(folder, before, config):
    """Refuses to resume a run with other settings."""
    unknown = tuple(name for name in FINGERPRINTS if not getattr(before, name))
    _manifest(folder, config.to_dict(), (*MAY_CHANGE, *unknown)).check()
    ended = Checkpoints(folder).newest_progress().stage
    if ended and before.training.num_epochs != config.training.num_epochs:
        raise SettingError(
            "num_epochs",
            f"the first stage of the run in {folder} has ended after "
            f"{before.training.num_epochs} epochs. Give that number; finetune_epochs may change.",
            config.training.num_epochs,
        )
