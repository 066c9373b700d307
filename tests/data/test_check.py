import gzip

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill import config
from youtube8m_distill.data import check as checking
from youtube8m_distill.data import exclusions, pipeline, tfrecord
from youtube8m_distill.data.check import check_records, find_for_check
from youtube8m_distill.data.find_files import find_files

SIZES = (("rgb", 6), ("audio", 3))
BYTES = config.FeatureConfig(names=("audio", "rgb"), sizes=(3, 6))  # in the order in which they are found
MEANS = config.FeatureConfig(names=("mean_rgb",), sizes=(4,), frame_features=False, dtype="float32")
NUM_CLASSES = 12


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(checking, "CHUNK", 4)


def video(number, **about):
    about = {"video_id": b"id%d" % number, "labels": [3]} | about
    return records.frame_record(records.random_frames(1 + number % 3, SIZES, number), **about)


BAD = [
    (video(900, labels=[5, 5]), "label 5 is listed more than once"),
    (video(901, labels=[12]), "label 12 is outside 0 .. 11"),
    (video(902, video_id=None), "no video id"),
    (records.frame_record({"rgb": [b"x" * 6]}, b"id903"), "no frames under 'audio'"),
    (b"\xff" * 30, "neither a SequenceExample nor an Example"),
]


def check(pattern, features=BYTES):
    return check_records(find_for_check(str(pattern)), features, NUM_CLASSES)


def remaining(pattern, report):
    """The shards of some files without the records of a report."""
    return exclusions.exclude(find_for_check(str(pattern)), report.faults)


def ids(shards):
    """Ids of all videos that are read, in order."""
    found = [tf.train.SequenceExample.FromString(record) for *_, record in pipeline.read_records(shards).as_numpy_iterator()]
    return [example.context.feature["id"].bytes_list.value[0] for example in found]


def faults(report):
    """The name of the file, the record and the reason of each fault."""
    return [(fault.path.rsplit("/", 1)[-1], fault.record, fault.reason) for fault in report.faults]


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_bad_records_are_reported_and_with_the_list_all_others_are_read(tmp_path, compression):
    random, expected, good = np.random.default_rng(0), [], []
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
    report = check(tmp_path / "*")
    assert [(name, place) for name, place, _ in expected] == [(name, place) for name, place, _ in faults(report)]
    assert all(found.startswith(reason) for (*_, reason), (*_, found) in zip(expected, faults(report)))
    assert (report.num_records, report.num_bad, report.is_exact) == (len(good) + len(expected), len(expected), True)
    shards = remaining(tmp_path / "*", report)
    assert ids(shards) == good and tfrecord.count_records(shards) == len(good)
    assert tfrecord.estimate_records(shards) == (len(good), True)


def test_good_files_have_no_faults(tmp_path):
    records.write(tmp_path / "a", [video(number) for number in range(9)])
    report = check(tmp_path / "a", None)
    assert (report.faults, report.num_records, report.num_bad) == ((), 9, 0)
    assert report.summary() == "0 of 9 records in 1 file(s) are bad."
    assert remaining(tmp_path / "a", report) == find_files(f"{tmp_path}/a")


@pytest.mark.parametrize("features", [MEANS, None], ids=["given", "of the first record"])
def test_video_level_files_are_checked_too(tmp_path, features):
    rows = [
        records.video_record({"mean_rgb": [number, 0.0, 0.0, 0.0]}, b"%d" % index)
        for index, number in enumerate([0.5, np.nan, 1.0, -np.inf, 2.0])
    ]
    records.write(tmp_path / "a", rows)
    assert faults(check(tmp_path / "a", features)) == [
        ("a", 1, "'mean_rgb' holds nan in place 0"),
        ("a", 3, "'mean_rgb' holds -inf in place 0"),
    ]


# ---- damaged files


def write_numbered(path, count, first=0, compression=""):
    records.write(path, [video(first + number) for number in range(count)], compression)
    return path


@pytest.mark.parametrize("part, lost, exact", [("record", 4, True), ("length", 4, False)])
def test_records_before_the_damage_are_kept_and_those_after_it_counted(tmp_path, part, lost, exact):
    write_numbered(tmp_path / "a", 6), write_numbered(tmp_path / "c", 6, 60)
    path = write_numbered(tmp_path / "b", 10, 20)
    starts = list(tfrecord.record_starts(find_files(str(path))[0]))
    flip(path, starts[6] + {"record": 30, "length": 4}[part])
    report = check(tmp_path / "*")
    assert faults(report) == [("b", None, "from record 6 on damaged or cut short; fetch the file again")]
    assert (report.num_records, report.num_bad, report.is_exact) == (22, lost, exact)
    assert report.summary() == f"{'' if exact else 'about '}4 of 22 records in 3 file(s) are bad (18 %)."
    shards = remaining(tmp_path / "*", report)
    assert [shard.readable for shard in shards] == [None, 6, None]
    assert ids(shards) == [b"id%d" % number for number in [*range(6), *range(20, 26), *range(60, 66)]]
    assert tfrecord.count_records(shards) == 18


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_a_file_cut_short_loses_only_its_end(tmp_path, compression):
    path = write_numbered(tmp_path / "a", 40, compression=compression)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = check(path)
    (shard,) = remaining(path, report)
    assert report.num_bad == 1 and not report.is_exact and report.num_records == shard.readable + 1 < 40
    assert ids((shard,)) == [b"id%d" % number for number in range(shard.readable)]


def test_a_compressed_file_damaged_in_the_middle_loses_the_rest(tmp_path):
    content = records.file_content([video(number) for number in range(1000)])
    start = len(content) // 4
    (tmp_path / "a").write_bytes(gzip.compress(content[:start] + bytes([content[start] ^ 1]) + content[start + 1 :]))
    report = check(tmp_path / "a")
    assert not report.is_exact and report.num_records == pytest.approx(1000, rel=0.4)
    assert remaining(tmp_path / "a", report)[0].readable == report.num_records - report.num_bad


def test_a_cut_within_a_header_is_noticed(tmp_path):
    for cut in (1, 8, 12):
        path = write_numbered(tmp_path / f"{cut}", 3, 10 * cut)
        path.write_bytes(path.read_bytes() + path.read_bytes()[:cut])
    report = check(tmp_path / "*")
    assert report.num_bad == 3 and [shard.readable for shard in remaining(tmp_path / "*", report)] == [3, 3, 3]


def test_a_compressed_file_without_its_end_is_noticed_and_several_in_one_are_valid(tmp_path):
    path = write_numbered(tmp_path / "a", 3, compression="GZIP")
    content = path.read_bytes()
    path.write_bytes(content + content[:30])  # another gzip file starts and ends at once
    assert remaining(path, check(path))[0].readable == 3
    path.write_bytes(content + gzip.compress(records.file_content([video(5)])))
    assert ids(remaining(path, check(path))) == [b"id0", b"id1", b"id2", b"id5"]


def test_files_without_a_valid_record_are_dropped(tmp_path):
    write_numbered(tmp_path / "good", 30)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "packed").write_bytes(gzip.compress(b""))
    (tmp_path / "text").write_bytes(b"VideoId,LabelConfidencePairs\n")
    records.write(tmp_path / "bad", [record for record, _ in BAD])
    flip(write_numbered(tmp_path / "torn", 5, 50), 20)
    report = check(tmp_path / "*")
    assert [(name, record, reason) for name, record, reason in faults(report) if name != "bad"] == [
        ("empty", None, "the file is empty (0 bytes)"),
        ("packed", None, "the file holds no record"),
        ("text", None, "the file (29 bytes) is not a TFRecord file, or it is cut short in its first record"),
        ("torn", None, "from record 0 on damaged or cut short; fetch the file again"),
    ]
    assert (report.num_records, report.num_bad, report.is_exact) == (30 + 1 + 1 + 1 + 5 + 5, 13, False)
    assert [shard.path for shard in remaining(tmp_path / "*", report)] == [f"{tmp_path}/good"]


def test_files_of_another_kind_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "_check_file", None)
    records.write(tmp_path / "a", [b"abc", video(1)])
    write_numbered(tmp_path / "b", 2)
    with pytest.raises(ValueError, match="a: the first record is neither"):
        check(tmp_path / "*", config.FeatureConfig(sizes=(7, 3)))
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(ValueError, match="the network reads 7"):
        check(tmp_path / "*", config.FeatureConfig(sizes=(7, 3)))
    with pytest.raises(tfrecord.BadFileError, match=r"a is empty \(0 bytes\)"):
        check(tmp_path / "a")


# ---- video ids


def test_of_records_with_the_same_video_id_the_first_is_kept(tmp_path):
    records.write(tmp_path / "a", [video(1), video(2), video(1), BAD[0][0]])
    records.write(tmp_path / "b", [video(3), video(900), video(2), video(2)])
    report = check(tmp_path / "*")
    assert faults(report) == [
        ("a", 2, f"its video id is a duplicate of {tmp_path}/a, record 0"),
        ("a", 3, "label 5 is listed more than once"),
        ("b", 2, f"its video id is a duplicate of {tmp_path}/a, record 1"),
        ("b", 3, f"its video id is a duplicate of {tmp_path}/a, record 1"),
    ]
    # The id of a bad record does not count.
    assert ids(remaining(tmp_path / "*", report)) == [b"id1", b"id2", b"id3", b"id900"]
