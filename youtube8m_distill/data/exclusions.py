"""The list of records to skip: a CSV file with the columns file, record and reason.

An empty record number stands for the unreadable rest of a file, or for all of it. Files are recognized by their names, so
that the folder may move; where two have the same name, by their paths.
"""

import collections
import csv
import dataclasses
import io
import os
import typing
from collections.abc import Sequence

from youtube8m_distill import files
from youtube8m_distill.data.find_files import real_path
from youtube8m_distill.data.tfrecord import BadFileError, Shard, count_readable, count_records
from youtube8m_distill.errors import SettingError

COLUMNS = ["file", "record", "reason"]
FORMULA = ("=", "+", "-", "@")  # what makes a spreadsheet take a cell for a formula
FLAG = "exclude_records"


class Fault(typing.NamedTuple):
    """What is wrong with one record of a file; with `record` None, with the rest of the file or all of it."""

    path: str
    record: int | None
    reason: str

    def __str__(self):
        return f"{self.path}{'' if self.record is None else f', record {self.record}'}: {self.reason}"


def write_exclusions(path: str | os.PathLike, report: typing.Any) -> None:
    """Writes the faults of a check.CheckReport as an exclusion list. OSError if the file cannot be written."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for fault in report.faults:
        name = f"./{fault.path}" if fault.path.startswith(FORMULA) else fault.path
        rows.writerow((name, "" if fault.record is None else fault.record, fault.reason))
    files.write_text(path, text.getvalue().encode("utf-8", "backslashreplace").decode())


def read_exclusions(path: str | os.PathLike) -> tuple[Fault, ...]:
    """The faults on an exclusion list. SettingError if the file cannot be read or is not such a list."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        if header != COLUMNS:
            raise ValueError(f"its first line is not {','.join(COLUMNS)}")
        return tuple(map(_fault, rows))
    except OSError as error:
        raise SettingError(FLAG, f"cannot be read: {error.strerror}.", path) from error
    except (ValueError, csv.Error) as error:
        raise SettingError(FLAG, f"is not an exclusion list: {error}. Write one with `yt8m check`.", path) from error


def _fault(row):
    if len(row) != len(COLUMNS) or not (row[1] == "" or row[1].isdecimal()):
        raise ValueError(f"{','.join(row)[:100]!r} is not a file, a record number and a reason")
    return Fault(row[0], int(row[1]) if row[1] else None, row[2])


def match(shards: Sequence[Shard], exclusions: Sequence[Fault], required: bool = True) -> dict[str, list[Fault]]:
    """The entries of an exclusion list that are about these files: path of a shard -> faults.

    SettingError if there is none, unless the list is empty or, with `required=False`, may be about other files.
    """
    by_path = {real_path(shard.path): shard.path for shard in shards}
    by_name, found = collections.defaultdict(list), collections.defaultdict(list)
    for shard in shards:
        by_name[os.path.basename(shard.path)].append(shard.path)
    different = {real_path(fault.path): fault.path for fault in exclusions}  # the files on the list
    listed = collections.Counter(map(os.path.basename, different.values()))  # name -> how many of these
    for fault in exclusions:
        name = os.path.basename(fault.path)
        is_unique = len(by_name[name]) == listed[name] == 1
        path = by_name[name][0] if is_unique else by_path.get(real_path(fault.path))
        if path is not None:
            found[path].append(fault)
    if exclusions and required and not found:
        first = exclusions[0].path
        raise SettingError(
            FLAG, f"the list names none of the files to read; its first entry is {first}. Give the list of these."
        )
    return dict(found)


def without(shards: Sequence[Shard], faults: dict[str, list[Fault]]) -> tuple[Shard, ...]:
    """The shards without the records that `match` found; files without any other record are dropped.

    BadFileError if no record is left.
    """
    found = [_excluding(shard, faults[shard.path]) if shard.path in faults else shard for shard in shards]
    left = tuple(filter(None, found))
    if not left:
        raise BadFileError(f"{shards[0].path}: every record is excluded.")
    return left


def exclude(shards: Sequence[Shard], exclusions: Sequence[Fault]) -> tuple[Shard, ...]:
    """The shards without the records on an exclusion list. Raises what `match` and `without` raise."""
    return without(shards, match(shards, exclusions))


def _excluding(shard, faults):
    """A shard without some records; None if no other is left."""
    records = {fault.record for fault in faults}
    if shard.problem:
        return None if None in records else shard
    readable = count_readable(shard)[0] if None in records else None
    shard = dataclasses.replace(shard, excluded=tuple(sorted(records - {None})), readable=readable)
    return shard if count_records((shard,), at_most=1) else None
