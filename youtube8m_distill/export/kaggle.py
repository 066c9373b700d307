"""The Kaggle CSV of the YouTube-8M challenges: the best classes of each video with their confidences.

    VideoId,LabelConfidencePairs
    abcd,1 0.9 2 0.5 4 0.123457

Pairs are written as by the starter code's `inference.py` since 2018, "%i %g" with single spaces: 6 significant digits.
"""

import contextlib
import gzip
import io
import os

import numpy as np

from youtube8m_distill import files

HEADER = "VideoId,LabelConfidencePairs\n"
GZIP_LEVEL = 6                  # gzip's own default; Python's is 9: half the speed for files 0.6 % smaller


def write_predictions(path, rows, top_k=None):
    """Writes predictions, batch after batch in the order they come; memory does not grow with their number.

    The file takes its name when it is complete; on an error, what stood at `path` before still stands. A path that ends
    with `.gz` is compressed, the same rows always to the same bytes.

    An id is written byte for byte, also one that is not UTF-8, and in quotes only if it holds a comma, a quote or a
    line break. Pandas gives it back with `read_csv(path, dtype=str, keep_default_na=False)`; where ids may not be
    UTF-8, add `encoding_errors="surrogateescape"` and take `id.encode("utf-8", "surrogateescape")`.

    Args:
        path: where the CSV goes. Its folder is created.
        rows: iterable of batches (video_ids, classes, scores): a sequence of B bytes, integers [B, k] and float [B, k],
            the best class of each video first.
        top_k: pairs written for each video, None for all k; all k too if there are fewer.
    Returns:
        The number of videos written.
    Raises:
        ValueError: if shapes do not fit, a score is not finite, scores rise, a class is negative, an id holds a zero
            byte or `top_k` is below 1.
    """
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k}: write at least 1 class a video.")
    count = 0
    with files.atomic_path(path) as temporary, _open_text(temporary) as file:
        file.write(HEADER)
        for video_ids, classes, scores in rows:
            classes, scores = np.asarray(classes)[..., :top_k], np.asarray(scores)[..., :top_k]
            _check(video_ids, classes, scores)
            file.write("".join(_lines(video_ids, classes, scores)))
            count += len(video_ids)
    return count


@contextlib.contextmanager
def _open_text(path):
    """A text file to write to, UTF-8 with raw bytes let through, compressed if the name says so."""
    with contextlib.ExitStack() as stack:
        binary = stack.enter_context(open(path, "wb"))
        if os.fspath(path).endswith(".gz"):
            # Neither name nor time inside, or two runs would differ.
            binary = stack.enter_context(gzip.GzipFile("", "wb", GZIP_LEVEL, binary, mtime=0))
        yield stack.enter_context(io.TextIOWrapper(binary, "utf-8", "surrogateescape", newline="\n"))


def _lines(video_ids, classes, scores):
    """The CSV lines of a batch."""
    # One conversion for the batch and one format for a row: 250,000 rows/s at k = 20 on one core, 160,000 pair by pair.
    pairs = np.empty((len(classes), 2 * classes.shape[1]), object)              # Python's int and float by turns
    pairs[:, 0::2], pairs[:, 1::2] = classes, scores
    template = "%s," + " ".join(["%i %g"] * classes.shape[1]) + "\n"
    return [template % (_field(video_id), *row) for video_id, row in zip(video_ids, pairs.tolist())]


def _field(video_id):
    """An id as a CSV field. The csv module would leave a lone carriage return unquoted before Python 3.13."""
    text = video_id if isinstance(video_id, str) else video_id.decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise ValueError(f"video id {video_id!r} holds a zero byte, which CSV readers drop: it would not come back.")
    if any(special in text for special in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _check(video_ids, classes, scores):
    """Refuses a batch that would make a wrong file."""
    if classes.ndim != 2 or classes.shape != scores.shape or len(video_ids) != len(classes) or not classes.shape[1]:
        raise ValueError("A batch must be (video_ids [B], classes [B, k], scores [B, k]). Received "
                         f"{len(video_ids)} ids, classes {classes.shape} and scores {scores.shape}.")
    if classes.dtype.kind not in "iu" or (classes.size and classes.min() < 0):
        raise ValueError(f"classes must be integers from 0. Received dtype {classes.dtype}, "
                         f"lowest {classes.min() if classes.size else 'none'}.")
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        raise ValueError(f"scores must be finite. Received NaN or infinity for video "
                         f"{video_ids[int(np.argmin(finite))]!r}: the model's predictions are not numbers.")
    falling = (scores[:, 1:] <= scores[:, :-1]).all(axis=1)
    if not falling.all():
        raise ValueError("scores must fall along a row, the best class first. Video "
                         f"{video_ids[int(np.argmin(falling))]!r} has one that rises.")
