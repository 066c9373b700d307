"""The Kaggle CSV of the YouTube-8M challenges: the best classes of each video with their confidences.

    VideoId,LabelConfidencePairs
    abcd,1 0.9 2 0.5 4 0.123457

Pairs have the format of the starter code's `inference.py` since 2018: "%i %g" with single spaces, 6 significant digits.

Ids are written byte for byte, even if they are not UTF-8. An id is quoted only if it contains a character that some program
treats as a separator, and gets a leading apostrophe only if a spreadsheet could treat it as a formula (`formula_guard`).
`read_predictions` restores every id. Pandas reads them, with the apostrophes, by `read_csv(path, dtype=str,
keep_default_na=False)`; for ids that are not UTF-8, add `encoding_errors="surrogateescape"` and use `id.encode("utf-8",
"surrogateescape")`.
"""

import array
import contextlib
import csv
import gzip
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from youtube8m_distill import files
from youtube8m_distill.export.formula_guard import spreadsheet_safe, without_protection
from youtube8m_distill.settings import require

HEADER = b"VideoId,LabelConfidencePairs\n"
GZIP_LEVEL = 6  # gzip's default; Python's default 9 takes twice as long for files 0.6 % smaller
QUOTED = ',;"\t\r\n'  # spreadsheets split cells at semicolons in countries with decimal commas


class Predictions(NamedTuple):
    """The contents of a Kaggle CSV."""

    video_ids: list[bytes]  # N
    classes: np.ndarray  # int32 [N, k], the best class of each video first
    scores: np.ndarray  # float32 [N, k]


Path = str | os.PathLike[str]
Batch = tuple[Sequence[bytes] | np.ndarray, ArrayLike, ArrayLike]


def write_predictions(path: Path, rows: Iterable[Batch], top_k: int | None = None) -> int:
    """Writes predictions batch by batch, in their order, and returns how many. Memory does not grow with their number.

    The file is written atomically: on an error, an older file at `path` stays.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_predictions(f"{folder}/p.csv", [([b"abcd"], [[1, 2]], [[0.9, 0.5]])])
    ...     read_predictions(f"{folder}/p.csv").video_ids
    1
    [b'abcd']

    Args:
        path: of the CSV; compressed if it ends with `.gz`, equal rows to equal bytes. Its folder is created.
        rows: batches (video_ids, classes, scores), as for `csv_lines`.
        top_k: pairs to write for each video; None for all k.
    Raises:
        SettingError, ValueError: if `top_k` is below 1, or a batch is invalid, as in `csv_lines`.
    """
    require(top_k is None or top_k >= 1, "top_k", "write at least 1 class a video.", top_k)
    count = 0
    with files.atomic_path(path) as temporary, open_for_writing(temporary) as file:
        file.write(HEADER)
        for video_ids, classes, scores in rows:
            file.write(b"".join(csv_lines(video_ids, np.asarray(classes)[..., :top_k], np.asarray(scores)[..., :top_k])))
            count += len(video_ids)
    return count


def compress(source: Path, path: Path) -> None:
    """Compresses a finished CSV to the bytes that `write_predictions` writes to a `.gz` for the same rows."""
    with open(source, "rb") as file, open_for_writing(path) as packed:
        shutil.copyfileobj(file, packed, 2**20)


@contextlib.contextmanager
def open_for_writing(path: Path) -> Iterator[Any]:
    """A file for writing bytes, compressed if its name ends with `.gz`."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "wb"))
        if os.fspath(path).endswith(".gz"):  # without a name and time, so that equal rows give equal bytes
            file = stack.enter_context(gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0))
        yield file


def csv_lines(video_ids: Sequence[bytes | str] | np.ndarray, classes: ArrayLike, scores: ArrayLike) -> list[bytes]:
    """The lines of a batch, each with its line break.

    >>> csv_lines([b"abcd"], [[1, 2]], [[0.9, 0.123456789]])
    [b'abcd,1 0.9 2 0.123457\\n']

    Args:
        video_ids: B ids.
        classes, scores: integers and float [B, k], the best class of each video first.
    Raises:
        ValueError: if shapes do not fit, a score is not finite, scores increase, a class is negative or an id contains a
            zero byte.
    """
    classes, scores = np.asarray(classes), np.asarray(scores)
    _check(video_ids, classes, scores)
    # One conversion per batch and one format per row are faster than formatting pairs.
    pairs = np.empty((len(classes), 2 * classes.shape[1]), object)  # Python ints and floats in turn
    pairs[:, 0::2], pairs[:, 1::2] = classes, scores
    template = "%s," + " ".join(["%i %g"] * classes.shape[1]) + "\n"
    lines = (template % (_field(video_id), *row) for video_id, row in zip(video_ids, pairs.tolist()))
    return [line.encode("utf-8", "surrogateescape") for line in lines]


def _field(video_id):
    """An id as a CSV field, in which bytes that are not UTF-8 are surrogate escapes."""
    text = video_id if isinstance(video_id, str) else video_id.decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise ValueError(f"video id {video_id!r} contains a zero byte, which CSV readers drop.")
    return quoted(spreadsheet_safe(text))


def quoted(text: str) -> str:
    """A text as a CSV field, quoted only if it contains a character that some program treats as a separator."""
    # By hand, since Python's csv module does not quote a lone carriage return before Python 3.13.
    return '"' + text.replace('"', '""') + '"' if any(special in text for special in QUOTED) else text


def _check(video_ids, classes, scores):
    """Raises for a batch that would make an invalid file."""
    if classes.ndim != 2 or classes.shape != scores.shape or len(video_ids) != len(classes) or not classes.shape[1]:
        found = f"{len(video_ids)} ids, classes {classes.shape} and scores {scores.shape}"
        raise ValueError(f"A batch must be (video_ids [B], classes [B, k], scores [B, k]). Received {found}.")
    if classes.dtype.kind not in "iu":
        raise ValueError(f"classes must be integers from 0. Received dtype {classes.dtype}.")
    if classes.size and classes.min() < 0:
        raise ValueError(f"classes must be integers from 0. Received {classes.dtype}, lowest {classes.min()}.")
    for holds, words in (
        (np.isfinite(scores), "be finite. They are not"),
        (scores[:, 1:] <= scores[:, :-1], "not increase within a row, the best class first. They do"),
    ):
        if not holds.all():
            raise ValueError(f"scores must {words} for video {video_ids[int(np.argmin(holds.all(axis=1)))]!r}.")


def read_predictions(path: Path) -> Predictions:
    """Reads a CSV from `write_predictions`, compressed if it ends with `.gz`, and restores every id.

    Raises:
        FileNotFoundError, ValueError: if there is no such file, or it is not such a CSV, with as many pairs in every row.
    """
    video_ids, numbers = [], array.array("d")
    opened = gzip.open if os.fspath(path).endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, []) != HEADER.decode().strip().split(","):
                raise ValueError(f"its first line is not {HEADER.decode().strip()}")
            for video_id, pairs in rows:
                video_ids.append(without_protection(video_id).encode("utf-8", "surrogateescape"))
                numbers.extend(map(float, pairs.split(" ")))
        table = np.array(numbers).reshape(len(video_ids), -1, 2) if video_ids else np.zeros((0, 0, 2))
    except (ValueError, csv.Error, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a CSV of predictions with an equal number of pairs per row: {error}.") from error
    return Predictions(video_ids, table[..., 0].astype(np.int32), table[..., 1].astype(np.float32))
