"""Averages CSVs of predictions (`kaggle`) row by row, so memory does not grow with their number of rows.

Confidences and weights are added as decimals, without rounding. So equal averages are recognized as equal, and a file that
is averaged with itself comes out unchanged.
"""

import csv
import decimal
import gzip
import itertools
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from youtube8m_distill.export.formula_guard import without_protection
from youtube8m_distill.export.kaggle import HEADER

Path = str | os.PathLike[str]
LARGEST_CLASS = 2**31 - 1  # the largest that `kaggle.read_predictions` can hold
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")  # Python would also accept 1_0
# Weights are below 1e309, and the last digit of a product of two floats is above 1e-700: the sums have fewer digits.
EXACT = decimal.Context(prec=1100, traps=[decimal.Inexact, decimal.InvalidOperation])
ROUNDED = decimal.Context(prec=50)


class Row(NamedTuple):
    """A video's row in a file."""

    line: int  # where it begins, from 1
    video_id: bytes
    confidences: dict[int, Decimal]  # by class, in the order of the file


class Average(NamedTuple):
    """A video's row in the average: the best classes first."""

    line: int  # where the video's row begins in the first file
    video_id: bytes
    classes: list[int]
    scores: list[float]


def average_rows(paths: Sequence[Path], weights: Sequence[float], top_k: int) -> Iterator[Average]:
    """The average of each video's rows in several files, in their order.

    A class that a file does not list counts as 0 there. Classes with equal averages are ordered by their places in the
    files, weighted and counted from the end of a row, then by their number. Without the places, a file whose six digits
    hide which class is better would not come out unchanged.

    Args:
        paths: CSVs as `write_predictions` writes them, with the same videos in the same order; the header may be missing.
        weights: a number above 0 for each file; they are divided by their sum.
        top_k: classes to keep.
    Raises:
        OSError, ValueError: naming file and line, if a file cannot be read, a row is invalid, or the videos differ.
    """
    decimals = [_decimal(weight) for weight in weights]
    for rows in itertools.zip_longest(*map(read_rows, paths)):
        _require_one_video(paths, rows)
        yield Average(rows[0].line, rows[0].video_id, *_average(rows, decimals, top_k))


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of one file, compressed if it ends with `.gz`, without the byte order mark that spreadsheets write.

    Errors are those of `average_rows`.
    """
    opened = gzip.open if os.fspath(path).endswith(".gz") else open
    begin = 1
    with opened(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            for fields in reader:
                if begin > 1 or fields != HEADER.decode().strip().split(","):
                    yield _row(begin, fields)
                begin = reader.line_num + 1
        except (ValueError, csv.Error, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path}, line {begin}: {error}") from error


def _row(line, fields):
    """The Row of a line's fields; a ValueError says what is wrong with it."""
    if len(fields) != 2:
        raise ValueError(f"has {len(fields)} field(s) instead of a video id and its pairs of class and confidence.")
    video_id, pairs = without_protection(fields[0]).encode("utf-8", "surrogateescape"), fields[1].split()
    if not pairs or len(pairs) % 2:
        raise ValueError(f"holds {len(pairs)} number(s) instead of pairs of class and confidence.")
    classes = [_class(text) for text in pairs[0::2]]
    confidences = dict(zip(classes, map(_confidence, pairs[1::2])))
    if len(confidences) < len(classes):
        raise ValueError(f"lists class {next(c for c in classes if classes.count(c) > 1)} more than once.")
    return Row(line, video_id, confidences)


def _class(text):
    if not (text.isascii() and text.isdecimal() and int(text) <= LARGEST_CLASS):
        raise ValueError(f"class {text!r} is not a whole number from 0 to {LARGEST_CLASS}.")
    return int(text)


def _confidence(text):
    value = float(text) if NUMBER.fullmatch(text) else None
    if value is None or not 0 <= value <= 1:
        raise ValueError(f"confidence {text!r} is not a number from 0 to 1.")
    return _decimal(value)


def _decimal(value):
    """The shortest decimal that stands for a float."""
    return Decimal(repr(value))


def _require_one_video(paths, rows):
    """Raises ValueError unless the rows, one of each file or None after its end, are of the same video."""
    known = next(index for index, row in enumerate(rows) if row is not None)
    for path, row in zip(paths, rows):
        if row is None or row.video_id != rows[known].video_id:
            here = f"{path} ends" if row is None else f"{path}, line {row.line}: video {_text(row.video_id)}"
            where = f"{paths[known]}, line {rows[known].line}, has video {_text(rows[known].video_id)}"
            advice = "The files must hold the same videos in the same order: predict the same files, or sort each by id."
            raise ValueError(f"{here}, but {where}. {advice}")


def _text(video_id):
    return repr(video_id.decode("utf-8", "backslashreplace"))


def _average(rows, weights, top_k):
    """The best classes of some rows of one video, and their averages."""
    sums, places, total = {}, {}, Decimal(0)
    for row, weight in zip(rows, weights):
        total = EXACT.add(total, weight)
        for place, (c, confidence) in enumerate(row.confidences.items()):
            sums[c] = EXACT.fma(weight, confidence, sums.get(c, Decimal(0)))
            # Relative to the end of the row, where a class that is not listed would be.
            places[c] = EXACT.fma(weight, Decimal(place - len(row.confidences)), places.get(c, Decimal(0)))
    best = sorted(sums, key=lambda c: (sums[c].copy_negate(), places[c], c))[:top_k]  # a minus sign would round
    return best, [float(ROUNDED.divide(sums[c], total)) for c in best]
