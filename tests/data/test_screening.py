import csv
import gzip
import json
import re

import numpy as np
import pytest

from tests import records
from youtube8m_distill import config
from youtube8m_distill.data import bad_records, pipeline, screening, screening_report, tfrecord

SIZES = (("rgb", 6), ("audio", 3))
BYTES = config.FeatureConfig(("rgb", "audio"), (6, 3))
MEANS = config.FeatureConfig(("mean_rgb",), (4,), False, "float32")
NUM_CLASSES = 12


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(screening, "CHUNK", 4)


def video(number, **about):
    about = {"video_id": b"id%d" % number, "labels": [3]} | about
    return records.frame_record(records.random_frames(1 + number % 3, SIZES, number), **about)


BAD = [
    (video(900, labels=[5, 5]), "label 5 is listed more than once"),
    (video(901, labels=[12]), "label 12 is outside 0 .. 11"),
    (video(902, video_id=None), "no video id"),
    (records.frame_record({"rgb": [b"x" * 6]}, b"id903"), "'rgb' has 1 frames and 'audio' 0"),
    (b"\xff" * 30, "neither a SequenceExample nor an Example"),
]


def screen(pattern, max_bad_fraction=1.0, features=BYTES, **options):
    bad_files = {}
    shards = tfrecord.find_files(str(pattern), bad_files)
    return screening.screen(shards, bad_files, features, NUM_CLASSES, max_bad_fraction, **options)


def ids(found):
    """Video ids of all that is read afterwards, in order."""
    with bad_records.naming_bad_records(found.shards):
        return [
            video_id
            for batch in pipeline.make_dataset(
                found.shards, BYTES, NUM_CLASSES, config.FrameView("first", 1), 50, training=False
            )
            for video_id in batch["video_id"].numpy()
        ]


def faults(found):
    """The name of the file, the record and the reason of each."""
    return [(fault.path.rsplit("/", 1)[-1], fault.record, fault.reason) for fault in found.faults]


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("compression", ["", "GZIP"])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_bad_records_are_left_out_and_all_others_read(tmp_path, compression, seed):
    random, expected, good = np.random.default_rng(seed), [], []
    for name in "abc":
        rows = []
        for place in range(random.integers(1, 20)):
            is_bad = random.random() < 0.3
            record, reason = BAD[random.integers(len(BAD))] if is_bad else (video(100 * "abc".index(name) + place), None)
            rows.append(record)
            if is_bad:
                expected.append((name, place, reason))
            else:
                good.append(b"id%d" % (100 * "abc".index(name) + place))
        records.write(tmp_path / name, rows, compression)
    found = screen(tmp_path / "*")
    assert [(name, place) for name, place, _ in expected] == [(name, place) for name, place, _ in faults(found)]
    assert all(told.startswith(reason) for (*_, reason), (*_, told) in zip(expected, faults(found)))
    assert (found.num_records, found.num_bad, found.is_exact) == (len(good) + len(expected), len(expected), True)
    assert ids(found) == good and tfrecord.count_records(found.shards) == len(good)
    assert tfrecord.estimate_records(found.shards) == (len(good), True)


def test_where_all_is_good_nothing_is_left_out(tmp_path):
    records.write(tmp_path / "a", [video(number) for number in range(9)])
    found = screen(tmp_path / "a", 0.0)
    assert found.shards == tfrecord.find_files(f"{tmp_path}/a")
    assert (found.faults, found.num_records, found.num_bad) == ((), 9, 0)


def test_video_level_files_are_screened_too(tmp_path):
    rows = [
        records.video_record({"mean_rgb": [number, 0.0, 0.0, 0.0]}, b"%d" % index)
        for index, number in enumerate([0.5, np.nan, 1.0, -np.inf, 2.0])
    ]
    records.write(tmp_path / "a", rows)
    assert faults(screen(tmp_path / "a", features=MEANS)) == [
        ("a", 1, "'mean_rgb' holds nan in place 0"),
        ("a", 3, "'mean_rgb' holds -inf in place 0"),
    ]


# ---- files with damage


def write_numbered(path, count, first=0, compression=""):
    records.write(path, [video(first + number) for number in range(count)], compression)
    return path


@pytest.mark.parametrize("part, lost, exact", [("record", 4, True), ("length", 4, False)])
def test_records_before_the_damage_are_kept_and_those_behind_counted(tmp_path, part, lost, exact):
    write_numbered(tmp_path / "a", 6), write_numbered(tmp_path / "c", 6, 60)
    path = write_numbered(tmp_path / "b", 10, 20)
    starts = list(tfrecord.record_starts(tfrecord.find_files(str(path))[0]))
    flip(path, starts[6] + {"record": 30, "length": 4}[part])
    found = screen(tmp_path / "*")
    assert faults(found) == [("b", None, "from record 6 on damaged or cut short; fetch the file again")]
    assert [shard.readable for shard in found.shards] == [None, 6, None]
    assert (found.num_records, found.num_bad, found.is_exact) == (22, lost, exact)
    assert ids(found) == [b"id%d" % number for number in [*range(6), *range(20, 26), *range(60, 66)]]
    assert tfrecord.count_records(found.shards) == 18


@pytest.mark.parametrize("compression", ["", "GZIP"])
@pytest.mark.parametrize("kept, lost", [(0.999, 1), (0.5, 1)])
def test_a_file_cut_short_loses_what_is_cut(tmp_path, compression, kept, lost):
    path = write_numbered(tmp_path / "a", 40, compression=compression)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    found = screen(path)
    assert found.num_bad == lost and not found.is_exact and found.num_records == found.shards[0].readable + 1
    assert ids(found) == [b"id%d" % number for number in range(found.shards[0].readable)]


def test_a_compressed_file_damaged_in_the_middle_loses_the_rest(tmp_path):
    content = records.file_content([video(number) for number in range(4000)])
    start = len(content) // 4
    (tmp_path / "a").write_bytes(gzip.compress(content[:start] + bytes([content[start] ^ 1]) + content[start + 1 :]))
    found = screen(tmp_path / "a")
    assert not found.is_exact and found.shards[0].readable == found.num_records - found.num_bad
    assert found.num_records == pytest.approx(4000, rel=0.4)


@pytest.mark.parametrize("cut", range(1, 13))
def test_no_cut_within_a_header_goes_unseen(tmp_path, cut):
    path = write_numbered(tmp_path / "a", 3)
    path.write_bytes(path.read_bytes() + path.read_bytes()[:cut])
    found = screen(path)
    assert found.shards[0].readable == 3 and found.num_bad == 1


def test_a_compressed_file_without_its_end_is_told(tmp_path):
    path = write_numbered(tmp_path / "a", 3, compression="GZIP")
    content = path.read_bytes()
    path.write_bytes(content + content[:30])  # one more file begins, and ends at once
    assert screen(path).shards[0].readable == 3
    path.write_bytes(content + gzip.compress(records.file_content([video(5)])))
    assert ids(screen(path, 0.0)) == [b"id0", b"id1", b"id2", b"id5"]


def test_files_that_hold_no_record_are_left_out_whole(tmp_path):
    write_numbered(tmp_path / "good", 30)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "packed").write_bytes(gzip.compress(b""))
    (tmp_path / "text").write_bytes(b"VideoId,LabelConfidencePairs\n")
    records.write(tmp_path / "bad", [record for record, _ in BAD])
    flip(write_numbered(tmp_path / "torn", 5, 50), 20)
    found = screen(tmp_path / "*")
    assert [shard.path for shard in found.shards] == [f"{tmp_path}/good"]
    assert [(name, record, reason) for name, record, reason in faults(found) if name != "bad"] == [
        ("empty", None, "the file is empty (0 bytes)"),
        ("packed", None, "the file holds no record"),
        ("text", None, "the file (29 bytes) is not a TFRecord file, or it is cut short in its first record"),
        ("torn", None, "from record 0 on damaged or cut short; fetch the file again"),
    ]
    assert (found.num_records, found.num_bad, found.is_exact) == (30 + 1 + 1 + 1 + 5 + 5, 13, False)


def test_a_pattern_that_matches_nothing_stays_an_error(tmp_path):
    write_numbered(tmp_path / "a", 2)
    with pytest.raises(FileNotFoundError, match="matches no file"):
        screen(f"{tmp_path}/a,{tmp_path}/x*")


# ---- video ids


def test_of_records_with_one_video_id_the_first_stays(tmp_path):
    records.write(tmp_path / "a", [video(1), video(2), video(1), BAD[0][0]])
    records.write(tmp_path / "b", [video(3), video(900), video(2), video(2)])
    found = screen(tmp_path / "*")
    assert faults(found) == [
        ("a", 2, f"its video id is that of {tmp_path}/a, record 0"),
        ("a", 3, "label 5 is listed more than once"),
        ("b", 2, f"its video id is that of {tmp_path}/a, record 1"),
        ("b", 3, f"its video id is that of {tmp_path}/b, record 2"),
    ]
    assert ids(found) == [b"id1", b"id2", b"id3", b"id900"]  # a bad record's id is not taken


# ---- the limit


@pytest.mark.parametrize("limit, passes", [(0.2, True), (0.19, False), (0.0, False), (1.0, True), (float("nan"), False)])
def test_no_more_than_the_greatest_share_is_left_out(tmp_path, limit, passes):
    records.write(tmp_path / "a", [video(number) for number in range(6)])
    records.write(tmp_path / "b", [video(10), BAD[0][0], video(11), BAD[1][0]])
    if passes:
        assert screen(tmp_path / "*", limit).num_bad == 2
        return
    with pytest.raises(
        bad_records.BadRecordError,
        match=re.escape(
            f"max_bad_fraction={limit:g}: 2 of 10 records (20 %) cannot be used; most entries (2 of 2) are about "
            f"{tmp_path}/b. The first: {tmp_path}/b, record 1: label 5 is listed more than once; {tmp_path}/b, record 3: "
            "label 12 is"
        ),
    ):
        screen(tmp_path / "*", limit)


def test_it_ends_early_where_far_too_many_are_bad(tmp_path, monkeypatch):
    for number in range(40):
        records.write(tmp_path / f"{number:02}", [video(1000 * number + i, labels=[i % 13]) for i in range(26)])
    looked, screen_file = [], screening._screen_file

    def note(shard, *others):
        looked.append(shard)
        return screen_file(shard, *others)

    monkeypatch.setattr(screening, "_screen_file", note)
    monkeypatch.setattr(screening, "EARLIEST_END", 50)
    with pytest.raises(bad_records.BadRecordError, match=r"max_bad_fraction=0.01: .* records \(7.7 %\) cannot be used"):
        screen(tmp_path / "*", 0.01)
    assert len(looked) < 35
    assert screen(tmp_path / "*", 0.08).num_bad == 80


def test_where_nothing_is_left_it_ends_whatever_the_limit(tmp_path):
    records.write(tmp_path / "a", [record for record, _ in BAD])
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(bad_records.BadRecordError, match=r"max_bad_fraction=1: about 6 of 6 records \(100 %\) cannot"):
        screen(tmp_path / "*")


# ---- keeping what was found


def test_what_was_found_is_kept_as_json_and_saves_reading_again(tmp_path):
    path = write_numbered(tmp_path / "a", 20)
    records.write(tmp_path / "b", [BAD[0][0], video(50), video(51)])
    flip(path, -3)
    found = screen(tmp_path / "*")
    known = json.loads(json.dumps(found.to_json()))
    shards = tfrecord.find_files(f"{tmp_path}/*")
    path.unlink()
    assert screening.screen(shards, {}, BYTES, NUM_CLASSES, 1.0, known) == found
    with pytest.raises(bad_records.BadRecordError, match="max_bad_fraction=0.01: 2 of 23"):
        screening.screen(shards, {}, BYTES, NUM_CLASSES, 0.01, known)


@pytest.mark.parametrize("change", ["files", "num_classes", "features"])
def test_what_was_found_in_something_else_is_not_taken(tmp_path, change):
    write_numbered(tmp_path / "a", 3)
    known = {**screen(tmp_path / "a").to_json(), "num_records": 77}
    if change == "files":
        write_numbered(tmp_path / "a", 4)
    features = config.FeatureConfig(("rgb",), (6,)) if change == "features" else BYTES
    shards = tfrecord.find_files(f"{tmp_path}/a")
    found = screening.screen(shards, {}, features, NUM_CLASSES + (change == "num_classes"), 1.0, known)
    assert found.num_records == 3 + (change == "files")


@pytest.mark.parametrize("damage", [{"faults": 3}, {"shards": [{"path": "a"}]}, {"more": 1}])
def test_damaged_notes_of_what_was_found_are_not_taken(tmp_path, damage):
    write_numbered(tmp_path / "a", 3)
    found = screen(tmp_path / "a")
    shards = tfrecord.find_files(f"{tmp_path}/a")
    assert screening.screen(shards, {}, BYTES, NUM_CLASSES, 1.0, {**found.to_json(), **damage}) == found
    assert screening.screen(shards, {}, BYTES, NUM_CLASSES, 1.0, ["no", "dict"]) == found


# ---- the report


def test_the_report_lists_every_record_and_the_warning_counts_them(tmp_path):
    odd = tmp_path / 'a, "b"\nc'
    records.write(odd, [video(0), BAD[0][0], video(1)])
    flip(write_numbered(tmp_path / "d", 40, 100), -20)
    found = screen(tmp_path / "*")
    line = screening_report.write_report(tmp_path / "out" / "bad_records.csv", found)
    assert line == f"Warning: 2 of 43 records (4.7 %) were left out; listed in {tmp_path}/out/bad_records.csv"
    with open(tmp_path / "out" / "bad_records.csv", newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["file", "record", "reason"],
            [str(odd), "1", "label 5 is listed more than once"],
            [f"{tmp_path}/d", "", "from record 39 on damaged or cut short; fetch the file again"],
        ]


def test_the_reports_of_several_sets_are_one(tmp_path):
    faults = [screening.Fault("=cmd", 3, "bad"), screening.Fault("x\udcff", None, "cut")]
    sets = [screening.Screening((), (fault,), 1000, 1) for fault in faults]
    line = screening_report.write_report(tmp_path / "r.csv", *sets, screening.Screening(()))
    assert line.startswith("Warning: 2 of 2,000 records (0.1 %) were left out")
    assert (tmp_path / "r.csv").read_text() == "file,record,reason\n./=cmd,3,bad\nx\\udcff,,cut\n"


def test_where_nothing_is_wrong_the_report_is_empty_and_there_is_no_warning(tmp_path):
    assert screening_report.write_report(tmp_path / "r.csv", screening.Screening((), num_records=5)) == ""
    assert (tmp_path / "r.csv").read_text() == "file,record,reason\n"


def test_where_nobody_looked_there_is_no_report(tmp_path):
    assert screening_report.write_report(tmp_path / "r.csv", screening.Screening(())) == "" and not list(tmp_path.iterdir())
