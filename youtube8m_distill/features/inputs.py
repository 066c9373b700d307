"""The files that a command reads, each with its video id and its labels."""

import csv
import difflib
import glob
import os
import pathlib
import typing
from collections.abc import Mapping, Sequence

from youtube8m_distill.errors import SettingError
from youtube8m_distill.settings import require

COLUMNS = "file", "labels"
SEPARATOR = ";"  # between labels; names of classes may hold spaces and commas
MOST_DIGITS = 9  # of a label, so that it fits into int32


class InputFile(typing.NamedTuple):
    """A file, and what its record will say of the video."""

    path: pathlib.Path
    video_id: bytes
    labels: list[int] | None = None  # None if no labels are known


class Row(typing.NamedTuple):
    """A line of the CSV of labels."""

    number: int
    video_id: str  # "" for the name of the file
    labels: list[int]  # empty if the row has none


def find_files(names: Sequence[str]) -> list[pathlib.Path]:
    """The files that paths and globs name, without repetitions. SettingError if one names no file."""
    found = {}
    for name in names:
        matches = [name] if os.path.exists(name) else sorted(glob.glob(os.path.expanduser(name), recursive=True))
        require(matches, "FILE", "there is no such file.", name)
        for path in map(pathlib.Path, matches):
            require(not path.is_dir(), "FILE", f"is a folder; name the files in it, as in '{path}/*'.", path)
            require(path.is_file(), "FILE", "is not a regular file.", path)
            found.setdefault(path.resolve(), path)
    return list(found.values())


def input_files(paths: Sequence[pathlib.Path], rows: Mapping[str, Row] | None, source: str = "") -> list[InputFile]:
    """The files with their ids, by default their names without extension, and the labels of their rows.

    A row belongs to the file at its path or, if there is no such row, of its name.

    Args:
        rows: from `read_labels`; None for files without labels.
        source: the CSV that they are from.
    Raises:
        SettingError: if a file has no row or one without labels, two files have the same row, or two the same id.
    """
    found, used, ids = [], {}, {}
    for path in paths:
        row = None if rows is None else _row_of(path, rows, used, source)
        video_id = os.fsencode(row.video_id if row and row.video_id else path.stem)
        other = ids.setdefault(video_id, path)
        reason = f"has the same video id as {other}: {os.fsdecode(video_id)}. Rename it, or give ids in --labels."
        require(other == path, "FILE", reason, path)
        found.append(InputFile(path, video_id, row.labels if row else None))
    return found


def _row_of(path, rows, used, source):
    """The row of a file, which becomes that of no other: `used` maps numbers of rows to files."""
    row = rows.get(os.path.normpath(path)) or rows.get(path.name)
    require(row, "labels", f"has no row for {path}.", source)
    require(row.labels, "labels", f"row {row.number} ({path}) has no labels.", source)
    other = used.setdefault(row.number, path)
    require(other == path, "labels", f"row {row.number} is of both {other} and {path}: give paths as files.", source)
    return row


def read_labels(path: str | os.PathLike[str], names: Mapping[int, str] | None = None) -> dict[str, Row]:
    """The rows of a CSV with the columns file, labels and perhaps id, by file. Labels are separated by semicolons.

    Args:
        names: names of classes by number; without them, labels are numbers.
    Raises:
        SettingError: with the number of the row, if a column is missing, a file is repeated, or labels are repeated or
            unknown. `input_files` refuses rows without labels, since those of other files do not matter.
    """
    numbers = None if names is None else _numbers(names)
    rows = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheets write a byte order mark
            reader = csv.DictReader(file, skipinitialspace=True, restval="")
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            columns = "the first line names the columns file, labels, and perhaps id."
            quoted = " and no column ".join(map(repr, missing))
            require(not missing, "labels", f"has no column {quoted}; {columns}", path)
            for number, line in enumerate(reader, start=2):
                name = line["file"].strip()
                require(name, "labels", f"row {number} names no file.", path)
                reason = f"row {number} ({name}) has more fields than the first line. Separate labels with semicolons."
                require(not any(line.get(None, ())), "labels", reason, path)
                name = os.path.normpath(os.path.expanduser(name))
                require(name not in rows, "labels", f"row {number} repeats the file {name}.", path)
                try:
                    rows[name] = Row(number, (line.get("id") or "").strip(), _labels(line["labels"], numbers))
                except ValueError as error:
                    raise SettingError("labels", f"row {number} ({name}) {error}", path) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingError("labels", f"cannot be read: {error}", path) from error
    return rows


def _numbers(names):
    """Name of a class -> its numbers; several classes may have the same name."""
    found = {}
    for number, name in names.items():
        found.setdefault(name, []).append(number)
    return found


def _labels(text, numbers):
    """The numbers of the labels in a text, rising. ValueError if one is repeated or unknown."""
    names = [name.strip() for name in text.split(SEPARATOR) if name.strip()]
    labels = sorted(_label(name, numbers) for name in names)
    if len(set(labels)) < len(labels):
        raise ValueError(f"repeats a label: {text}.")
    return labels


def _label(name, numbers):
    """The number of a class from its name, if names are known, or from its digits."""
    number = int(name) if name.isascii() and name.isdigit() and len(name) <= MOST_DIGITS else None
    if numbers is None:
        if number is not None:
            return number
        raise ValueError(f"has the label {name!r}; give numbers of classes with ; between them, or names and --vocabulary.")
    if len(numbers.get(name, ())) == 1:
        return numbers[name][0]
    if name in numbers:
        raise ValueError(f"has the label {name!r}, the name of the classes {numbers[name]} of --vocabulary; give a number.")
    if number is not None and any(number in same for same in numbers.values()):
        return number
    near = difflib.get_close_matches(name, numbers, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(f"has the label {name!r}, which --vocabulary does not hold.{hint}")
