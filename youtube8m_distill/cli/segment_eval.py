"""Scores a CSV of ranked segments against the ratings of segments in labeled files."""

import json
import pathlib

import numpy as np
import pandas as pd

from youtube8m_distill import files, runs
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS
from youtube8m_distill.cli.values import exclusions, vocabulary
from youtube8m_distill.data.rated_segments import check_rated, read_rated_segments
from youtube8m_distill.data.segment_classes import read_segment_classes
from youtube8m_distill.errors import SettingError
from youtube8m_distill.export.named import write_per_class
from youtube8m_distill.export.segments import read_classes, read_segments
from youtube8m_distill.metrics.segment_map import map_of_submission

SHOWN = 5  # classes that a message names


def main():
    with entry.user_errors():
        names = vocabulary()
        classes = read_segment_classes(FLAGS.segment_label_ids_file or None)
        with entry.about("predictions"):
            check_classes(read_classes(FLAGS.predictions), classes)
        shards = runs.find_shards("labels", FLAGS.labels, exclusions=exclusions())
        check_rated("labels", FLAGS.labels, shards)
        rated = read_rated_segments(shards)
        listed = np.isin(rated.classes, classes)
        if not listed.any():
            reason = "rates none of the classes of the list; give another --segment_label_ids_file."
            raise SettingError("labels", reason, FLAGS.labels)
        with entry.about("predictions"):
            submission = Submission(FLAGS.predictions, FLAGS.top_n)
            result = map_of_submission(submission.rankings(), rated.by_class(), classes, FLAGS.top_n)
        known = submission.video_ids & set(rated.video_ids)
        if not known:
            raise SettingError("predictions", no_known_video(submission, rated), FLAGS.predictions)
    record = {
        "format": 1,
        "predictions": FLAGS.predictions,
        "labels": FLAGS.labels,
        "top_n": FLAGS.top_n,
        "map_at_k": result.map_at_k,
        "map_at_k_all_classes": result.map_at_k_all_classes,
        "num_classes": len(classes),
        "num_classes_with_positives": int(np.count_nonzero(result.num_positives)),
        "num_rated": int(result.num_rated.sum()),
        "num_positives": int(result.num_positives.sum()),
        "num_submitted": submission.num_segments,
        "num_submitted_rated": int(result.num_ranked.sum()),
        "num_submitted_videos": len(submission.video_ids),
        "num_submitted_videos_rated": len(known),
    }
    if FLAGS.output_dir:
        write(pathlib.Path(FLAGS.output_dir), record, result, names)
    print(table(record))
    if not listed.all():
        left_out = np.count_nonzero(~listed)
        print(f"{left_out:,} rated pairs of {len(set(rated.classes[~listed])):,} classes outside the list are left out.")
    if FLAGS.output_dir:
        print(f"Written to {FLAGS.output_dir}: metrics.json, per_class.csv.")


class Submission:
    """The CSV of --predictions, and what it was found to hold once `rankings` has been read to its end."""

    def __init__(self, path, top_n):
        self.path, self.top_n = path, top_n
        self.num_segments, self.video_ids = 0, set()  # segments that count, and all videos

    def rankings(self):
        """Yields (class, list of (video id, start)) row by row."""
        for row in read_segments(self.path):
            self.num_segments += min(len(row.video_ids), self.top_n)
            self.video_ids.update(row.video_ids)
            yield row.class_index, list(zip(row.video_ids, np.asarray(row.starts).tolist()))


def check_classes(submitted, classes):
    """Raises ValueError if classes of a submission are not on the list."""
    unknown = sorted(set(submitted) - set(classes))
    if unknown:
        more = ", ..." if len(unknown) > SHOWN else ""
        shown = ", ".join(map(str, unknown[:SHOWN])) + more
        raise ValueError(
            f"holds {len(unknown):,} class(es) that are not among the {len(classes):,} of the list: {shown}. "
            "Give the right list with --segment_label_ids_file."
        )


def no_known_video(submission, rated):
    """What is wrong with a submission of which no video is rated."""
    if not submission.video_ids:
        return "names no segment."
    ours, theirs = (min(ids).decode("utf-8", "backslashreplace") for ids in (submission.video_ids, rated.video_ids))
    return (
        f"none of its {len(submission.video_ids):,} videos, such as {ours}, is rated in --labels={FLAGS.labels}, "
        f"which has videos such as {theirs}. Score predictions of the same files."
    )


def write(folder, record, result, names):
    """Writes metrics.json and per_class.csv."""
    columns = ("average_precision", "num_positives", "num_rated", "num_ranked")
    rows = pd.DataFrame({name: getattr(result, name) for name in columns}, index=result.classes)
    try:
        files.write_text(folder / "metrics.json", json.dumps(record, indent=2) + "\n")
        write_per_class(folder / "per_class.csv", rows, names)
    except OSError as error:
        entry.fail(f"--output_dir={folder}: cannot be written to: {error}")


def table(record):
    """The metrics and counts as aligned lines."""
    metric = f"MAP@{record['top_n']}"
    shares = {
        "submitted pairs, rated": ("num_submitted", "num_submitted_rated"),
        "submitted videos, rated": ("num_submitted_videos", "num_submitted_videos_rated"),
    }
    lines = [
        f"{record['predictions']} against {record['labels']}",
        _line(f"{metric}, classes with positives", f"{record['map_at_k']:.4f}"),
        _line(f"{metric}, all classes", f"{record['map_at_k_all_classes']:.4f}"),
        _line("classes with positives", f"{record['num_classes_with_positives']:,} of {record['num_classes']:,}"),
        _line("rated pairs, positive", f"{record['num_positives']:,} of {record['num_rated']:,}"),
        *(_line(title, f"{record[part]:,} of {record[whole]:,}") for title, (whole, part) in shares.items()),
    ]
    return "\n".join(lines)


def _line(title, value):
    return f"  {title:<36}{value:>20}"
