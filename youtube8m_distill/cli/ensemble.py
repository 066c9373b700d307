"""Averages the prediction CSVs of several networks."""

import itertools
import math
import os
import time

from youtube8m_distill import display
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.data.ids import SeenVideos, hash_ids
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export import write_predictions
from youtube8m_distill.export.ensemble import average_rows

CHUNK = 1024  # rows that are written together


def main(*paths):
    with entry.user_errors():
        check_files(paths)
        weights, started = weights_of(paths), time.monotonic()
        rows = without_duplicates(average_rows(paths, weights, FLAGS.top_k), paths[0])
        count = write_predictions(FLAGS.output_file, rows)
    shares = " + ".join(f"{weight / sum(weights):.4g} {path}" for path, weight in zip(paths, weights))
    print(f"{count} video{'' if count == 1 else 's'} in {time.monotonic() - started:.1f} s: {FLAGS.output_file} = {shares}")


def check_files(paths):
    """Raises SettingError unless there are two files or more, and none of them would be overwritten."""
    if len(paths) < 2:
        example = f"`{entry.program('ensemble')} a.csv b.csv --output_file=average.csv`"
        raise SettingError("FILE", f"name two or more CSVs of predictions, as in {example}.", *paths)
    for path in paths:
        if not os.path.exists(path) or os.path.isdir(path):
            raise SettingError("FILE", "is not a file.", path)
        if os.path.realpath(path) == os.path.realpath(FLAGS.output_file):
            raise SettingError("output_file", "is also an input file; name another.", FLAGS.output_file)


def weights_of(paths):
    """The numbers of --weights, one for each file."""
    given = FLAGS.weights or ["1"] * len(paths)
    try:
        weights = [float(text) for text in given]
    except ValueError:
        raise SettingError("weights", "give numbers, as in 0.7,0.3.", given) from None
    if not all(0 < weight < math.inf for weight in weights):
        raise SettingError("weights", "give finite numbers above 0; leave out a file that should not count.", given)
    if len(weights) != len(paths):
        raise SettingError("weights", f"names {len(weights)} weight(s) for {len(paths)} files.", given)
    return weights


def without_duplicates(averages, path):
    """Yields batches for `write_predictions`; ValueError if a video id occurs twice in the first file, `path`."""
    seen = SeenVideos()
    with display.ProgressBar(None, "ensemble", "videos") as bar:
        while chunk := list(itertools.islice(averages, CHUNK)):
            repeat = seen.add(hash_ids(row.video_id for row in chunk), 0, [row.line for row in chunk])
            if repeat is not None:
                index, (_, first) = repeat
                row = chunk[index]
                video_id = row.video_id.decode("utf-8", "backslashreplace")
                reason = f"video {video_id!r} is a duplicate of line {first}. Remove one of them."
                raise ValueError(f"{path}, line {row.line}: {reason}")
            for row in chunk:
                yield [row.video_id], [row.classes], [row.scores]
            bar.update(len(chunk))
