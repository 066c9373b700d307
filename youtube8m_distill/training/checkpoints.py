"""A run's checkpoints: a folder for each, complete or absent, the last few and the best.

    checkpoints/step-00001200/  student.weights.h5     one file a trained network, Keras' own format
                                training_state.npz     optimiser and random generators
                                progress.json          counts: step, epoch, records
    best/                       student.weights.h5, progress.json
"""

import dataclasses
import json
import pathlib
import re

import numpy as np

from youtube8m_distill import files
from youtube8m_distill.training.progress import Progress

STEP_FOLDER = re.compile(r"step-(\d+)$")


class Checkpoints:
    """Saves and restores a scheme in training.

    Args:
        folder: the run's folder.
        max_to_keep: int. Step folders that stay; the best is kept apart.
    """

    def __init__(self, folder, max_to_keep=3):
        self.folder = pathlib.Path(folder)
        self.max_to_keep = max_to_keep

    def save(self, scheme, progress):
        """Writes the folder of this step, then removes those past `max_to_keep`."""
        path = self.folder / "checkpoints" / f"step-{progress.step:08d}"
        with files.atomic_path(path) as temporary:
            temporary.mkdir()
            _save_networks(scheme, temporary)
            np.savez(temporary / "training_state.npz", **_training_state(scheme))
            write_progress(temporary, progress)
        for step in self.steps()[:-self.max_to_keep]:
            files.remove_folder(self.step_folder(step))

    def save_best(self, scheme, progress):
        """Puts the scheme's weights of now in the place of the best ones."""
        with files.atomic_path(self.folder / "best") as temporary:
            temporary.mkdir()
            _save_networks(scheme, temporary)
            write_progress(temporary, progress)

    def restore(self, scheme):
        """Brings the newest checkpoint back into a compiled scheme whose optimiser is built.

        Raises:
            ValueError: if it holds other variables than the scheme.
        """
        folder = self.step_folder(self.steps()[-1])
        variables = _state_variables(scheme)
        with np.load(folder / "training_state.npz", allow_pickle=False) as saved:
            _check_fits(variables, saved, folder)           # before anything of the scheme is changed
            for role, network in scheme.networks.items():
                network.load_weights(folder / f"{role}.weights.h5")
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
    """The Progress in a checkpoint folder."""
    return Progress(**json.loads((pathlib.Path(folder) / "progress.json").read_text(encoding="utf-8")))


def write_progress(folder, progress):
    """Writes a Progress into a checkpoint folder."""
    (folder / "progress.json").write_text(json.dumps(dataclasses.asdict(progress), indent=2) + "\n", encoding="utf-8")


def _save_networks(scheme, folder):
    for role, network in scheme.networks.items():
        network.save_weights(folder / f"{role}.weights.h5")


def _state_variables(scheme):
    """Everything that moves in training but the networks' weights: optimiser slots and random generators."""
    generators = [variable for network in scheme.networks.values() for variable in network.variables
                  if not any(variable is weight for weight in network.weights)]
    return {**{f"optimizer/{i}": variable for i, variable in enumerate(scheme.optimizer.variables)},
            **{f"generator/{i}": variable for i, variable in enumerate(generators)}}


def _training_state(scheme):
    return {name: np.asarray(variable) for name, variable in _state_variables(scheme).items()}


def _check_fits(variables, saved, folder):
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {name: saved[name].shape for name in saved.files}
    if expected != found:
        raise ValueError(f"{folder / 'training_state.npz'} does not fit this run: it was written by another version or "
                         "configuration. Start anew in another folder, or from its weights.")
