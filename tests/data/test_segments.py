"""Rated segments, each cut out of a video as a record of its own."""

import dataclasses
import gzip
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill import config
from youtube8m_distill.data import compact, contents, segments
from youtube8m_distill.data.bad_records import BadRecordError, naming_bad_records
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset, read_records
from youtube8m_distill.data.tfrecord import count_records, read_serialized

FEATURES = config.FeatureConfig(sizes=(6, 3))
READING = config.Reading(segment_labels=True)
NUM_CLASSES = 5


def video(name, num_frames, *ratings, dtype=np.uint8, length=5, labels=(0,), seed=None, **others):
    """A record with ratings (start, class, score) of segments of `length` frames. `seed`: of its frames."""
    starts, classes, scores = zip(*ratings) if ratings else ((), (), ())
    lists = {
        "segment_labels": np.array(classes, np.int64),
        "segment_start_times": np.array(starts, np.int64),
        "segment_end_times": np.array(starts, np.int64) + length,
        "segment_scores": np.array(scores, np.float32),
    }
    frames = records.random_frames(num_frames, seed=num_frames if seed is None else seed, dtype=dtype)
    return records.frame_record(frames, name, labels, **{**lists, **others} if ratings else others)


def read(shards, view=config.FrameView(), features=FEATURES):  # noqa: B008, frozen
    parser = VideoParser(features, NUM_CLASSES, {"student": view}, layout=contents.find_layout(shards, features, READING))
    return [batch for batch in make_dataset(shards, parser, 100).as_numpy_iterator()]


@pytest.mark.parametrize("dtype, compression", [(np.uint8, ""), pytest.param(np.float32, "GZIP", marks=pytest.mark.slow)])
def test_an_example_is_one_segment_with_all_its_ratings(tmp_path, dtype, compression):
    videos = [
        video(b"a", 12, (5, 3, 1.0), (0, 1, 0.0), (5, 1, 0.0), (5, 3, 1.0), dtype=dtype),
        video(b"b", 7, dtype=dtype),  # has no ratings
        video(b"c", 9, (2, 4, 1.0), dtype=dtype),
    ]
    path = records.write(tmp_path / "a", videos, compression)
    features = FEATURES.replace(dtype=np.dtype(dtype).name)
    shards = segments.hold_segments(find_files(path), range(NUM_CLASSES))
    assert count_records(shards) == 3 and len(list(read_serialized(shards[0]))) == 3
    (found,) = read(shards, features=features)
    assert found["video_id"].tolist() == [b"a:0", b"a:5", b"c:2"]
    assert found["labels"].tolist() == [[0] * 5, [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert found["label_weights"].tolist() == [[0, 1, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert found["student"]["num_frames"].tolist() == [5, 5, 5] and not found["notes"].any()
    for row, (num_frames, start) in enumerate([(12, 0), (12, 5), (9, 2)]):
        whole = records.random_frames(num_frames, seed=num_frames, dtype=dtype)
        rows = np.concatenate([whole["rgb"], whole["audio"]], axis=1)[start : start + 5]
        np.testing.assert_array_equal(found["student"]["frames"][row, :5], rows)
        assert not found["student"]["frames"][row, 5:].any()


def test_a_view_selects_frames_inside_a_segment(tmp_path):
    path = records.write(tmp_path / "a", [video(b"a", 20, (10, 1, 1.0), length=7)])
    view = config.FrameView(frame_selection="uniform", frames_per_video=3)
    (found,) = read(segments.hold_segments(find_files(path), range(NUM_CLASSES)), view)
    assert found["student"]["frame_indices"].tolist() == [[0, 2, 4]]  # floor(7 i / 3)
    np.testing.assert_array_equal(
        found["student"]["frames"][0, :, :6], records.random_frames(20, seed=20)["rgb"][[10, 12, 14]]
    )


def test_files_share_one_tensor_and_those_without_ratings_are_left_out(tmp_path):
    for number, videos in enumerate([[video(b"a", 9, (0, 1, 1.0))], [video(b"b", 5)], [video(b"c", 9, (0, 1, 0.0))]]):
        records.write(tmp_path / f"{number}", videos)
    shards = segments.hold_segments(find_files(f"{tmp_path}/*"), range(NUM_CLASSES))
    assert [shard.path[-1] for shard in shards] == ["0", "2"] and shards[0].held.records is shards[1].held.records
    (found,) = read(shards)
    assert found["video_id"].tolist() == [b"a:0", b"c:0"] and found["shard"].tolist() == [0, 1]


def broken(name, frame=6):
    """A video with a segment from 5, in which one frame has another size."""
    frames = records.random_frames(12)
    rgb = [frames["rgb"][i] if i != frame else b"short" for i in range(12)]
    example = tf.train.SequenceExample.FromString(video(name, 12, (5, 1, 1.0)))
    found = tf.train.SequenceExample.FromString(records.frame_record({**frames, "rgb": rgb}))
    example.feature_lists.CopyFrom(found.feature_lists)
    return example.SerializeToString()


def test_segments_have_the_number_of_their_record(tmp_path):
    records.write(tmp_path / "0", [b"no example", video(b"u", 5), video(b"a", 12, (0, 1, 1.0), (5, 1, 0.0))])
    records.write(tmp_path / "1", [video(b"b", 9, (0, 1, 1.0)), video(b"v", 5), video(b"c", 9, (0, 1, 1.0))])
    first, second = find_files(f"{tmp_path}/*", allow_bad_files=True)
    shards = segments.hold_segments([dataclasses.replace(first, excluded=(0,)), second], range(NUM_CLASSES))
    (found,) = read(shards)
    assert found["video_id"].tolist() == [b"a:0", b"a:5", b"b:0", b"c:0"]
    assert found["shard"].tolist() == [0, 0, 1, 1] and found["record"].tolist() == [2, 2, 0, 2]


def test_an_invalid_frame_is_reported_with_the_record_and_the_segment_that_it_is_in(tmp_path):
    good = [video(b"u", 5), video(b"a", 12, (0, 1, 1.0), (5, 1, 0.0))]
    path = records.write(tmp_path / "a", [*good, broken(b"b"), *good])
    words = f"file {path}, record 2: segment b:5: frame 1 of 'rgb' holds 5 bytes instead of 6$"
    with pytest.raises(BadRecordError, match=words), naming_bad_records():
        read(segments.hold_segments(find_files(path), range(NUM_CLASSES)))


def test_a_fraction_of_the_records_keeps_or_drops_all_segments_of_a_video(tmp_path):
    videos = [video(b"v%d" % n, 10, (0, 1, 1.0), (5, 1, 0.0)) for n in range(40)]
    shards = segments.hold_segments(find_files(records.write(tmp_path / "a", videos)), range(NUM_CLASSES))
    rows = read_records(shards, TrainingOrder(train_fraction=0.5)).as_numpy_iterator()
    numbers = [int(number) for (number, *_), _ in rows]
    assert 20 < len(numbers) < 60 and all(numbers.count(number) == 2 for number in numbers)


@pytest.mark.parametrize(
    "record, words",
    [
        (video(b"a", 9, (5, 1, 1.0)), "record 0: a segment ends at frame 10, after the video's 9 frames"),
        (video(b"a", 9, (0, 1, 1.0), (0, 1, 0.0)), "record 0: the segment that starts at 0 is rated both positive and neg"),
        (video(b"a", 9, (0, 1, 1.5)), "record 0: segment_scores holds 1.5, which is outside 0 .. 1"),
        (video(b"a", 9, (0, 1, 1.0), segment_scores=[1.0, 0.0]), "hold 1, 1 and 1 integers, and 2 floats"),
        (video(b"a", 9, (0, 1, 1.0), (0, 2, 1.0), segment_end_times=[5, 6]), "that starts at 0 ends at 5 and at 6"),
        (video(b"a", 9, (3, 1, 1.0), length=0), "a segment from 3 to 3; it must start at 0 or later and before its end"),
        (video(b"a", 9, (0, 7, 1.0)), r"class 7 is rated and is not among the 5 classes .*--segment_label_ids_file"),
        (video(None, 9, (0, 1, 1.0)), "no video id"),
        (b"no example", "neither a SequenceExample nor an Example"),
    ],
)
def test_an_invalid_record_is_named_before_training(tmp_path, record, words):
    path = records.write(tmp_path / "a", [record])
    with pytest.raises(BadRecordError, match=words):
        segments.hold_segments(find_files(path), range(NUM_CLASSES))


def test_files_without_any_rating_are_refused(tmp_path):
    path = records.write(tmp_path / "a", [video(b"a", 9)])
    with pytest.raises(ValueError, match="none of the records in 1 file.* has rated segments .*leave --segment_labels out"):
        segments.hold_segments(find_files(path), range(NUM_CLASSES))


def test_segments_that_do_not_fit_into_memory_are_refused(tmp_path, monkeypatch):
    path = records.write(tmp_path / "a", [video(b"a", 9, (0, 1, 1.0))])
    monkeypatch.setattr(segments, "default_bytes", lambda: 10)
    with pytest.raises(ValueError, match="take more than a quarter of the free memory"):
        segments.hold_segments(find_files(path), range(NUM_CLASSES))


def test_excluded_records_are_not_cut(tmp_path):
    (shard,) = find_files(records.write(tmp_path / "a", [b"no example", video(b"b", 9, (0, 1, 1.0))]), allow_bad_files=True)
    (held,) = segments.hold_segments([dataclasses.replace(shard, excluded=(0,))], range(NUM_CLASSES))
    assert tf.train.SequenceExample.FromString(held.held.records[0].numpy()).context.feature["id"].bytes_list.value == [
        b"b:0"
    ]


def test_a_file_that_is_cut_short_is_named(tmp_path):
    path = records.write(tmp_path / "a", [video(b"a", 9, (0, 1, 1.0)), video(b"b", 9, (0, 1, 1.0))])
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[:-20])
    with pytest.raises(BadRecordError, match=f"file {path}, record 1: damaged or cut short"):
        segments.hold_segments(find_files(path), range(NUM_CLASSES))


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_a_file_that_ends_within_a_header_is_named(tmp_path, compression):
    """TensorFlow reads such a file without an error, as if the rest had never been there."""
    path = pathlib.Path(records.write(tmp_path / "a", [video(b"a", 9, (0, 1, 1.0))], compression))
    content = gzip.decompress(path.read_bytes()) if compression else path.read_bytes()
    content += content[:7]
    path.write_bytes(gzip.compress(content)[:-1] if compression else content)
    with pytest.raises(BadRecordError, match=f"file {path}, record 1: damaged or cut short"):
        segments.hold_segments(find_files(str(path)), range(NUM_CLASSES))


def test_compact_files_hold_no_segments(tmp_path):
    (tmp_path / "compact.json").write_text("{}")
    shards = find_files(records.write(tmp_path / "a", [video(b"a", 9, (0, 1, 1.0))]))
    with pytest.raises(ValueError, match="hold no whole segments; give the original files"):
        compact.check_networks(shards, [], of_segments=True)


def test_lists_of_frames_that_are_not_read_do_not_matter():
    example = tf.train.SequenceExample.FromString(video(b"a", 12, (5, 3, 1.0)))
    example.feature_lists.feature_list["other"].feature.add().float_list.value.append(1.0)
    with pytest.raises(BadRecordError, match="after the video's 1 frames"):
        segments.cut(example, "x", range(5))
    (record,) = segments.cut(example, "x", range(5), ("rgb", "audio"))
    assert sorted(tf.train.SequenceExample.FromString(record).feature_lists.feature_list) == ["audio", "rgb"]
