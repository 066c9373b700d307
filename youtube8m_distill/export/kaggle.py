"""The Kaggle CSV of the YouTube-8M challenges: the best classes of each video with their confidences.

    VideoId,LabelConfidencePairs
    abcd,1 0.9 2 0.5 4 0.123457

Pairs are written as by the starter code's `inference.py` since 2018, "%i %g" with single spaces: 6 significant digits.

An id is written byte for byte, also one that is not UTF-8; in quotes only if it holds a comma, another character that some
program takes for a separator, a quote or a line break; with an apostrophe in front only if a spreadsheet could take it for a
formula (`spreadsheet`). `read_predictions` gives every id back as it was. Pandas alone gives them back with
`read_csv(path, dtype=str, keep_default_na=False)`, but for the apostrophes; where ids may not be UTF-8, add
`encoding_errors="surrogateescape"` and take `id.encode("utf-8", "surrogateescape")`.
"""

import array
import contextlib
import csv
import gzip
import os
import shutil
import zlib
from typing import NamedTuple

import numpy as np

from youtube8m_distill import files
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export.spreadsheet import spreadsheet_safe, without_protection

HEADER = b"VideoId,LabelConfidencePairs\n"
GZIP_LEVEL = 6  # gzip's own default; Python's is 9: half the speed for files 0.6 % smaller
QUOTED = ',;"\t\r\n'  # a spreadsheet of a country with decimal commas begins a new cell at a semicolon


class Predictions(NamedTuple):
    """What a Kaggle CSV holds."""

    video_ids: list  # of bytes, N
    classes: np.ndarray  # int32 [N, k], the best class of each video first
    scores: np.ndarray  # float32 [N, k]


def write_predictions(path, rows, top_k=None):
    """Writes predictions, batch after batch in the order they come; memory does not grow with their number.

    The file takes its name when it is complete; on an error, what stood at `path` before still stands. A path that ends
    with `.gz` is compressed, the same rows always to the same bytes.

    Args:
        path: where the CSV goes. Its folder is created.
        rows: iterable of batches (video_ids, classes, scores): a sequence of B bytes, integers [B, k] and float [B, k],
            the best class of each video first.
        top_k: pairs written for each video, None for all k; all k too if there are fewer.
    Returns:
        The number of videos written.
    Raises:
        ValueError: if `csv_lines` refuses a batch or `top_k` is below 1.
    """
    if top_k is not None and top_k < 1:
        raise SettingError("top_k", "write at least 1 class a video.", top_k)
    count = 0
    with files.atomic_path(path) as temporary, _open(temporary) as file:
        file.write(HEADER)
        for video_ids, classes, scores in rows:
            file.write(b"".join(csv_lines(video_ids, np.asarray(classes)[..., :top_k], np.asarray(scores)[..., :top_k])))
            count += len(video_ids)
    return count


def compress(source, path):
    """Writes a finished, uncompressed CSV to `path` as the `.gz` that `write_predictions` gives for the same rows."""
    with open(source, "rb") as file, _open(path) as packed:
        shutil.copyfileobj(file, packed, 2**20)


@contextlib.contextmanager
def _open(path):
    """A file to write bytes to, compressed if the name says so."""
    with open(path, "wb") as file:
        if not os.fspath(path).endswith(".gz"):
            yield file
        else:
            # Neither name nor time inside, or two runs would differ.
            with gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0) as packed:
                yield packed


def csv_lines(video_ids, classes, scores):
    """The lines of a batch.

    Args:
        video_ids: sequence of B bytes (or str).
        classes, scores: integers and float [B, k], the best class of each video first.
    Returns:
        list of bytes, each with its line break.
    Raises:
        ValueError: if shapes do not fit, a score is not finite, scores rise, a class is negative or an id holds a zero
            byte.
    """
    classes, scores = np.asarray(classes), np.asarray(scores)
    _check(video_ids, classes, scores)
    # One conversion for the batch and one format for a row: 250,000 rows/s at k = 20 on one core, 160,000 pair by pair.
    pairs = np.empty((len(classes), 2 * classes.shape[1]), object)  # Python's int and float by turns
    pairs[:, 0::2], pairs[:, 1::2] = classes, scores
    template = "%s," + " ".join(["%i %g"] * classes.shape[1]) + "\n"
    return [
        (template % (csv_field(video_id), *row)).encode("utf-8", "surrogateescape")
        for video_id, row in zip(video_ids, pairs.tolist())
    ]


def csv_field(video_id):
    """An id, bytes or str, as a CSV field: str, in which bytes that are not UTF-8 are surrogate escapes.

    The csv module would leave a lone carriage return unquoted before Python 3.13.

    Raises:
        ValueError: if it holds a zero byte.
    """
    text = video_id if isinstance(video_id, str) else video_id.decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise ValueError(f"video id {video_id!r} holds a zero byte, which CSV readers drop: it would not come back.")
    text = spreadsheet_safe(text)
    if any(special in text for special in QUOTED):
        return '"' + text.replace('"', '""') + '"'
    return text


def _check(video_ids, classes, scores):
    """Refuses a batch that would make a wrong file."""
    if classes.ndim != 2 or classes.shape != scores.shape or len(video_ids) != len(classes) or not classes.shape[1]:
        raise ValueError(
            "A batch must be (video_ids [B], classes [B, k], scores [B, k]). Received "
            f"{len(video_ids)} ids, classes {classes.shape} and scores {scores.shape}."
        )
    if classes.dtype.kind not in "iu" or (classes.size and classes.min() < 0):
        raise ValueError(
            f"classes must be integers from 0. Received dtype {classes.dtype}, "
            f"lowest {classes.min() if classes.size else 'none'}."
        )
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"scores must be finite. Received NaN or infinity for video "
            f"{video_ids[int(np.argmin(finite))]!r}: the model's predictions are not numbers."
        )
    falling = (scores[:, 1:] <= scores[:, :-1]).all(axis=1)
    if not falling.all():
        raise ValueError(
            "scores must fall along a row, the best class first. Video "
            f"{video_ids[int(np.argmin(falling))]!r} has one that rises."
        )


def read_predictions(path):
    """Reads a CSV that was written here, with every id as it was.

    Args:
        path: the CSV; one that ends with `.gz` is compressed.
    Returns:
        Predictions.
    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is not such a CSV, or its rows do not all have as many pairs.
    """
    video_ids, numbers = [], array.array("d")
    try:
        with (gzip.open if os.fspath(path).endswith(".gz") else open)(
            path, "rt", encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            rows = csv.reader(file, strict=True)
            if next(rows, []) != HEADER.decode().strip().split(","):
                raise ValueError(f"its first line is not {HEADER.decode().strip()}")
            for video_id, pairs in rows:
                video_ids.append(without_protection(video_id).encode("utf-8", "surrogateescape"))
                numbers.extend(map(float, pairs.split(" ")))
        table = np.array(numbers).reshape(len(video_ids), -1, 2) if video_ids else np.zeros((0, 0, 2))
    except (ValueError, csv.Error, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a CSV of predictions, all with as many pairs: {error}.") from error
    return Predictions(video_ids, table[..., 0].astype(np.int32), table[..., 1].astype(np.float32))
