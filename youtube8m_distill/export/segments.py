"""The CSV of the segment challenge: for each class its segments, best first.

    Class,Segments
    3,6l0e:100 6l0e:115 5x0Q:120

A segment is `video_id:start`, with the start in whole seconds. Ids are written byte for byte and contain no whitespace. A
row is quoted, or gets a leading apostrophe, only where `kaggle` does so, too; `read_segments` restores every id.
"""

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from youtube8m_distill import files
from youtube8m_distill.export.formula_guard import spreadsheet_safe, without_protection
from youtube8m_distill.export.kaggle import Path, open_for_writing, quoted

HEADER = b"Class,Segments\n"
HEADERS = (["class", "segments"], ["class id", "segment ids"])  # Kaggle names the columns in two ways
BOM = b"\xef\xbb\xbf"  # that some spreadsheets write at the start of a file
# Without a bracket, a quote, |, ! or a leading operator other than -, a cell of segments can neither call a function nor
# name a file. One in 64 YouTube ids starts with -.
HARMLESS = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_: -]*")
MOST_DIGITS = 9  # of a class or a start, so that it fits into int32


class ClassSegments(NamedTuple):
    """The segments of one class, best first."""

    class_index: int
    video_ids: Sequence[bytes]  # N
    starts: Sequence[int] | np.ndarray  # integers [N]


def write_segments(path: Path, rows: Iterable[ClassSegments], classes: Sequence[int]) -> int:
    """Writes one row per class of a list, in its order, and returns how many segments they name. One row is in memory.

    The file is written atomically: on an error, an older file at `path` stays.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_segments(f"{folder}/s.csv", [ClassSegments(7, [b"abcd", b"efgh"], [5, 0])], classes=[3, 7])
    ...     [row.video_ids for row in read_segments(f"{folder}/s.csv")]
    2
    [[], [b'abcd', b'efgh']]

    Args:
        path: of the CSV; compressed if it ends with `.gz`, equal rows to equal bytes. Its folder is created.
        rows: in the order of `classes`. A class without one gets an empty row.
        classes: the class list.
    Raises:
        ValueError: if a row is of a class that is not listed, or out of order; if ids and starts are not equally many, a
            start is not a whole number from 0, or an id contains whitespace or a zero byte.
    """
    count, remaining = 0, iter(classes)
    with files.atomic_path(path) as temporary, open_for_writing(temporary) as file:
        file.write(HEADER)
        for row in rows:
            for c in remaining:
                if c == row.class_index:
                    break
                file.write(b"%d,\n" % c)
            else:
                raise ValueError(f"class {row.class_index} is not in the class list, or its row is out of order.")
            segments = _segments(row)
            file.write(b"%d,%s\n" % (c, _cell(segments)))
            count += len(segments)
        file.writelines(b"%d,\n" % c for c in remaining)
    return count


def _segments(row):
    """The segments of a row as bytes, `video_id:start` each."""
    starts = np.asarray(row.starts)
    if starts.shape != (len(row.video_ids),):
        found = f"{len(row.video_ids)} ids and starts {starts.shape}"
        raise ValueError(f"class {row.class_index} must have one start for each id. Received {found}.")
    if starts.size and (starts.dtype.kind not in "iu" or starts.min() < 0 or starts.max() >= 10**MOST_DIGITS):
        found = f"dtype {starts.dtype}, {starts.min()} to {starts.max()}"
        raise ValueError(f"starts of class {row.class_index} must be whole seconds from 0. Received {found}.")
    segments = [b"%s:%d" % pair for pair in zip(row.video_ids, starts.tolist())]
    text = b" ".join(segments)
    if b"\0" in text or text.split() != segments:
        bad = next(pair for pair in zip(row.video_ids, segments) if b"\0" in pair[0] or pair[1].split() != [pair[1]])
        raise ValueError(f"video id {bad[0]!r} contains whitespace or a zero byte, which no list of segments can hold.")
    return segments


def _cell(segments):
    text = b" ".join(segments).decode("utf-8", "surrogateescape")
    return quoted(text if HARMLESS.fullmatch(text) else spreadsheet_safe(text)).encode("utf-8", "surrogateescape")


def read_segments(path: Path) -> Iterator[ClassSegments]:
    """Reads the rows of such a CSV one by one, in their order; `starts` are int32 [N].

    The header may be missing, or be Kaggle's `Class Id,Segment Ids`. A file that ends with `.gz` is compressed.

    Raises:
        OSError, ValueError: if the file cannot be read, or is not such a CSV; with the file, the line and the reason.
    """
    for number, c, cell in _rows(path):
        video_ids, starts = [], []
        for segment in cell.split():
            video_id, colon, start = segment.rpartition(b":")
            if not colon:
                raise ValueError(f"{path}, line {number}: {_shown(segment)} is not `video_id:start`.")
            if not start.isdigit() or len(start) > MOST_DIGITS:
                reason = f"the start of {_shown(segment)} is not a whole number of seconds from 0"
                raise ValueError(f"{path}, line {number}: {reason}.")
            video_ids.append(video_id)
            starts.append(int(start))
        yield ClassSegments(c, video_ids, np.array(starts, np.int32))


def read_classes(path: Path) -> list[int]:
    """The class of each row of such a CSV, without a look at its segments. Raises what `read_segments` raises."""
    return [c for _, c, _ in _rows(path)]


def _rows(path):
    """Yields (number of the line from 1, class, cell of segments as bytes)."""
    # Not with Python's csv module, which limits fields to 128 KiB: a row of 100,000 segments has about 1 MB.
    lines_of = {}
    for number, line in enumerate(_lines(path), start=1):
        first, comma, cell = line.rstrip(b"\r\n").partition(b",")
        first, cell = _unquoted(first).strip(), _unquoted(cell)
        if not first and not comma or number == 1 and _is_header(first, cell):
            continue
        if not first.isdigit() or len(first) > MOST_DIGITS:
            reason = f"{_shown(first)} is not a class, a whole number from 0"
            raise ValueError(f"{path}, line {number}: {reason}.")
        if not comma:
            raise ValueError(f"{path}, line {number}: has no comma after the class; write `class,segments`.")
        c = int(first)
        if c in lines_of:
            raise ValueError(f"{path}, line {number}: class {c} is a duplicate of line {lines_of[c]}.")
        lines_of[c] = number
        yield number, c, without_protection(cell.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _lines(path):
    opened: Any = gzip.open if os.fspath(path).endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            for number, line in enumerate(file):
                yield line if number else line.removeprefix(BOM)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a complete gzip file: {error}.") from error
    except OSError as error:
        raise OSError(f"{path} cannot be read: {error.strerror}.") from error


def _is_header(first, cell):
    return [text.decode("utf-8", "replace").strip().lower() for text in (first, cell)] in HEADERS


def _unquoted(field):
    is_quoted = len(field) > 1 and field.startswith(b'"') and field.endswith(b'"')
    return field[1:-1].replace(b'""', b'"') if is_quoted else field


def _shown(text):
    return repr(text[:40].decode("utf-8", "backslashreplace"))
