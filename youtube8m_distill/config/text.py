"""A run's configuration as JSON text and back, strictly."""

import dataclasses
import json
import typing

from youtube8m_distill.checks import require
from youtube8m_distill.config.network import SETTINGS
from youtube8m_distill.config.run import RunConfig

FORMAT = 2                          # of config.json; raised when an older reader would misread it
MAX_CHARACTERS = 2 ** 20            # a configuration has a few thousand; what is longer is something else


def to_json(config):
    """A RunConfig as text. Tuples become lists; settings that a family does not have are left out."""
    values = {"format": FORMAT, **dataclasses.asdict(config)}
    for network in values["networks"].values():
        for name in SETTINGS:
            if network[name] is None:
                del network[name]
    return json.dumps(values, indent=2) + "\n"


def from_json(text):
    """The RunConfig that `to_json` wrote. A field that is not there takes its default.

    Raises:
        ValueError: if the text is no such configuration, has a field unknown here or twice, or fails a check. Nothing else,
            whatever the text.
    """
    require(len(text) <= MAX_CHARACTERS, f"not a run configuration: {len(text):,} characters are more than any has.")
    try:
        values = json.loads(text, object_pairs_hook=_without_repeats)
        require(isinstance(values, dict) and values.pop("format", None) == FORMAT,
                f"not a run configuration of this version (expected \"format\": {FORMAT}).")
        return _read(RunConfig, values)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}.") from error
    except RecursionError:
        raise ValueError("not a run configuration: it is nested too deep.") from None


def _without_repeats(pairs):
    values = dict(pairs)
    require(len(values) == len(pairs), f"not a run configuration: among {', '.join(values)[:100]} a name stands twice.")
    return values


def _read(kind, value):
    """A JSON value with configurations wherever the annotation `kind` asks for them; the rest is theirs to check."""
    if not isinstance(value, dict):
        return value
    options = typing.get_args(kind)
    if typing.get_origin(kind) is dict:
        return {key: _read(options[1], item) for key, item in value.items()}
    classes = [option for option in options or (kind,) if dataclasses.is_dataclass(option)]
    return _build(classes[0], value) if classes else value


def _build(cls, values):
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(values.keys() - fields.keys())
    require(not unknown, f"{cls.__name__} has no field {', '.join(unknown)}.")
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in values]
    require(not missing, f"{cls.__name__} lacks {', '.join(missing)}.")
    return cls(**{name: _read(fields[name].type, value) for name, value in values.items()})
