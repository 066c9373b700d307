"""A run's folder: what it holds and how it is read. `start` starts and resumes runs.

config.json     everything needed to rebuild the networks
command.txt     the last `yt8m train` command
checkpoints/    the last few states of the training (engine/checkpoints.py)
best/           weights with the best validation GAP, if there is validation data
history.csv     validation measures by epoch (engine/history.py)
tensorboard/    one TensorBoard run per network
.lock           the process that trains there (runs/lock.py)
"""

import dataclasses
import hashlib
import os
import pathlib
import time
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import keras

from youtube8m_distill import config as configs
from youtube8m_distill import files
from youtube8m_distill.engine import history, weights_file
from youtube8m_distill.engine.checkpoints import Checkpoints, read_progress, save_weights, write_progress
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.export.about import FILE as EXPORT_FILE
from youtube8m_distill.families.build import build_model, count_weights
from youtube8m_distill.settings import require

CONFIG_FILE = "config.json"
COMMAND_FILE = "command.txt"
CASCADE_FILE = "cascade.json"  # of a folder that names runs instead
# A training may replace a checkpoint while it is read: once per epoch, and reading takes seconds.
READING_TRIES, SECONDS_BETWEEN_TRIES = 5, 0.01
BETWEEN_FINGERPRINTS = "; "
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's folder and its configuration."""

    folder: pathlib.Path
    config: configs.RunConfig
    # What `lock_run` gave to the process that trains there; None for a reader.
    check_held: Callable[[], None] | None = dataclasses.field(default=None, compare=False)

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder, self.config.training.max_to_keep, self.check_held)

    def drop_checkpoints(self) -> None:
        """Removes what is only needed to resume: most of the folder's size. Does nothing if there are no best weights."""
        if (self.folder / "best").is_dir() and (self.folder / "checkpoints").is_dir():
            files.remove_folder(self.folder / "checkpoints")

    def role(self, network: str | None = None) -> str:
        """The name of one of this run's networks; None for the main one. SettingError if the run trains no such network."""
        network, roles = network or self.config.main_role, self.config.trained_roles
        require(network in roles, "network", f"the run in {self.folder} has only {', '.join(roles)}.", network)
        return network

    def weights_folder(self, checkpoint: str | int = "best") -> pathlib.Path:
        """The folder of a checkpoint: "best", "last" or a step. If there is only one of best and last, it is both.

        Raises:
            FileNotFoundError, SettingError: if the run has no checkpoint, or none of this step.
        """
        steps, best = self.checkpoints.steps(), self.folder / "best"
        if best.is_dir() and (checkpoint == "best" or checkpoint == "last" and not steps):
            return best
        if not steps:
            raise FileNotFoundError(f"{self.folder} holds no checkpoint yet; wait until its training saves one.")
        step_of = {"best": steps[-1], "last": steps[-1], **{str(step): step for step in steps}}
        reason = f"{self.folder} has best, last and the steps {', '.join(map(str, steps))}."
        require(str(checkpoint) in step_of, "checkpoint", reason, checkpoint)
        return self.checkpoints.step_folder(step_of[str(checkpoint)])

    def fingerprint(self) -> str:
        """Identifies the best checkpoint of the main network: its step and a digest of its weights."""

        def read_digest(folder):
            with open(folder / f"{self.config.main_role}.weights.h5", "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

        digest, progress = self.read_checkpoint("best", read_digest)
        return f"step {progress.step}, sha256 {digest[:16]}"

    def load_network(
        self,
        network: str | None = None,
        checkpoint: str | int = "best",
        dtype: str = "float32",
        member_devices: Sequence[str] = (),
    ) -> tuple[keras.Model, Progress]:
        """One network with its weights, rebuilt from this folder alone, and the Progress at which they were saved.

        Args:
            network: "teacher" or "student"; None for the main one.
            checkpoint: as for `weights_folder`.
            dtype, member_devices: as for `build_model`.
        Raises:
            ValueError: if the configuration asks for another size than was saved, before memory is taken.
        """
        role = self.role(network)
        name, expected = f"{role}.weights.h5", count_weights(self.config.networks[role])
        found, _ = self.read_checkpoint(checkpoint, lambda folder: weights_file.count_weights(folder / name))
        if found != expected:
            raise ValueError(
                f"{self.folder / CONFIG_FILE} describes a {role} with {expected:,} weights, but {name} in the checkpoint "
                f"{checkpoint} holds {found:,}: they do not belong together."
            )
        model = build_model(self.config.networks[role], dtype, name=role, member_devices=member_devices)
        return model, self.restore_network(model, role, checkpoint)

    def restore_network(self, model: keras.Model, role: str, checkpoint: str | int) -> Progress:
        """Loads a checkpoint's weights into a network; returns the Progress at which they were saved."""
        name = f"{role}.weights.h5"
        return self.read_checkpoint(checkpoint, lambda folder: weights_file.load_weights(model, folder / name))[1]

    def read_checkpoint(self, checkpoint: str | int, read: Callable[[pathlib.Path], T]) -> tuple[T, Progress]:
        """`read(folder)` of a checkpoint, and its Progress; tries again if a training replaces or removes it meanwhile."""
        failure = FileNotFoundError(f"{checkpoint} in {self.folder} cannot be read: a training keeps replacing it.")
        for _ in range(READING_TRIES):
            try:
                folder = self.weights_folder(checkpoint)
                before, found = read_progress(folder), read(folder)
                # While `best` is replaced, `weights_folder` gives the last checkpoint in its place.
                is_best_still = checkpoint != "best" or self.weights_folder("best") == folder
                if is_best_still and read_progress(folder) == before:
                    return found, before
            except FileNotFoundError as error:
                failure = error
            time.sleep(SECONDS_BETWEEN_TRIES)
        raise failure


def open_run(folder: str | os.PathLike) -> Run:
    """The run in a folder.

    Raises:
        FileNotFoundError, ValueError: if there is none, or its `config.json` cannot be read.
    """
    folder = pathlib.Path(folder)
    path = folder / CONFIG_FILE
    if not path.is_file():
        found = f"holds no {CONFIG_FILE}" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"{str(folder)!r} is not a training directory: it {found}.{other_content(folder)}")
    try:
        return Run(folder, configs.from_json(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def fingerprint_of(folders: Sequence[str]) -> str:
    """The fingerprints of the runs in some folders, in their order."""
    return BETWEEN_FINGERPRINTS.join(open_run(folder).fingerprint() for folder in folders)


def other_content(folder):
    """A sentence about a cascade, an exported network, or checkpoints of the starter code in a folder; "" without them."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if CASCADE_FILE in names:
        return " It is a cascade, which only eval, infer, predict, and beam take; name one of the runs in it."
    if EXPORT_FILE in names:
        return " It holds an exported network, which only predict takes; name the training directory that it comes from."
    if "model_flags.json" not in names and not ("checkpoint" in names and any(name.endswith(".index") for name in names)):
        return ""
    return (
        " It holds checkpoints of TensorFlow 1, as the starter code writes them. Only weights of an H-RNN can be converted, "
        "in Python, with youtube8m_distill.assign_original_weights; name another folder for new runs."
    )


def write_run(
    folder: str | os.PathLike,
    config: configs.RunConfig,
    network: keras.Model,
    progress: Progress,
    texts: Mapping[str, str] = types.MappingProxyType({}),
) -> Run:
    """Writes a run of one network that has been trained, complete or not at all.

    Args:
        folder: new or empty.
        config: with mode teacher, of a network like this one.
        texts: the contents of further files, by name.
    Raises:
        OSError: if it cannot be written.
    """
    with files.atomic_path(folder) as temporary:
        best = temporary / "best"
        best.mkdir(parents=True)
        for name, text in {CONFIG_FILE: configs.to_json(config), **texts}.items():
            (temporary / name).write_text(text, encoding="utf-8")
        save_weights(network, best / f"{config.main_role}.weights.h5")
        write_progress(best, progress)
    return open_run(folder)


def read_history(run: Run) -> dict[str, list[dict]]:
    """The validation measures of a run's networks at the end of each epoch.

    Returns:
        dict role -> list of dicts by epoch: `epoch` (from 1) and each measure, as `metrics.Evaluator` names it.
    """
    found = {role: [] for role in run.config.trained_roles}
    for row in history.read_rows(run.folder):
        found.setdefault(row.pop("role"), []).append({name: value for name, value in row.items() if name != "step"})
    return found
