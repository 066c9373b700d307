"""A run's checkpoints: a folder for each, complete or absent, the last few and the best.

checkpoints/step-00001200/  student.weights.h5     one file a trained network, Keras' own format
                            training_state.npz     optimizer and random generators
                            progress.json          counts: step, epoch, records
best/                       student.weights.h5, progress.json
"""

import contextlib
import dataclasses
import io
import json
import pathlib
import re
import zipfile
import zlib

import numpy as np

from youtube8m_distill import files
from youtube8m_distill.checks import check_types
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.weights_file import load_weights

STEP_FOLDER = re.compile(r"step-(\d+)$")


class Checkpoints:
    """Saves and restores a scheme in training.

    Args:
        folder: the run's folder.
        max_to_keep: int. Step folders that stay; the best is kept apart.
        check: function without arguments that raises OSError where the folder is not this training's any more, called
            before anything is written; None for none.
    """

    def __init__(self, folder, max_to_keep=3, check=None):
        self.folder = pathlib.Path(folder)
        self.max_to_keep = max_to_keep
        self.check = check

    def save(self, scheme, progress):
        """Writes the folder of this step, then removes those past `max_to_keep`.

        Raises:
            OSError: with path and reason, if that fails. The checkpoints before stay as they are.
        """
        path = self.step_folder(progress.step)
        with self._writing(path) as temporary:
            _save_networks(scheme, temporary)
            np.savez(temporary / "training_state.npz", **_training_state(scheme))
            write_progress(temporary, progress)
        for step in self.steps()[: -self.max_to_keep]:
            files.remove_folder(self.step_folder(step))

    def save_best(self, scheme, progress):
        """Puts the scheme's weights of now in the place of the best ones.

        Raises:
            OSError: as of `save`.
        """
        with self._writing(self.folder / "best") as temporary:
            _save_networks(scheme, temporary)
            write_progress(temporary, progress)

    @contextlib.contextmanager
    def _writing(self, path):
        """As `files.atomic_path`, a folder made; but a run's folder that was removed meanwhile is not made anew."""
        if self.check is not None:
            self.check()
        with files.saying_what_failed(path):
            (self.folder / "checkpoints").mkdir(exist_ok=True)
        with files.atomic_path(path, make_parent=False) as temporary:
            temporary.mkdir()
            yield temporary

    def restore(self, scheme):
        """Brings the newest checkpoint back into a compiled scheme whose optimizer is built.

        Raises:
            ValueError: if it holds other variables than the scheme.
        """
        folder = self.step_folder(self.steps()[-1])
        variables, saved = _state_variables(scheme), _read_state(folder / "training_state.npz")
        _check_fits(variables, saved, folder)  # before anything of the scheme is changed
        for role, network in scheme.networks.items():
            load_weights(network, folder / f"{role}.weights.h5")
        for name, variable in variables.items():
            variable.assign(saved[name])

    def newest_progress(self):
        """Progress of the newest checkpoint, or a fresh one where there is none."""
        steps = self.steps()
        return read_progress(self.step_folder(steps[-1])) if steps else Progress()

    def steps(self):
        """Steps of the complete checkpoints there are, in order."""
        matches = [STEP_FOLDER.match(path.name) for path in (self.folder / "checkpoints").glob("step-*")]
        return sorted(int(match[1]) for match in matches if match)

    def step_folder(self, step):
        return self.folder / "checkpoints" / f"step-{step:08d}"


def read_progress(folder):
    """The Progress in a checkpoint folder.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it cannot be read.
    """
    path = pathlib.Path(folder) / "progress.json"
    try:
        progress = Progress(**json.loads(path.read_text(encoding="utf-8")))
        check_types(progress)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return progress


def write_progress(folder, progress):
    """Writes a Progress into a checkpoint folder."""
    (folder / "progress.json").write_text(json.dumps(dataclasses.asdict(progress), indent=2) + "\n", encoding="utf-8")


def save_weights(network, path):
    """Writes a network's weights to a file, in Keras' own format.

    Made up in memory first: on a disk that gets full, HDF5 (1.14.6) ends the process with a segmentation fault. It costs
    the weights' size in memory for as long as it takes, 0.3 s for 500 MB.

    Raises:
        OSError: if the file cannot be written.
    """
    content = _WeightsInMemory()
    network.save_weights(content)
    with open(path, "wb") as file:
        file.write(content.getbuffer())


class _WeightsInMemory(io.BytesIO):
    """A file in memory that has the name Keras asks for."""

    def __str__(self):
        return "memory.weights.h5"


def _save_networks(scheme, folder):
    for role, network in scheme.networks.items():
        save_weights(network, folder / f"{role}.weights.h5")


def _state_variables(scheme):
    """Everything that moves in training but the networks' weights: optimizer slots and random generators."""
    generators = [
        variable
        for network in scheme.networks.values()
        for variable in network.variables
        if not any(variable is weight for weight in network.weights)
    ]
    return {
        **{f"optimizer/{i}": variable for i, variable in enumerate(scheme.optimizer.variables)},
        **{f"generator/{i}": variable for i, variable in enumerate(generators)},
    }


def _training_state(scheme):
    return {name: np.asarray(variable) for name, variable in _state_variables(scheme).items()}


def _read_state(path):
    """Arrays by name. ValueError if the file is none of ours, or damaged."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:  # one of them for a pickle, which is not run
        raise ValueError(f"{path} is damaged, or no file of ours: {error}") from error


def _check_fits(variables, saved, folder):
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {name: value.shape for name, value in saved.items()}
    if expected != found:
        raise ValueError(
            f"{folder / 'training_state.npz'} does not fit this run: it was written by another version or "
            "configuration. Start anew in another folder, or from its weights."
        )
