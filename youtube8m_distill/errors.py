"""Errors that a user can fix: an invalid setting, a record that cannot be used, a file that cannot be reached."""

import re
from typing import Any

UNSET = object()
LONGEST_MESSAGE = 300  # characters of an error of another library
ANSI_CODE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # such as Keras's for bold text


class SettingError(ValueError):
    """A setting that is invalid, named so that a command line can point at the flag.

    `reason` is a sentence: what is wrong, and what to do. `value` is what was received; omit it if nothing was.

    >>> str(SettingError("batch_size", "must be at least 1.", 0))
    'batch_size=0: must be at least 1.'
    >>> str(SettingError("train_dir", "is missing."))
    'train_dir: is missing.'
    """

    def __init__(self, name: str, reason: str, value: Any = UNSET):
        super().__init__(name, reason, value)
        self.name, self.reason, self.value = name, reason, value

    def __str__(self) -> str:
        value = "" if self.value is UNSET else f"={written(self.value)}"
        return f"{self.name}{value}: {self.reason}"


class BadRecordError(ValueError):
    """A record that cannot be used. The message is one line: file, record number (counted from 0) and reason."""


def duplicate_video(video_id: bytes, place: str, first: str) -> ValueError:
    """The error for a video id that occurs twice, at two places such as "file PATH, record NUMBER"."""
    return ValueError(
        f"{place}: video id {video_id!r} is a duplicate of {first}. Every video counts once: exclude one of the two."
    )


class UnreachableError(OSError):
    """A file that cannot be read where it is. `path` is its path, or the glob of files that were looked for."""

    def __init__(self, path: str, message: str):
        super().__init__(message)
        self.path = path


def in_one_line(error: BaseException, longest: int = LONGEST_MESSAGE) -> str:
    """The message of another library's error in one line, without ANSI codes; cut after a word if it is long.

    >>> in_one_line(ValueError("no \\x1b[1mweights\\x1b[0m\\n  found here"), longest=16)
    'no weights…'
    """
    text = " ".join(ANSI_CODE.sub("", str(error)).split())
    if len(text) <= longest:
        return text
    cut = text[:longest]
    return f"{cut.rpartition(' ')[0] or cut}…"


def written(value: Any) -> str:
    """A value as a user writes it on a command line: `a,b` for a list, `true` for True."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(written, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
