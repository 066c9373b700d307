"""`export.json` of an exported network: what it reads and where it comes from. Imports no TensorFlow."""

import json
import os
import pathlib
from typing import NamedTuple

import pydantic

from youtube8m_distill.config import NetworkConfig, Reading
from youtube8m_distill.config.export import Format
from youtube8m_distill.settings import as_setting_error, require

FILE = "export.json"
FORMAT = 1  # of the file


class Exported(NamedTuple):
    """What the program that runs an exported network needs to know of it."""

    format: Format
    name: str  # what messages call it, as in "student of step 7"
    config: NetworkConfig
    reading: Reading  # how the records of its run were read
    seed: int | None  # of the run, for random frames; None in files of earlier versions
    inputs: dict[str, tuple[tuple[int | None, ...], str]]  # name -> shape and dtype


def exported_folder(path: str | os.PathLike) -> pathlib.Path | None:
    """The folder of an exported network, from its path or that of the LiteRT file in it; None for any other path."""
    path = pathlib.Path(path)
    if path.suffix == ".tflite":
        return path.parent
    return path if (path / FILE).is_file() else None


def read_export(folder: str | os.PathLike) -> Exported:
    """The `export.json` in a folder that `yt8m export` wrote.

    Raises:
        OSError, ValueError: naming the file, if it cannot be read.
    """
    path = pathlib.Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {FILE}, which `yt8m export` writes beside a network.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        require(found["format"] == FORMAT, "format", f"this version reads only {FORMAT}.", found["format"])
        network = {name: found[name] for name in NetworkConfig.model_fields}
        return Exported(
            format=found["verification"]["format"],
            name=f"{found['network']} of step {found['checkpoint_step']}",
            config=_parsed(NetworkConfig, network),
            reading=_parsed(Reading, found.get("reading", {})),
            seed=None if found.get("seed") is None else int(found["seed"]),
            inputs={name: (tuple(spec["shape"]), spec["dtype"]) for name, spec in found["inputs"].items()},
        )
    except KeyError as error:
        raise ValueError(f"{path} cannot be read: it has no {error}.") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _parsed(kind, values):
    try:
        return kind.model_validate_json(json.dumps(values))
    except pydantic.ValidationError as error:
        raise as_setting_error(error, kind) from None
