"""yt8m segment-eval: MAP@K of a CSV of ranked segments."""

import json
import math

import pandas as pd
import pytest

from tests import commands, oracles, records
from youtube8m_distill.export import ClassSegments, write_segments

CLASSES = [7, 3, 11, 8]  # of the challenge
# Rated pairs by class. Class 8 has no positive, class 11 is not submitted.
RATED = {
    7: {(b"abcd", 0): True, (b"abcd", 5): False, (b"efgh", 0): True},
    3: {(b"efgh", 0): True},
    11: {(b"abcd", 0): True},
    8: {(b"abcd", 0): False},
}
RANKINGS = {7: [(b"wxyz", 15), (b"abcd", 0), (b"abcd", 5), (b"efgh", 0)], 3: [(b"abcd", 0), (b"efgh", 0)], 8: [(b"abcd", 0)]}


def write_labels(folder, rated):
    """Writes one record per video, and one without ratings; returns the glob."""
    videos = [records.frame_record(records.random_frames(2), b"none", [1])]
    for video_id in sorted({video for ratings in rated.values() for video, _ in ratings}):
        own = [
            (c, start, true) for c, ratings in rated.items() for (video, start), true in ratings.items() if video == video_id
        ]
        videos.append(
            records.frame_record(
                records.random_frames(2),
                video_id,
                segment_labels=[c for c, _, _ in own],
                segment_start_times=[start for _, start, _ in own],
                segment_end_times=[start + 5 for _, start, _ in own],
                segment_scores=[float(true) for _, _, true in own],
            )
        )
    return commands.write_files(folder, "validate", videos, files=1)


def write_csv(path, rankings, classes=CLASSES):
    rows = (ClassSegments(c, *zip(*rankings[c])) for c in classes if rankings.get(c))
    write_segments(path, rows, classes)
    return path


@pytest.fixture
def labels(tmp_path):
    return write_labels(tmp_path / "labels", RATED)


@pytest.fixture
def predictions(tmp_path):
    return write_csv(tmp_path / "segments.csv", RANKINGS)


def arguments(predictions, labels, *others):
    return ("segment-eval", f"--predictions={predictions}", f"--labels={labels}", *others)


def test_both_means_and_the_counts_are_printed_and_written(tmp_path, predictions, labels):
    (tmp_path / "names.txt").write_text("\n".join("a b c d e f =g() Car i j k l".split()))
    out = tmp_path / "out"
    options = (f"--output_dir={out}", f"--vocabulary={tmp_path}/names.txt")
    ended = commands.succeed(*arguments(predictions, labels, *options))
    by_class = oracles.average_precisions_at_k(RANKINGS, RATED, CLASSES, 100_000)
    record = json.loads((out / "metrics.json").read_text())
    assert record.pop("map_at_k") == pytest.approx(sum(by_class.values()) / 3)
    assert record.pop("map_at_k_all_classes") == pytest.approx(sum(by_class.values()) / 1000)
    assert record == {
        "format": 1,
        "predictions": str(predictions),
        "labels": labels,
        "top_n": 100_000,
        "num_classes": 1000,
        "num_classes_with_positives": 3,
        "num_rated": 6,
        "num_positives": 4,
        "num_submitted": 7,
        "num_submitted_rated": 5,
        "num_submitted_videos": 3,
        "num_submitted_videos_rated": 2,
    }
    assert [line.split("  ")[-1].strip() for line in ended.out.splitlines()[1:-1]] == [
        f"{sum(by_class.values()) / 3:.4f}",
        f"{sum(by_class.values()) / 1000:.4f}",
        "3 of 1,000",
        "4 of 6",
        "5 of 7",
        "2 of 3",
    ]
    assert ended.out.splitlines()[-1] == f"Written to {out}: metrics.json, per_class.csv."
    rows = pd.read_csv(out / "per_class.csv", index_col="class")
    assert list(rows.columns) == ["name", "average_precision", "num_positives", "num_rated", "num_ranked"]
    assert len(rows) == 1000 and rows["name"][7] == "Car"
    assert rows["average_precision"][7] == pytest.approx(by_class[7]) and rows["average_precision"][11] == 0
    assert math.isnan(rows["average_precision"][8])
    assert rows.loc[[7, 3, 11, 8], "num_positives"].tolist() == [2, 1, 1, 0]
    assert rows.loc[[7, 3, 11, 8], "num_rated"].tolist() == [3, 1, 1, 1]
    assert rows.loc[[7, 3, 11, 8], "num_ranked"].tolist() == [3, 1, 0, 1]


def test_top_n_and_a_list_of_classes_are_used(tmp_path, labels):
    (tmp_path / "ids.csv").write_text("Index\n7\n3\n")
    predictions = write_csv(tmp_path / "segments.csv.gz", {7: RANKINGS[7], 3: RANKINGS[3]}, [7, 3])
    out = tmp_path / "out"
    options = (f"--segment_label_ids_file={tmp_path}/ids.csv", "--top_n=2", f"--output_dir={out}")
    ended = commands.succeed(*arguments(predictions, labels, *options))
    # Of class 7, wxyz:15 and abcd:0 count, and of two positives one is found; class 3: efgh:0, after one that is not rated.
    record = json.loads((out / "metrics.json").read_text())
    assert record["map_at_k"] == record["map_at_k_all_classes"] == pytest.approx((1 / 2 + 1) / 2)
    assert (record["num_submitted"], record["num_submitted_rated"]) == (4, 2)
    assert "MAP@2, all classes" in ended.out
    assert "2 rated pairs of 2 classes outside the list are left out." in ended.out.splitlines()
    assert pd.read_csv(out / "per_class.csv")["class"].tolist() == [7, 3]


def test_without_an_output_dir_nothing_is_written(tmp_path, predictions, labels):
    before = commands.entries(tmp_path)
    commands.succeed(*arguments(predictions, labels))
    assert commands.entries(tmp_path) == before


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "7,abcd:0\n5,abcd:0\n4,\n",
            "holds 2 class(es) that are not among the 1,000 of the list: 4, 5. Give the right list",
        ),
        ("7,abcd:0\n7,efgh:0\n", "{path}, line 2: class 7 is a duplicate of line 1."),
    ],
)
def test_invalid_classes_are_refused_before_the_labels_are_read(tmp_path, text, words):
    path = tmp_path / "s.csv"
    path.write_text(text)
    line = commands.fail(*arguments(path, "no such file"))
    assert line.startswith(f"Error: --predictions={path}: " + words.format(path=path))


@pytest.mark.parametrize(
    "text, words",
    [
        ("7,abcd:0 efgh\n", "{path}, line 1: 'efgh' is not `video_id:start`."),
        ("7,abcd:0 efgh:0 abcd:0\n", "class 7 names the segment abcd:0 twice."),
        (
            "7,wxyz:0 uvwx:5 wxyz:5\n",
            "none of its 2 videos, such as uvwx, is rated in --labels={labels}, which has videos such as abcd. ",
        ),
        ("7,\n", "names no segment."),
    ],
)
def test_an_unusable_csv_is_refused(tmp_path, labels, text, words):
    path = tmp_path / "s.csv"
    path.write_text(text)
    ended = commands.run(*arguments(path, labels, f"--output_dir={tmp_path}/out"))
    assert ended.code == 2 and ended.out == "" and not (tmp_path / "out").exists()
    assert ended.lines[-1].startswith(f"Error: --predictions={path}: " + words.format(path=path, labels=labels))


def test_files_that_cannot_be_used_are_named_with_their_flags(tmp_path, predictions, labels):
    line = commands.fail(*arguments(tmp_path / "none.csv", labels))
    assert line.endswith("none.csv cannot be read: No such file or directory.") and "--predictions=" in line
    line = commands.fail(*arguments(predictions, tmp_path / "none*"))
    assert line.startswith(f"Error: --labels={tmp_path}/none*: ") and "matches no file" in line
    plain = commands.write_files(tmp_path / "plain", "v", commands.frame_videos(3), files=1)
    line = commands.fail(*arguments(predictions, plain))
    assert line.startswith(f"Error: --labels={plain}: ") and "none of the first 3 records has ratings of segments" in line
    (tmp_path / "ids.csv").write_text("3\n3\n")
    line = commands.fail(*arguments(predictions, labels, f"--segment_label_ids_file={tmp_path}/ids.csv"))
    assert line == f"Error: --segment_label_ids_file={tmp_path}/ids.csv: lines 1 and 2: class 3 is a duplicate."


def test_labels_that_rate_none_of_the_classes_are_refused(tmp_path, labels):
    (tmp_path / "ids.csv").write_text("1\n")
    predictions = write_csv(tmp_path / "s.csv", {1: [(b"abcd", 0)]}, [1])
    ended = commands.run(*arguments(predictions, labels, f"--segment_label_ids_file={tmp_path}/ids.csv"))
    assert ended.lines[-1].startswith(f"Error: --labels={labels}: rates none of the classes of the list")


def test_an_invalid_record_is_named(tmp_path, predictions):
    bad = records.frame_record(records.random_frames(2), b"abcd", segment_labels=[3])
    path = records.write(tmp_path / "bad.tfrecord", [bad])
    ended = commands.run(*arguments(predictions, path))
    assert ended.code == 2 and ended.lines[-1].startswith(f"Error: file {path}, record 0: segment_labels, ")
