"""A cascade's folder: the networks that answer videos in turn, cheapest first, and when each of them is sure enough.

cascade.json    the runs and their weights, calibrations, thresholds, and the frontier that the thresholds were chosen from
gates.npz       with --criterion=gate: the weights of each gate; arrays only, read without pickle
"""

import dataclasses
import hashlib
import io
import json
import math
import os
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydantic

from youtube8m_distill import files
from youtube8m_distill.config import CascadeSettings
from youtube8m_distill.errors import SettingError
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.metrics.calibration import Calibration
from youtube8m_distill.runs.gate import Gate
from youtube8m_distill.runs.run import CASCADE_FILE, CONFIG_FILE, Run, open_run
from youtube8m_distill.settings import as_setting_error, require

FORMAT = 1  # of cascade.json
FILE, GATES = CASCADE_FILE, "gates.npz"


@dataclasses.dataclass(frozen=True)
class Cascade:
    """A cascade of trained networks, as its folder describes it."""

    folder: pathlib.Path
    settings: CascadeSettings
    gates: tuple[Gate, ...] = ()  # of all networks but the last, with criterion gate

    @property
    def calibrations(self) -> tuple[Calibration, ...]:
        return tuple(Calibration(stage.a, stage.b, stage.c) for stage in self.settings.stages)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Of all networks but the last; infinity: answers no video."""
        return tuple(math.inf if stage.threshold is None else stage.threshold for stage in self.settings.stages[:-1])

    def open_runs(self) -> list[Run]:
        """The runs of the networks, found from the cascade's folder or, if only that was moved, by their absolute paths.

        Raises:
            FileNotFoundError, ValueError: if one is missing or cannot be read.
        """
        found = []
        for stage in self.settings.stages:
            relative = pathlib.Path(os.path.normpath(self.folder / stage.relative_train_dir))
            found.append(open_run(relative if (relative / CONFIG_FILE).is_file() else stage.train_dir))
        return found


def is_cascade(folder: str | os.PathLike) -> bool:
    """Whether a folder holds a cascade."""
    return bool(os.fspath(folder)) and (pathlib.Path(folder) / FILE).is_file()


def open_cascade(folder: str | os.PathLike) -> Cascade:
    """The cascade in a folder, as `yt8m cascade` wrote it.

    Raises:
        FileNotFoundError, ValueError: if there is none, or it cannot be read.
    """
    folder = pathlib.Path(folder)
    if not is_cascade(folder):
        raise FileNotFoundError(f"{str(folder)!r} holds no cascade: it has no {FILE}.")
    try:
        settings = _parse((folder / FILE).read_text(encoding="utf-8"))
        return Cascade(folder, settings, _read_gates(folder, settings))
    except ValueError as error:
        raise ValueError(f"the cascade in {folder} cannot be read: {error}") from error


def check_folder(folder: str | os.PathLike) -> None:
    """Raises SettingError (output_dir) if a cascade cannot be written there: the folder holds something else."""
    files.check_output("output_dir", folder, folder=True)
    _manifest(pathlib.Path(folder), {}).read()


def write_cascade(folder: str | os.PathLike, settings: CascadeSettings, gates: Sequence[Gate] = ()) -> Cascade:
    """Writes a cascade to a new or empty folder, or replaces the one there; `gates_sha256` is filled in.

    Raises:
        SettingError, OSError: as `check_folder`, or if it cannot be written.
    """
    folder = pathlib.Path(folder)
    check_folder(folder)
    content = io.BytesIO()
    if gates:
        arrays: dict[str, Any] = {f"weights_{index}": gate.weights for index, gate in enumerate(gates)}
        np.savez(content, **arrays, bias=np.array([gate.bias for gate in gates]))
        settings = settings.replace(gates_sha256=hashlib.sha256(content.getbuffer()).hexdigest())
    # First: if this is interrupted, the same command finds a cascade to replace, not a folder with something else.
    _manifest(folder, {"format": FORMAT, **settings.to_dict()}).write()
    if gates:
        with files.atomic_path(folder / GATES) as temporary:
            temporary.write_bytes(content.getbuffer())
    else:
        (folder / GATES).unlink(missing_ok=True)
    return Cascade(folder, settings, tuple(gates))


def _manifest(folder, settings):
    return Manifest(folder / FILE, settings, flag="output_dir", what="a cascade")


def _parse(text):
    try:
        values = json.loads(text)
        found = values.pop("format", None) if isinstance(values, dict) else None
        require(found == FORMAT, "format", f"this version reads only {FORMAT}.", found)
        return CascadeSettings.model_validate_json(json.dumps(values))
    except pydantic.ValidationError as error:
        raise as_setting_error(error, CascadeSettings) from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _read_gates(folder, settings):
    """The Gate of each network but the last; none without the criterion gate."""
    if settings.options.criterion != "gate":
        return ()
    try:
        content = (folder / GATES).read_bytes()
        if hashlib.sha256(content).hexdigest() != settings.gates_sha256:
            raise ValueError(f"{GATES} belongs to another {FILE}, or is damaged")
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            biases = found["bias"].tolist()
            return tuple(Gate(found[f"weights_{i}"], biases[i]) for i in range(len(settings.stages) - 1))
    except (OSError, LookupError, zipfile.BadZipFile) as error:
        raise SettingError("criterion", f"its {GATES} cannot be read ({error}).", settings.options.criterion) from error
