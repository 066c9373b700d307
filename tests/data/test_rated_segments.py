import numpy as np
import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.exclusions import Fault, exclude
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.rated_segments import check_rated, read_rated_segments, segments_of
from youtube8m_distill.errors import SettingError


def rated_record(video_id, *ratings, id_key="id", **others):
    """A serialized record with (start, class, score) ratings of 5-second segments."""
    lists = {
        "segment_labels": [c for _, c, _ in ratings],
        "segment_start_times": [start for start, _, _ in ratings],
        "segment_end_times": [start + 5 for start, _, _ in ratings],
        "segment_scores": [float(score) for _, _, score in ratings],
    }
    return records.frame_record(records.random_frames(3), video_id, [1], id_key, **{**lists, **others})


VIDEOS = [
    rated_record(b"abcd", (0, 7, 1), (0, 3, 0), (10, 7, 0), (0, 7, 1)),
    records.frame_record(records.random_frames(3), b"none", [1]),
    rated_record(b"efgh", (0, 7, 0), id_key="video_id"),
]
PAIRS = [(b"abcd", 0, 7, True), (b"abcd", 0, 3, False), (b"abcd", 10, 7, False), (b"efgh", 0, 7, False)]


def read(folder, *files, compression=""):
    for number, videos in enumerate(files):
        records.write(folder / f"{number}.tfrecord", videos, compression)
    return read_rated_segments(find_files(f"{folder}/*.tfrecord"))


def refused(folder, *files):
    with pytest.raises(BadRecordError) as raised:
        read(folder, *files)
    return str(raised.value)


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_every_rated_pair_is_read_once(tmp_path, compression):
    found = read(tmp_path, VIDEOS, [rated_record(b"abcd", (10, 7, 0), (15, 7, 1))], compression=compression)
    assert list(zip(*found)) == [*PAIRS, (b"abcd", 15, 7, True)]
    assert [array.dtype for array in found] == [object, np.int32, np.int32, bool]
    assert found.by_class() == {
        7: {(b"abcd", 0): True, (b"abcd", 10): False, (b"efgh", 0): False, (b"abcd", 15): True},
        3: {(b"abcd", 0): False},
    }


def test_files_without_ratings_give_no_pairs(tmp_path):
    found = read(tmp_path, VIDEOS[1:2])
    assert [len(array) for array in found] == [0] * 4 and found.by_class() == {}


def test_excluded_records_are_skipped(tmp_path):
    path = records.write(tmp_path / "a.tfrecord", VIDEOS)
    shards = exclude(find_files(path), [Fault(path, 0, "")])
    assert list(zip(*read_rated_segments(shards))) == PAIRS[3:]


def test_a_score_of_a_half_is_positive():
    example = tf.train.SequenceExample.FromString(rated_record(b"a", (0, 1, 0.5), (0, 2, 0.25), (5, 1, 1)))
    assert segments_of(example, "x") == [(0, 5, {1: True, 2: False}), (5, 10, {1: True})]


@pytest.mark.parametrize(
    "record, words",
    [
        (
            rated_record(b"a", (0, 1, 1), segment_scores=[1.0, 0.0]),
            "segment_labels, segment_start_times, segment_end_times and segment_scores hold "
            "1, 1 and 1 integers, and 2 floats; each rating has one of each",
        ),
        (rated_record(b"a", (0, 1, 1), segment_scores=[1]), "hold 1, 1 and 1 integers, and 0 floats"),
        (rated_record(b"a", (0, 1, 1), segment_labels=[]), "hold 0, 1 and 1 integers, and 1 floats"),
        (rated_record(b"a", (0, 1, 1), segment_end_times=[]), "hold 1, 1 and 0 integers, and 1 floats"),
        (
            rated_record(b"a", (0, 1, 1), (0, 1, 0)),
            "the segment that starts at 0 is rated both positive and negative for class 1",
        ),
        (rated_record(b"a", (0, 1, 1.5)), "segment_scores holds 1.5, which is outside 0 .. 1"),
        (rated_record(b"a", (0, 1, -0.5)), "segment_scores holds -0.5"),
        (rated_record(b"a", (0, 1, float("nan"))), "segment_scores holds nan"),
        (rated_record(b"a", (-5, 1, 1)), "a segment from -5 to 0; it must start at 0 or later and before its end"),
        (rated_record(b"a", (5, 1, 1), segment_end_times=[5]), "a segment from 5 to 5"),
        (rated_record(b"a", (2**31, 1, 1)), "a segment from 2147483648 to 2147483653"),
        (rated_record(b"a", (0, -1, 1)), "segment_labels holds -1, which is not a class number"),
        (rated_record(b"a", (0, 2**31, 1)), "segment_labels holds 2147483648"),
        (rated_record(None, (0, 1, 1)), "has ratings and no video id; store one under id or video_id"),
        (b"\xff", "neither a SequenceExample nor an Example"),
    ],
)
def test_an_invalid_record_is_named_with_its_file_and_number(tmp_path, record, words):
    message = refused(tmp_path, VIDEOS, [VIDEOS[1], record])
    assert message.startswith(f"file {tmp_path}/1.tfrecord, record 1: ") and words in message


def test_contradictory_ratings_in_two_records_are_refused(tmp_path):
    assert refused(tmp_path, VIDEOS, [rated_record(b"abcd", (10, 7, 1))]) == (
        f"file {tmp_path}/1.tfrecord, record 0: the segment that starts at 10 is rated both positive and negative for "
        "class 7, the other time in an earlier record of video abcd"
    )


@pytest.mark.parametrize("cut", [5, 30], ids=["within a header", "within a record"])
def test_a_file_that_is_cut_short_is_refused(tmp_path, cut):
    whole = records.file_content(VIDEOS[:1])
    (tmp_path / "a.tfrecord").write_bytes(whole + records.file_content(VIDEOS[2:])[:cut])
    with pytest.raises(BadRecordError, match="a.tfrecord, record 1: damaged or cut short"):
        read_rated_segments(find_files(f"{tmp_path}/a.tfrecord"))


def test_files_without_ratings_are_refused_before_they_are_read(tmp_path):
    records.write(tmp_path / "a.tfrecord", [VIDEOS[1]] * 3)
    with pytest.raises(SettingError, match="none of the first 3 records has ratings of segments under 'segment_labels'"):
        check_rated("labels", "*", find_files(f"{tmp_path}/a.tfrecord"))
    records.write(tmp_path / "b.tfrecord", VIDEOS)
    check_rated("labels", "*", find_files(f"{tmp_path}/*"))
