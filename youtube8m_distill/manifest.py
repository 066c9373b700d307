"""Manifests: JSON files that record what the contents of a folder depend on, so results of different settings never mix."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Collection
from typing import Any

from youtube8m_distill import files
from youtube8m_distill.errors import SettingError, written


@dataclasses.dataclass
class Manifest:
    """The manifest of one folder."""

    path: pathlib.Path  # of the JSON file, in the folder that it describes
    settings: dict[str, Any]  # everything the contents depend on, as JSON knows it
    _: dataclasses.KW_ONLY
    flag: str  # name of the flag that names the folder, for messages
    what: str  # what the folder holds, in words: "a synthetic data set"
    section: str | None = None  # key under which the file holds the settings; None for the whole file
    may_change: Collection[str] = ()  # names of settings that may differ; nested ones with dots: "training.num_epochs"
    remedy: str = "name another folder, or remove this one"  # besides giving the same settings
    parse: Callable[[str], dict[str, Any]] = json.loads  # the file's text -> dict

    def check(self) -> dict[str, Any] | None:
        """What `read` returns. SettingError if the contents belong to other settings. Nothing is changed."""
        contents = self.read()
        if contents is not None:
            differing = differences(self._settings_in(contents), self.settings, self.may_change)
            if differing:
                raise self._error(
                    f"holds {self.what} with other settings: {'; '.join(differing)}. Give the same settings to resume, "
                    f"{self.remedy}."
                )
        return contents

    def read(self) -> dict[str, Any] | None:
        """The file's contents; None if the folder is new or empty. SettingError if it holds files and no valid manifest."""
        if not self.path.exists():
            entries = sorted(path.name for path in self.path.parent.glob("[!.]*"))  # without hidden files such as locks
            if entries:
                raise self._error(
                    f"is not empty and holds no {self.path.name}, so it does not hold {self.what} (first entry: "
                    f"{entries[0]}). Name a new or empty folder."
                )
            return None
        try:
            contents = self.parse(self.path.read_text(encoding="utf-8"))
            if not isinstance(self._settings_in(contents), dict):
                raise ValueError("the settings are not an object")
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise self._error(
                f"its {self.path.name} cannot be read ({error}), so what it holds is unknown. Name another folder, or "
                "remove this one."
            ) from error
        return contents

    def write(self, **more: Any) -> None:
        """Writes the settings, and whatever else the file is to hold."""
        contents = self.settings if self.section is None else {self.section: self.settings}
        files.write_text(self.path, json.dumps({**contents, **more}, indent=2) + "\n")

    def _settings_in(self, contents):
        return contents if self.section is None else contents[self.section]

    def _error(self, reason):
        return SettingError(self.flag, reason, self.path.parent)


def differences(there: dict, here: dict, may_change: Collection[str] = ()) -> list[str]:
    """The settings in which two dicts differ. A nested setting goes by its last name.

    >>> differences({"seed": 0, "network": {"cells": 4}}, {"seed": 1, "network": {"cells": 4}})
    ['seed (0 there, 1 here)']

    Names in `may_change` are ignored.
    """

    def shown(value):
        return "not set" if value is None else written(value) or "empty"

    there, here = flatten(there), flatten(here)
    return [
        f"{name.rpartition('.')[2]} ({shown(there.get(name))} there, {shown(here.get(name))} here)"
        for name in sorted(there.keys() | here.keys())
        if name not in may_change and there.get(name) != here.get(name)
    ]


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with names joined by dots."""
    if not isinstance(values, dict) or prefix and not values:
        return {prefix[:-1]: values}
    return {name: value for key, nested in values.items() for name, value in flatten(nested, f"{prefix}{key}.").items()}
