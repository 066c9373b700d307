"""A run's configuration as JSON text and back, strictly."""

import json

import pydantic

from youtube8m_distill.config.network import network_config
from youtube8m_distill.config.run import RunConfig
from youtube8m_distill.config.video import FeatureConfig, FrameView
from youtube8m_distill.settings import as_setting_error

FORMAT = 4  # of config.json; raised when an older reader would misread it
FLAT_FORMAT = 2  # which had the settings of all families side by side in each network
UNIFORM_WAS_CENTERED = (FLAT_FORMAT, 3)  # formats in which `uniform` was the name of `centered`
DROPPED_FIELDS = ("skip_bad_records", "max_bad_fraction")  # of `training` in format 2
MAX_CHARACTERS = 2**20  # a real configuration has a few thousand


def to_json(config: RunConfig) -> str:
    """The text of a RunConfig."""
    return json.dumps({"format": FORMAT, **config.to_dict()}, indent=2) + "\n"


def from_json(text: str) -> RunConfig:
    """Reads a RunConfig from a text of `to_json`, in this format, 2, or 3. A missing field takes its default.

    Raises:
        ValueError: if the text is not a configuration, has an unknown or repeated field, or fails a check. No text
            raises any other error.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"not a run configuration: {len(text):,} characters are more than any has.")
    try:
        values = json.loads(text, object_pairs_hook=_without_repeats)
        found = values.pop("format", None) if isinstance(values, dict) else None
        if found not in (*UNIFORM_WAS_CENTERED, FORMAT) or isinstance(found, bool):
            raise ValueError(f'not a run configuration of this version (expected "format": {FORMAT}).')
        if found == FLAT_FORMAT:
            values = _from_flat(values)
        if found in UNIFORM_WAS_CENTERED:
            _rename_uniform(values)
        return RunConfig.model_validate_json(json.dumps(values))
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}.") from error
    except RecursionError:
        raise ValueError("not a run configuration: it is nested too deep.") from None
    except pydantic.ValidationError as error:
        raise as_setting_error(error, RunConfig) from None


def _without_repeats(pairs):
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError(f"not a run configuration: an object contains duplicates among {', '.join(values)[:100]}.")
    return values


def _from_flat(values):
    """The values of format 2 as those of this one."""
    networks = values.get("networks")
    if not isinstance(networks, dict):
        raise ValueError("not a run configuration: its networks are missing or malformed.")
    try:
        networks = {role: _network_from_flat(**flat).to_dict() for role, flat in networks.items()}
    except TypeError as error:
        raise ValueError(f"not a run configuration: its networks are missing or malformed ({error}).") from None
    if isinstance(values.get("training"), dict):
        values["training"] = {name: value for name, value in values["training"].items() if name not in DROPPED_FIELDS}
    return {**values, "networks": networks}


def _rename_uniform(values):
    """Gives the frame selection of older formats its present name."""
    networks = values.get("networks")
    for network in networks.values() if isinstance(networks, dict) else ():
        view = network.get("view") if isinstance(network, dict) else None
        if isinstance(view, dict) and view.get("frame_selection") == "uniform":
            view["frame_selection"] = "centered"


def _network_from_flat(features=None, frames=None, **flat):
    return network_config(
        features=FeatureConfig(**(features or {})),
        view=None if frames is None else FrameView(**frames),
        **{name: value for name, value in flat.items() if value is not None},
    )
