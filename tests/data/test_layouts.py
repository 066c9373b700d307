"""Records that differ from the official ones: other types, names and labels, and features that are missing."""

import numpy as np
import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill import config
from youtube8m_distill.data import bad_records, contents, quantize, tfrecord
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.labels import check_labels
from youtube8m_distill.data.parsing import batch
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.pipeline import make_dataset
from youtube8m_distill.errors import SettingError

SIZES = (("rgb", 6), ("audio", 3))
BYTES = config.FeatureConfig(sizes=(6, 3))
FLOATS = config.FeatureConfig(sizes=(6, 3), dtype="float32")
ALL = {"student": config.FrameView()}
KEYS = ("rgb", "audio")
PADDING = Layout(KEYS, ("bytes", "bytes"), pad_missing_features=True)


def floats_of(count=3, seed=0):
    """Random features of which some are beyond -2 .. 2, each a list of frames."""
    random = np.random.default_rng(seed)
    return {name: list(random.normal(0, 1.5, (count, size)).astype(np.float32)) for name, size in SIZES}


def parsed(features, layout, *serialized, views=None, path="some/file", **options):
    """A batch of records, parsed eagerly, as numpy."""
    count = len(serialized)
    places = tf.fill([count], path), tf.range(count, dtype=tf.int64), tf.zeros([count], tf.int64)
    parser = batch.VideoParser(features, 12, views or ALL, layout=layout, **options)
    with records.untraced():
        found = parser(batch.Records(tf.constant(list(serialized)), *places))
    return tf.nest.map_structure(lambda values: values.numpy(), found)


def joined(frames):
    return np.concatenate([np.array(frames[name]) for name in KEYS], axis=1)


@pytest.mark.parametrize("packed", [False, True])
def test_a_network_of_bytes_reads_floats_as_the_official_files_would_hold_them(packed):
    frames = floats_of()
    stored = {name: [row.tobytes() for row in rows] for name, rows in frames.items()} if packed else frames
    layout = Layout(KEYS, ("packed floats" if packed else "floats",) * 2)
    found = parsed(BYTES, layout, records.frame_record(stored))
    assert found["student"]["frames"].dtype == np.uint8
    np.testing.assert_array_equal(found["student"]["frames"][0, :3], quantize.quantize(joined(frames)))
    assert not found["student"]["frames"][0, 3:].any()
    share = np.mean(np.abs(joined(frames)) > 2)
    assert 0.05 < share < 0.4
    np.testing.assert_allclose(found["notes"], [[0, 1, 0, 0, share]], rtol=1e-6)


def test_a_network_of_floats_reads_bytes_as_the_values_that_they_stand_for():
    frames = records.random_frames(3, SIZES)
    found = parsed(FLOATS, Layout(KEYS, ("bytes", "bytes")), records.frame_record(frames))
    expected = quantize.dequantize(np.concatenate([frames[name] for name in KEYS], axis=1))
    np.testing.assert_allclose(found["student"]["frames"][0, :3], expected, rtol=1e-6)
    assert not found["student"]["frames"][0, 3:].any() and found["notes"].tolist() == [[0, 1, 0, 0, 0]]


@pytest.mark.parametrize("features", [BYTES, FLOATS])
def test_one_feature_may_be_bytes_and_another_floats(features):
    frames = {**records.random_frames(3, SIZES), "audio": floats_of()["audio"]}
    found = parsed(features, Layout(KEYS, ("bytes", "floats")), records.frame_record(frames))["student"]["frames"][0, :3]
    if features is BYTES:
        np.testing.assert_array_equal(found[:, :6], frames["rgb"])
        np.testing.assert_array_equal(found[:, 6:], quantize.quantize(frames["audio"]))
    else:
        np.testing.assert_allclose(found[:, :6], quantize.dequantize(frames["rgb"]), rtol=1e-6)
        np.testing.assert_array_equal(found[:, 6:], frames["audio"])


def test_packed_floats_that_are_not_finite_are_reported():
    frames = {name: [row.tobytes() for row in rows] for name, rows in floats_of().items()}
    frames["audio"][1] = np.float32([0, np.nan, 1]).tobytes()
    with pytest.raises(bad_records.BadRecordError, match="frame 1 of 'audio' holds nan in place 1"):
        with bad_records.naming_bad_records():
            parsed(BYTES, Layout(KEYS, ("packed floats",) * 2), records.frame_record(frames))


# ---- features of different length, and missing ones


@pytest.mark.parametrize("dtype, zero", [("uint8", 127), ("float32", 0.0)])
def test_the_shorter_feature_ends_a_video_and_a_missing_one_is_zeros(dtype, zero):
    features = BYTES.replace(dtype=dtype)
    kind = "bytes" if dtype == "uint8" else "floats"
    make = (lambda n: records.random_frames(n, SIZES)) if dtype == "uint8" else floats_of
    whole, short = make(4), {"rgb": make(4)["rgb"], "audio": make(4)["audio"][:2]}
    without_audio, empty_audio = {"rgb": make(3)["rgb"]}, {"rgb": make(3)["rgb"], "audio": []}
    serialized = [records.frame_record(frames, labels=[1]) for frames in (whole, short, without_audio, empty_audio)]
    found = parsed(features, Layout(KEYS, (kind, kind), pad_missing_features=True), *serialized)
    assert found["stored_frames"].tolist() == found["student"]["num_frames"].tolist() == [4, 2, 3, 3]
    assert found["notes"][:, 1:4].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    frames = found["student"]["frames"]
    np.testing.assert_array_equal(frames[1, :2], joined({"rgb": short["rgb"][:2], "audio": short["audio"]}))
    for row in (2, 3):
        np.testing.assert_array_equal(frames[row, :3, :6], np.array(without_audio["rgb"]))
        assert (frames[row, :3, 6:] == zero).all() and not frames[row, 3:].any()


def test_a_batch_in_which_no_video_has_a_feature_can_be_read():
    found = parsed(BYTES, PADDING, records.frame_record({"rgb": records.random_frames(3, SIZES)["rgb"]}))
    assert (found["student"]["frames"][0, :3, 6:] == 127).all() and found["notes"][0, 3] == 1
    np.testing.assert_allclose(quantize.dequantize(np.uint8(127)), 0.0, atol=1e-4)


def test_a_video_without_any_frame_stays_invalid():
    with pytest.raises(bad_records.BadRecordError, match="record 0: no frames under any of rgb, audio$"):
        with bad_records.naming_bad_records():
            parsed(BYTES, PADDING, records.frame_record({"rgb": [], "audio": []}))


def test_the_message_about_different_lengths_names_the_flag():
    frames = {**records.random_frames(3, SIZES), "audio": records.random_frames(2, SIZES)["audio"]}
    with pytest.raises(bad_records.BadRecordError, match="'rgb' has 3 frames and 'audio' 2; --pad_missing_features reads"):
        with bad_records.naming_bad_records():
            parsed(BYTES, None, records.frame_record(frames))


# ---- ids and labels


@pytest.mark.parametrize(
    "keys, path, expected",
    [
        ({"example/id": b"e", "clip/data_path": b"/v/c.mp4"}, "some/file", b"e"),
        ({"clip/data_path": b"/v/c.mp4"}, "some/file", b"/v/c.mp4"),
        ({"id": b"i", "example/id": b"e"}, "some/file", b"i"),
        ({}, "some/folder.d/holiday.1.pb", b"holiday.1"),
    ],
)
def test_the_id_of_a_mediapipe_record(keys, path, expected):
    serialized = records.frame_record(records.random_frames(2, SIZES), video_id=None, **keys)
    assert parsed(BYTES, None, serialized, path=path)["video_id"].tolist() == [expected]


def test_a_file_names_no_other_record_than_its_first():
    serialized = records.frame_record(records.random_frames(2, SIZES), video_id=None)
    with pytest.raises(bad_records.BadRecordError, match="record 1: no video id"), bad_records.naming_bad_records():
        parsed(BYTES, None, serialized, serialized, path="a.pb")


def test_labels_may_have_another_name():
    serialized = records.frame_record(records.random_frames(2, SIZES), labels=None, **{"clip/label/index": [3, 5]})
    found = parsed(BYTES, Layout(KEYS, ("bytes", "bytes"), label_key="clip/label/index"), serialized)
    assert np.flatnonzero(found["labels"][0]).tolist() == [3, 5]
    assert parsed(BYTES, None, serialized)["notes"][0, 1] == 1


@pytest.mark.parametrize("count", [2, 300])  # the context of the second is not at the beginning
def test_an_empty_list_of_labels_may_have_the_type_of_floats(count):
    example = tf.train.SequenceExample.FromString(records.frame_record(records.random_frames(count, SIZES), labels=None))
    example.context.feature["labels"].float_list.SetInParent()
    for name in ("a", "z"):  # other features before and after
        example.context.feature[name].bytes_list.value.append(bytes(range(256)) * 8)
    official = records.frame_record(records.random_frames(2, SIZES), labels=[4])
    for serialized in ([example.SerializeToString()], [official, example.SerializeToString()]):
        found = parsed(BYTES, None, *serialized)
        assert found["labels"].sum(axis=1).tolist() == [1, 0][-len(serialized) :]


def test_labels_that_are_not_needed_do_not_matter():
    frames = records.random_frames(2, SIZES)
    floats = tf.train.SequenceExample.FromString(records.frame_record(frames, labels=None))
    floats.context.feature["labels"].float_list.value.extend([0.5, 0.25])
    invalid = [records.frame_record(frames, labels=labels) for labels in ([4715], [1, 1])] + [floats.SerializeToString()]
    for serialized in invalid:
        found = parsed(BYTES, None, serialized, with_labels=False)
        assert "labels" not in found and found["notes"][0, 1] == 0


# ---- short batches


@pytest.mark.parametrize("longest, length", [(1, 10), (10, 10), (11, 20), (40, 40), (41, 80), (161, 300), (305, 300)])
def test_rows_that_are_padding_in_all_videos_are_left_out(longest, length):
    serialized = [records.frame_record(records.random_frames(count, SIZES)) for count in (1, longest)]
    views = {"teacher": config.FrameView(), "student": config.FrameView(frame_selection="uniform", frames_per_video=15)}
    whole = parsed(BYTES, None, *serialized, views=views)
    found = parsed(BYTES, None, *serialized, views=views, trim=True)
    assert found["teacher"]["frames"].shape == (2, length, 9)
    assert found["student"]["frames"].shape == (2, 10 if longest <= 10 else 15, 9)
    for role in views:
        rows = found[role]["frames"].shape[1]
        assert found[role]["frame_indices"].shape == (2, rows)
        assert not whole[role]["frames"][:, rows:].any() and (whole[role]["frame_indices"][:, rows:] == -1).all()
        np.testing.assert_array_equal(found[role]["frames"], whole[role]["frames"][:, :rows])
        np.testing.assert_array_equal(found[role]["num_frames"], whole[role]["num_frames"])


# ---- files of a single bare record


def test_a_bare_record_is_read_beside_other_files(tmp_path):
    frames = {f"{name.upper()}/feature/floats": rows for name, rows in floats_of(4).items()}
    bare = records.frame_record(frames, video_id=None, labels=[2])
    (tmp_path / "a.pb").write_bytes(bare)
    records.write(tmp_path / "b.tfrecord", [records.frame_record(frames, video_id=b"in a file", labels=[3])] * 2)
    shards = find_files(f"{tmp_path}/*")
    assert [shard.compression for shard in shards] == ["bare", ""] and tfrecord.count_records(shards) == 3
    parser = batch.VideoParser(BYTES, 12, ALL, layout=contents.find_layout(shards, BYTES))
    for order in (None, "again"):  # a file may be read any number of times
        (found,) = make_dataset(shards, parser, 3).as_numpy_iterator()
        assert found["video_id"].tolist() == [b"a", b"in a file", b"in a file"], order
    np.testing.assert_array_equal(found["student"]["frames"][0, :4], quantize.quantize(joined(floats_of(4))))
    assert tfrecord.is_whole(shards[0], 0) and tfrecord.first_record(shards[0]) == bare


def test_a_file_of_something_else_is_still_refused(tmp_path):
    for name, content in (("video.pb", b"\xff" * 100), ("text.txt", b"hello, world, this is no record")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(tfrecord.BadFileError, match=f"{name} .* is not a TFRecord file"):
            find_files(str(tmp_path / name))


# ---- a look at the labels


def look(tmp_path, labels, num_classes=12, key="labels", others=None):
    serialized = [records.frame_record(records.random_frames(1, SIZES), labels=row, **(others or {})) for row in labels]
    shards = find_files(records.write(tmp_path / "look.tfrecord", serialized))
    check_labels("some_flag", "look*", shards, key, num_classes)


def test_files_with_some_labels_pass(tmp_path):
    look(tmp_path, [[1], [0, 1], []])
    look(tmp_path, [[]] * 100 + [[1]])
    look(tmp_path, [[0, 1], [0, 1]], num_classes=2)  # videos may have both classes


def test_files_without_labels_are_refused_with_other_integers(tmp_path):
    message = "some_flag=look.*none of the first 3 records has labels under 'labels'.*--label_key; .*: label \\(2 in the"
    with pytest.raises(SettingError, match=message):
        look(tmp_path, [None] * 3, others={"label": [1, 4]})
    look(tmp_path, [None] * 3, key="label", others={"label": [1, 4]})


@pytest.mark.parametrize("rows, num_classes", [([[0, 1], [1, 0]], 2), ([[0, 0, 1, 0]], 4)])
def test_rows_of_zeros_and_ones_are_explained(tmp_path, rows, num_classes):
    with pytest.raises(SettingError, match=f"a multi-hot vector in every record: {num_classes} zeros and ones"):
        look(tmp_path, rows, num_classes)
