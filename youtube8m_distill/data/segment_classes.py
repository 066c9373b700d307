"""The classes of the segment challenge: 1,000 of the 3,862 of YouTube-8M."""

import csv
import os
import pathlib

from youtube8m_distill.errors import SettingError

OFFICIAL_FILE = pathlib.Path(__file__).with_name("segment_label_ids.csv")
FLAG = "segment_label_ids_file"
HEADER = "Index"
MOST_DIGITS = 9  # so that a class fits into int32


def read_segment_classes(path: str | os.PathLike[str] | None = None) -> tuple[int, ...]:
    """The classes listed in a file, in its order: the first column of a CSV, with or without the header `Index`.

    >>> classes = read_segment_classes()
    >>> len(classes), classes[:3]
    (1000, (3, 7, 8))

    Args:
        path: None for the official list of the 3rd YouTube-8M challenge, which is part of the package.
    Raises:
        SettingError: about --segment_label_ids_file, if the file cannot be read or is not a list of different classes.
    """
    try:
        with open(path or OFFICIAL_FILE, newline="", encoding="utf-8-sig") as file:
            rows = [row[0].strip() if row else "" for row in csv.reader(file)]
    except OSError as error:
        raise SettingError(FLAG, f"cannot be read: {error.strerror}.", path) from error
    except (ValueError, csv.Error) as error:
        raise SettingError(FLAG, f"is not a list of classes: {error}.", path) from error
    classes = {}
    for number, text in enumerate(rows, start=1):
        if not text or number == 1 and text == HEADER:
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
            raise SettingError(FLAG, f"line {number}: {text[:40]!r} is not a class, a whole number from 0.", path)
        if int(text) in classes:
            raise SettingError(FLAG, f"lines {classes[int(text)]} and {number}: class {text} is a duplicate.", path)
        classes[int(text)] = number
    if not classes:
        raise SettingError(FLAG, "lists no class; write one class number per line.", path)
    return tuple(classes)
