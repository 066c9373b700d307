"""A run's checkpoints: one folder each, complete or absent; the last few, and the best.

checkpoints/step-00001200/  student.weights.h5     one file per trained network, in Keras' format
                            training_state.npz     optimizer, random generators, and weights that only training needs
                            progress.json          counts: step, epoch, records
best/                       student.weights.h5, progress.json
"""

import io
import pathlib
import zipfile
import zlib
from collections.abc import Callable

import keras
import numpy as np

from youtube8m_distill import files
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.weights_file import load_weights
from youtube8m_distill.schemes.scheme import TrainingScheme

PROGRESS, STATE = "progress.json", "training_state.npz"


class Checkpoints:
    """Saves and restores a scheme in training; keeps `max_to_keep` step folders of a run's folder, and the best.

    `check` is called before anything is written; it raises OSError if this process no longer owns the folder.
    """

    def __init__(self, folder: str | pathlib.Path, max_to_keep: int = 3, check: Callable[[], None] | None = None):
        self.folder = pathlib.Path(folder)
        self.max_to_keep, self.check = max_to_keep, check

    def save(self, scheme: TrainingScheme, progress: Progress) -> None:
        """Writes the folder of this step, then removes those beyond `max_to_keep`; OSError if that fails."""
        self._write(self.step_folder(progress.step), scheme, progress, with_state=True)
        for step in self.steps()[: -self.max_to_keep]:
            files.remove_folder(self.step_folder(step))

    def save_best(self, scheme: TrainingScheme, progress: Progress) -> None:
        """Replaces the best weights with the scheme's current ones; OSError if that fails, and the old ones stay."""
        self._write(self.folder / "best", scheme, progress)

    def _write(self, path, scheme, progress, with_state=False):
        if self.check is not None:
            self.check()
        with files.saying_what_failed(path):
            (self.folder / "checkpoints").mkdir(exist_ok=True)  # but the run's own folder is not recreated
        with files.atomic_path(path, make_parent=False) as temporary:
            temporary.mkdir()
            with scheme.averaged_weights():
                for role, network in scheme.networks.items():
                    save_weights(network, temporary / f"{role}.weights.h5")
            if with_state:
                state = {name: np.asarray(variable) for name, variable in _state_variables(scheme).items()}
                np.savez(temporary / STATE, **state)  # pyright: ignore
            write_progress(temporary, progress)

    def restore(self, scheme: TrainingScheme) -> None:
        """Restores the newest checkpoint into a compiled scheme whose optimizer is built. ValueError if it does not fit."""
        folder = self.step_folder(self.steps()[-1])
        variables, saved = _state_variables(scheme), _read_state(folder / STATE)
        if {name: tuple(v.shape) for name, v in variables.items()} != {name: v.shape for name, v in saved.items()}:
            advice = "Start over in another folder, or from its weights with --init_from."
            raise ValueError(f"{folder / STATE} does not fit this run: another version or configuration wrote it. {advice}")
        for role, network in scheme.networks.items():
            load_weights(network, folder / f"{role}.weights.h5")
        for name, variable in variables.items():
            variable.assign(saved[name])

    def newest_progress(self) -> Progress:
        """Progress of the newest checkpoint, or a fresh one if there is none."""
        steps = self.steps()
        return read_progress(self.step_folder(steps[-1])) if steps else Progress()

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, in order."""
        names = [path.name.removeprefix("step-") for path in (self.folder / "checkpoints").glob("step-*")]
        return sorted(int(name) for name in names if name.isdecimal())

    def step_folder(self, step: int) -> pathlib.Path:
        return self.folder / "checkpoints" / f"step-{step:08d}"


def read_progress(folder: str | pathlib.Path) -> Progress:
    """The Progress in a checkpoint folder. FileNotFoundError if there is none, ValueError if it cannot be read."""
    path = pathlib.Path(folder) / PROGRESS
    try:
        return Progress.from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def write_progress(folder: pathlib.Path, progress: Progress) -> None:
    """Writes a Progress into a checkpoint folder."""
    (folder / PROGRESS).write_text(progress.to_json(), encoding="utf-8")


def save_weights(network: keras.Model, path: str | pathlib.Path) -> None:
    """Writes a network's weights to a file, in Keras' format. Raises OSError if the file cannot be written."""
    # In memory first (0.3 s for 500 MB): on a full disk, HDF5 (1.14.6) ends the process with a segmentation fault.
    content = _WeightsInMemory()
    network.save_weights(content)
    # Not `write_bytes`: after an error, its frame keeps a view of the buffer, and collecting that crashes CPython 3.12.1.
    with open(path, "wb") as file:
        file.write(content.getbuffer())


class _WeightsInMemory(io.BytesIO):
    """A file in memory with the name that Keras asks for."""

    def __str__(self):
        return "memory.weights.h5"


def _state_variables(scheme):
    """What training changes besides the saved weights, by name: optimizer, random generators, auxiliary variables.

    If averages of the weights are saved, also the weights themselves.
    """
    networks = scheme.networks.values()
    weights = {id(weight) for network in networks for weight in network.weights}
    generators = [variable for network in networks for variable in network.variables if id(variable) not in weights]
    kinds = {"optimizer": scheme.optimizer.variables, "generator": generators, "auxiliary": scheme.auxiliary_variables}
    if scheme.optimizer.use_ema:
        kinds["weight"] = scheme.trainable_variables
    return {f"{kind}/{i}": variable for kind, variables in kinds.items() for i, variable in enumerate(variables)}


def _read_state(path):
    try:
        with np.load(path, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:  # one of them for a pickle, which is not run
        raise ValueError(f"{path} is damaged, or was not written by this program: {error}") from error
