"""Without TensorFlow, the same records give the same inputs, notes, and errors as the batch parser."""

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill import schema
from youtube8m_distill.config import FeatureConfig, FrameView, Reading
from youtube8m_distill.data import frame_selection, plain_selection
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.contents import find_layout
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.parsing.batch import VideoParser
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.data.plain_videos import read_videos
from youtube8m_distill.errors import BadRecordError

SIZES = (("rgb", 6), ("audio", 3))
BYTES, FLOATS = FeatureConfig(sizes=(6, 3)), FeatureConfig(sizes=(6, 3), dtype="float32")
VIEWS = [
    FrameView(),
    FrameView(max_video_frames=5),
    FrameView(frame_selection="strided", every_n=3),
    *(
        FrameView(frame_selection=selection, frames_per_video=4)
        for selection in ("uniform", "centered", "first", "middle", "last", "first_middle_last")
    ),
]
FOUR = VIEWS[3]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.frame_selection}-{view.max_video_frames}")
def test_every_selection_but_random_takes_the_frames_of_the_batch_reader(view):
    counts = np.array([*range(1, 40), 299, 300, 301, 1000], np.int32)
    expected = frame_selection.select(view, tf.constant(counts), tf.zeros([len(counts), 2], tf.int64)).numpy()
    for count, row in zip(counts, expected):
        np.testing.assert_array_equal(plain_selection.select(view, int(count)), row[row >= 0])


def test_only_random_frames_are_not_selected():
    assert {*plain_selection.SELECTIONS, "strided", "random"} == set(frame_selection.SELECTIONS)


def by_tensorflow(path, features, view, reading):
    shards = find_files(str(path))
    layout, views = find_layout(shards, features, reading), {"teacher": view}
    parser = VideoParser(features, 5, views, layout=layout, with_labels=False)
    with naming_bad_records(shards):
        return list(make_dataset(shards, parser, 1).as_numpy_iterator())


def assert_same(path, features, view=FOUR, reading=Reading()):  # noqa: B008, frozen
    expected = by_tensorflow(path, features, view, reading)
    found = list(read_videos(str(path), features, view, reading))
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected):
        assert ours.video_id == theirs[schema.VIDEO_ID][0]
        np.testing.assert_allclose(ours.notes, theirs[schema.NOTED], rtol=1e-6)
        assert set(ours.inputs) == set(theirs["teacher"])
        for name, values in theirs["teacher"].items():
            np.testing.assert_array_equal(ours.inputs[name], values)
            assert ours.inputs[name].dtype == values.dtype and ours.inputs[name].shape == values.shape


def of_lengths(*counts, dtype=np.uint8, scale=1):
    videos = (records.random_frames(count, SIZES, count, dtype) for count in counts)
    return [{name: (scale * values).astype(dtype) for name, values in video.items()} for video in videos]


@pytest.mark.parametrize("features", [BYTES, FLOATS], ids=["to bytes", "to floats"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32], ids=["bytes", "floats"])
def test_bytes_and_floats_are_converted_to_what_the_network_reads(tmp_path, features, dtype):
    scale = 1 if dtype == np.uint8 else 3  # beyond -2 .. 2, where numbers are clipped
    videos = [records.frame_record(v, b"v%d" % i) for i, v in enumerate(of_lengths(1, 3, 4, 5, 9, dtype=dtype, scale=scale))]
    assert_same(records.write(tmp_path / "a.tfrecord", videos), features, VIEWS[1])


def test_floats_at_the_edges_of_steps_become_the_same_bytes(tmp_path):
    edges = np.float32(np.arange(-129, 130).repeat(3) * 4 / 255) + np.tile(np.float32([-1e-7, 0, 1e-7]), 259)
    rgb = np.resize(edges, (130, 6)).astype(np.float32)
    video = records.frame_record({"rgb": rgb, "audio": rgb[:, :3]}, b"edges")
    assert_same(records.write(tmp_path / "a.tfrecord", [video]), BYTES, FrameView())


@pytest.mark.slow
def test_mediapipe_s_single_records_are_read(tmp_path):
    (video,) = of_lengths(6, dtype=np.float32)
    frames = {"RGB/feature/floats": video["rgb"], "AUDIO/feature/floats": video["audio"]}
    (tmp_path / "my.clip.pb").write_bytes(records.frame_record(frames, video_id=None, labels=None))
    assert_same(tmp_path / "my.clip.pb", BYTES)
    assert next(read_videos(str(tmp_path / "my.clip.pb"), BYTES, FOUR, Reading())).video_id == b"my.clip"


@pytest.mark.slow
def test_packed_floats_are_read(tmp_path):
    videos = [
        {name: values.view(np.uint8) for name, values in video.items()} for video in of_lengths(2, 7, dtype=np.float32)
    ]
    path = records.write(tmp_path / "a.tfrecord", [records.frame_record(v, b"v%d" % i) for i, v in enumerate(videos)])
    assert_same(path, FLOATS, reading=Reading(feature_dtype="float32"))


@pytest.mark.parametrize("dtype, features", [(np.uint8, FLOATS), (np.float32, BYTES)], ids=["bytes", "floats"])
def test_missing_features_are_padded(tmp_path, dtype, features):
    first, short, whole = of_lengths(5, 6, 7, dtype=dtype)
    short["audio"] = short["audio"][:2]
    del first["audio"]
    videos = [records.frame_record(v, b"v%d" % i) for i, v in enumerate((first, short, whole))]
    path = records.write(tmp_path / "a.tfrecord", videos)
    assert_same(path, features, reading=Reading(pad_missing_features=True))


def test_compact_records_name_the_frames_of_their_video(tmp_path):
    (video,) = of_lengths(6)
    kept = {schema.KEPT_FRAMES_KEY: [3, 9, 20, 21, 40, 299]}
    assert_same(records.write(tmp_path / "a.tfrecord", [records.frame_record(video, b"v", **kept)]), BYTES)


def test_means_of_videos_are_read(tmp_path):
    means = {"mean_rgb": np.arange(6, dtype=np.float32), "mean_audio": np.float32([-1, 0, 2])}
    features = FeatureConfig(names=tuple(means), sizes=(6, 3), frame_features=False, dtype="float32")
    assert_same(records.write(tmp_path / "a.tfrecord", [records.video_record(means, b"v", [1])]), features, None)


def bad_record(fault):
    """A second record with a fault."""
    (video,), options = of_lengths(3), {"video_id": b"bad"}
    if fault == "size":
        video["audio"] = np.zeros((3, 2), np.uint8)
    elif fault == "count":
        video["audio"] = video["audio"][:1]
    elif fault == "none":
        video = {name: values[:0] for name, values in video.items()}
    elif fault == "kind":
        video["audio"] = video["audio"].astype(np.float32)
    elif fault == "kept":
        options[schema.KEPT_FRAMES_KEY] = [1, 2]
    else:
        options["video_id"] = {"no id": None, "empty id": b"", "zero": b"a\0b"}[fault]
    return records.frame_record(video, **options)


@pytest.mark.parametrize("fault", ["size", "count", "none", "kind", "kept", "no id", "empty id", "zero"])
def test_invalid_records_are_refused_in_the_same_words(tmp_path, fault):
    (good,) = of_lengths(4)
    path = records.write(tmp_path / "a.tfrecord", [records.frame_record(good, b"good"), bad_record(fault)])
    with pytest.raises(BadRecordError) as expected:
        by_tensorflow(path, BYTES, FOUR, Reading())
    with pytest.raises(BadRecordError) as found:
        list(read_videos(path, BYTES, FOUR, Reading()))
    assert str(found.value) == str(expected.value)


def test_numbers_that_are_not_finite_are_refused_in_the_same_words(tmp_path):
    (video,) = of_lengths(3, dtype=np.float32)
    video["audio"][2, 1] = np.nan
    path = records.write(tmp_path / "a.tfrecord", [records.frame_record(video, b"v")])
    for read in (by_tensorflow, lambda *given: list(read_videos(*given))):
        with pytest.raises(BadRecordError, match="a.tfrecord, record 0: frame 2 of 'audio' holds nan in place 1"):
            read(path, FLOATS, FOUR, Reading())


def test_a_file_without_the_features_is_refused_in_the_same_words(tmp_path):
    path = records.write(tmp_path / "a.tfrecord", [records.frame_record(records.random_frames(3, (("other", 4),)), b"v")])
    with pytest.raises(ValueError) as expected:
        by_tensorflow(path, BYTES, FOUR, Reading())
    with pytest.raises(ValueError) as found:
        list(read_videos(path, BYTES, FOUR, Reading()))
    assert str(found.value) == str(expected.value)
