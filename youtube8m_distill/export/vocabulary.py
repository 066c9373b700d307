"""Class names. Read without pandas, which would take half of the time in which a small file can be tagged."""

import csv
import io
import os
import re
from collections.abc import Mapping

FILE = "vocabulary.csv"  # in a folder with a network: the names of its classes
# Index and name of a class: official files of 2018 and later, of 2017; AudioSet's class_labels_indices.csv.
COLUMNS = {"Index": "Name", "label_id": "label_name", "index": "display_name"}


def read_vocabulary(path: str | os.PathLike) -> dict[int, str]:
    """Class names by index, from an official vocabulary, AudioSet's, or a text file with one name per line, class 0 first.

    A class whose name is empty is left out, and so is the byte order mark that spreadsheets write.

    Raises:
        ValueError, OSError: if the file is none of these, or cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader([file.readline()]), [])
            for index, name in COLUMNS.items():
                if {index, name} <= set(header):
                    file.seek(0)
                    return _read_table(file, index, name)
                if {index, name} <= set(re.split("[;\t]", "".join(header))):
                    raise ValueError("separates its columns with semicolons or tabs; write a CSV with commas.")
    except csv.Error as error:
        raise ValueError(f"is not a CSV file: {error}.") from error
    if len(header) > 1 and os.fspath(path).endswith(".csv"):
        known = "; ".join(f"{index} and {name}" for index, name in COLUMNS.items())
        raise ValueError(
            f"has the columns {', '.join(header)}. A vocabulary has {known}; or give a text file with one name per line."
        )
    with open(path, encoding="utf-8-sig") as file:  # its lines end at line breaks alone, not at U+2028 as in `splitlines`
        names = {number: name for number, line in enumerate(file) if (name := line.rstrip("\n"))}
    if not names:
        raise ValueError("is empty; give one name per line.")
    return names


def _read_table(file, index, name):
    names, rows = {}, csv.DictReader(file, strict=True)
    for row in rows:
        number = _number(row[index])
        if number is not None and number < 0:
            raise ValueError(f"line {rows.line_num}: {index} is {number}; class numbers start at 0.")
        if number is None or number in names:
            raise ValueError(f"its column {index} must hold each class number once.")
        names[number] = row[name]
    return {number: text for number, text in names.items() if text}


def _number(text):
    """The whole number that a text stands for, as 3 or 3.0; None for another text."""
    try:
        return int(float(text)) if float(text).is_integer() else None
    except (TypeError, ValueError, OverflowError):
        return None


def as_text(names: Mapping[int, str]) -> str:
    """Class names by index as the text of a table that `read_vocabulary` reads."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("Index", "Name"), *sorted(names.items())])
    return text.getvalue()
