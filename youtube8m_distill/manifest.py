"""Manifests: JSON files that record what the contents of a folder depend on.

A command resumes in a folder with an equal manifest and refuses any other by naming the differences, so results of different
settings never mix.
"""

import json
import os
import pathlib
from collections.abc import Callable, Collection
from typing import Any

from youtube8m_distill import files
from youtube8m_distill.errors import SettingError, written


class Manifest:
    """The manifest of one folder.

    Args:
        path: of the JSON file, in the folder that it describes.
        settings: dict, everything the contents depend on, as JSON knows it.
        flag: name of the flag that names the folder, for messages.
        what: what the folder holds, in words: "a synthetic data set".
        section: key under which the file holds the settings; None for the whole file.
        may_change: names of settings that may differ; nested ones with dots, as in "training.num_epochs".
        remedy: what to do about other settings, besides giving the same ones.
        parse: function from the file's text to a dict.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        settings: dict[str, Any],
        *,
        flag: str,
        what: str,
        section: str | None = None,
        may_change: Collection[str] = (),
        remedy: str = "name another folder, or remove this one",
        parse: Callable[[str], dict[str, Any]] = json.loads,
    ):
        self.path = pathlib.Path(path)
        self.settings = settings
        self.flag, self.what, self.remedy = flag, what, remedy
        self.section, self.may_change, self.parse = section, may_change, parse

    @property
    def folder(self) -> pathlib.Path:
        return self.path.parent

    def check(self) -> dict[str, Any] | None:
        """Refuses a folder whose contents belong to other settings.

        Returns:
            dict, the file's contents; None if the folder is new or empty.
        Raises:
            SettingError: if the settings differ, or the folder holds files and no manifest. Nothing is changed.
        """
        contents = self.read()
        if contents is not None:
            differing = differences(
                contents if self.section is None else contents[self.section], self.settings, self.may_change
            )
            if differing:
                raise SettingError(
                    self.flag,
                    f"holds {self.what} with other settings: {'; '.join(differing)}. Give the same "
                    f"settings to resume, {self.remedy}.",
                    self.folder,
                )
        return contents

    def read(self) -> dict[str, Any] | None:
        """The file's contents as a dict; None if the folder is new or empty.

        Raises:
            SettingError: if the folder holds files and no manifest that can be read.
        """
        if not self.path.exists():
            entries = visible_entries(self.folder)
            if entries:
                raise SettingError(
                    self.flag,
                    f"is not empty and holds no {self.path.name}, so it does not hold {self.what} "
                    f"(first entry: {entries[0]}). Name a new or empty folder.",
                    self.folder,
                )
            return None
        try:
            contents = self.parse(self.path.read_text(encoding="utf-8"))
            if not isinstance(contents if self.section is None else contents[self.section], dict):
                raise ValueError("the settings are not an object")
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise SettingError(
                self.flag,
                f"its {self.path.name} cannot be read ({error}), so what it holds is unknown. Name "
                "another folder, or remove this one.",
                self.folder,
            ) from error
        return contents

    def write(self, **more: Any) -> None:
        """Writes the settings, and whatever else the file is to hold."""
        contents = self.settings if self.section is None else {self.section: self.settings}
        files.write_text(self.path, json.dumps({**contents, **more}, indent=2) + "\n")


def differences(there: dict, here: dict, may_change: Collection[str] = ()) -> list[str]:
    """The settings in which two dicts differ. A nested setting goes by its last name.

    >>> differences({"seed": 0, "network": {"cells": 4}}, {"seed": 1, "network": {"cells": 4}})
    ['seed (0 there, 1 here)']

    Args:
        there, here: dicts of JSON values.
        may_change: names to ignore.
    Returns:
        list of str, "name (value there, value here)"; empty where they agree.
    """
    there, here = flatten(there), flatten(here)
    return [
        f"{name.rpartition('.')[2]} ({_shown(there.get(name))} there, {_shown(here.get(name))} here)"
        for name in sorted(there.keys() | here.keys())
        if name not in may_change and there.get(name) != here.get(name)
    ]


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, with names joined by dots."""
    if not isinstance(values, dict) or prefix and not values:
        return {prefix[:-1]: values}
    return {name: value for key, nested in values.items() for name, value in flatten(nested, f"{prefix}{key}.").items()}


def visible_entries(folder: str | os.PathLike) -> list[str]:
    """Names of a folder's entries, sorted, without hidden files such as locks; empty if there is no folder."""
    folder = pathlib.Path(folder)
    if not folder.exists():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _shown(value):
    return "not set" if value is None else written(value) or "empty"
