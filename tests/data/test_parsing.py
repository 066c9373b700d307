import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings, strategies

from tests import oracles, records
from youtube8m_distill import config
from youtube8m_distill.data import bad_records, contents, pipeline, seeds, tfrecord
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.parsing import batch, checks

REAL = pathlib.Path(__file__).parents[2].parent / "shared" / "data"
needs_real_records = pytest.mark.skipif(not REAL.is_dir(), reason="no folder of real records beside the repository")

SIZES = (("rgb", 6), ("audio", 3))
BYTES = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))
FLOATS = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3), dtype="float32")
MEANS = config.FeatureConfig(names=("mean_rgb", "mean_audio"), sizes=(6, 3), frame_features=False, dtype="float32")
ALL = config.FrameView()
MEAN = {"student": None}  # views of video-level records
NUM_CLASSES = 12


def a_batch(serialized, path="some/file", number=7, epoch=0):
    """Unparsed records, all with the same file and number."""
    same = [tf.fill([len(serialized)], tf.constant(value)) for value in (path, np.int64(number), np.int64(epoch))]
    return batch.Records(tf.constant(list(serialized)), *same)


def reading_of(features, views, seed=0):
    """Arguments of a VideoParser. `views`: dict by role, or the student's FrameView."""
    return features, NUM_CLASSES, views if isinstance(views, dict) else {"student": views}, seed


def rows(batch, count):
    """The examples of a batch, as a list."""
    return [tf.nest.map_structure(lambda values, i=i: values[i], batch) for i in range(count)]


def together(reading, *serialized, **place):
    """Parses records as one batch, eagerly."""
    with records.untraced():
        return rows(batch.VideoParser(*reading)(a_batch(serialized, **place)), len(serialized))


def in_a_dataset(reading, *serialized, **place):
    """Parses records as one batch, in the graph of a dataset."""
    parser = batch.VideoParser(*reading)
    dataset = tf.data.Dataset.from_tensors(a_batch(serialized, **place)).map(lambda fields: parser(fields))
    return rows(next(iter(dataset)), len(serialized))


def in_any_layout(reading, *serialized, **place):
    """Parses records as one batch, eagerly, none as an official one."""
    with records.no_official_layout():
        return together(reading, *serialized, **place)


each_way = pytest.mark.parametrize("run", [together, in_a_dataset, in_any_layout])
in_many_cases = pytest.mark.parametrize("run", [together, pytest.param(in_any_layout, marks=pytest.mark.slow)])


def assert_view(found, frames, indices, length):
    rows, places = oracles.padded_view(frames, indices, length)
    np.testing.assert_array_equal(found["frames"], rows)
    np.testing.assert_array_equal(found["frame_indices"], places)
    assert found["frames"].dtype == rows.dtype and found["frame_indices"].dtype == tf.int32
    assert found["num_frames"].dtype == tf.int32 and found["num_frames"] == len(indices)


@in_many_cases
@pytest.mark.parametrize("features, dtype", [(BYTES, np.uint8), (FLOATS, np.float32)])
@pytest.mark.parametrize("selection", sorted(set(config.FRAME_SELECTIONS) - {"random"}))
def test_a_role_gets_the_frames_of_its_selection(run, features, dtype, selection):
    if features is FLOATS and run is together and selection != "last":
        pytest.skip("floats are always parsed in any layout")
    key = {"all": {}, "strided": {"every_n": 4}}.get(selection, {"frames_per_video": 4})
    view = config.FrameView(frame_selection=selection, **key)
    videos = [records.random_frames(num_frames, SIZES, dtype=dtype) for num_frames in (1, 4, 5, 11, 300, 307)]
    reading = reading_of(features, view)
    for frames, found in zip(videos, run(reading, *map(records.frame_record, videos)), strict=True):
        num_frames = min(len(frames["rgb"]), 300)  # frames past the 300th are ignored
        assert_view(found["student"], frames, oracles.selected_frames(selection, num_frames, 4), view.max_frames)
        assert found["stored_frames"].dtype == tf.int32 and found["stored_frames"] == len(frames["rgb"])


@in_many_cases
@pytest.mark.parametrize("longest", [6, 320])
@pytest.mark.parametrize("selection", sorted(set(config.FRAME_SELECTIONS) - {"random"}))
def test_max_video_frames_is_where_reading_ends(run, longest, selection):
    key = {"all": {}, "strided": {"every_n": 4}}.get(selection, {"frames_per_video": 4})
    view = config.FrameView(frame_selection=selection, max_video_frames=longest, **key)
    videos = [records.random_frames(num_frames, SIZES) for num_frames in (3, 7, 310, 330)]
    for frames, found in zip(videos, run(reading_of(BYTES, view), *map(records.frame_record, videos)), strict=True):
        num_frames = min(len(frames["rgb"]), longest)
        expected = list(range(num_frames)) if selection == "all" else oracles.selected_frames(selection, num_frames, 4)
        assert_view(found["student"], frames, expected, view.max_frames)
        assert found["notes"][0] == (len(frames["rgb"]) > longest)


@settings(max_examples=15, deadline=None)
@given(num_frames=strategies.integers(1, 320), k=strategies.integers(1, 300), seed=strategies.integers(0, 2**31))
def test_each_row_is_the_frame_that_its_index_names(num_frames, k, seed):
    view = config.FrameView(frame_selection="random", frames_per_video=k)
    frames = records.random_frames(num_frames, SIZES, seed)
    [found] = together(reading_of(BYTES, view, seed), records.frame_record(frames))
    found = found["student"]
    indices = [index for index in found["frame_indices"].numpy() if index >= 0]
    assert len(indices) == min(num_frames, 300, k) and indices == sorted(set(indices)) and indices[-1] < 300
    assert_view(found, frames, indices, k)


def test_equal_parsers_are_traced_once_per_process(monkeypatch):
    traced = []
    read_context = checks.read_context
    monkeypatch.setattr(checks, "read_context", lambda *reading: traced.append(reading) or read_context(*reading))
    records.forget_parsers(monkeypatch)
    for seed in range(2):
        in_a_dataset((MEANS, NUM_CLASSES, dict(MEAN), seed), records.video_record(GOOD_MEANS))
    assert len(traced) == 1


@pytest.mark.parametrize("run", [together, in_any_layout])
def test_each_role_gets_its_own_frames(run):
    views = {"teacher": ALL, "student": config.FrameView(frame_selection="last", frames_per_video=2)}
    frames = records.random_frames(5, SIZES)
    [found] = run(reading_of(BYTES, views), records.frame_record(frames))
    assert sorted(found) == ["labels", "notes", "stored_frames", "student", "teacher", "video_id"]
    assert_view(found["teacher"], frames, range(5), 300)
    assert_view(found["student"], frames, [3, 4], 2)


def test_features_are_joined_in_the_requested_order():
    frames = records.random_frames(5, SIZES)
    reversed_features = config.FeatureConfig(names=("audio", "rgb"), sizes=(3, 6))
    [found] = together(reading_of(reversed_features, ALL), records.frame_record(frames))
    assert_view(found["student"], {"audio": frames["audio"], "rgb": frames["rgb"]}, range(5), 300)


@each_way
def test_video_level_features_are_joined(run):
    means = {"mean_audio": [7.0, 8.0, 9.0], "mean_rgb": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    [found] = run(reading_of(MEANS, MEAN), records.video_record(means, b"xy", [11], "video_id"))
    assert sorted(found) == ["labels", "notes", "student", "video_id"] and found["video_id"] == b"xy"
    np.testing.assert_array_equal(found["student"]["features"], np.float32([1, 2, 3, 4, 5, 6, 7, 8, 9]))
    assert found["labels"].numpy().tolist() == oracles.multi_hot([11], NUM_CLASSES)


@pytest.mark.parametrize("id_key", ["id", "video_id"])
def test_the_video_id_is_read_under_either_name(id_key):
    frames = records.random_frames(2, SIZES)
    [found] = together(reading_of(BYTES, ALL), records.frame_record(frames, b"zz", id_key=id_key))
    assert found["video_id"] == b"zz"


@pytest.mark.parametrize("run", [together, in_any_layout])
@pytest.mark.parametrize("labels", [None, [], [11, 0, 5]])
def test_labels_may_be_missing_or_unordered(run, labels):
    serialized = records.frame_record(records.random_frames(2, SIZES), labels=labels)
    [found] = run(reading_of(BYTES, ALL), serialized)
    assert found["labels"].dtype == tf.uint8
    assert found["labels"].numpy().tolist() == oracles.multi_hot(labels or [], NUM_CLASSES)


def test_random_frames_are_a_function_of_seed_epoch_and_video_id():
    frames = records.random_frames(200, SIZES)

    def drawn(seed=1, epoch=0, video_id=b"abcd", run=together, number=0):
        reading = reading_of(BYTES, config.FrameView(frame_selection="random", frames_per_video=10), seed)
        [found] = run(reading, records.frame_record(frames, video_id), epoch=epoch, number=number)
        return found["student"]["frame_indices"].numpy().tolist()

    assert drawn() == drawn(run=in_a_dataset) == drawn(run=in_any_layout) == drawn(number=3)
    others = [drawn(), drawn(seed=2), drawn(epoch=1), drawn(epoch=2), drawn(video_id=b"abce")]
    assert all(one != other for i, one in enumerate(others) for other in others[:i])


@pytest.mark.parametrize("run", [together, in_any_layout])
def test_only_the_roles_that_are_named_see_jittered_frames(run):
    frames = records.random_frames(200, SIZES)
    view = config.FrameView(frame_selection="uniform", frames_per_video=10)

    def seen(role, epoch):
        reading = (*reading_of(BYTES, {"teacher": view, "student": view}), None, True, False, ("student",))
        [found] = run(reading, records.frame_record(frames), epoch=epoch)
        indices = found[role]["frame_indices"].numpy().tolist()
        assert_view(found[role], frames, indices, 10)
        return indices

    assert seen("teacher", epoch=0) == seen("teacher", epoch=1) == oracles.selected_frames("uniform", 200, 10)
    assert seen("student", epoch=0) == seen("student", epoch=0) != seen("student", epoch=1)


def test_different_pairs_of_seed_and_epoch_get_different_seeds():
    pairs = [(seed, epoch) for seed in (0, 1, 2, 2**31) for epoch in (0, 1, 2, 1000)]
    assert len({int(seeds.epoch_seed(*pair)) for pair in pairs}) == len(pairs)


GOOD = records.random_frames(3, SIZES)
MALFORMED = {
    "no video id; it should be under id or video_id": records.frame_record(GOOD, video_id=None),
    "no frames under 'rgb'": records.frame_record({"audio": GOOD["audio"]}),
    "'rgb' has 3 frames and 'audio' 0": records.frame_record({"rgb": GOOD["rgb"]}),
    "'rgb' has 3 frames and 'audio' 2": records.frame_record(GOOD | {"audio": GOOD["audio"][:2]}),
    "frame 1 of 'rgb' holds 5 bytes instead of 6": records.frame_record(
        GOOD | {"rgb": [GOOD["rgb"][0], GOOD["rgb"][1][:5], GOOD["rgb"][2]]}
    ),
    # Joined and cut again, these would decode: 6 bytes each on average.
    "frame 0 of 'rgb' holds 3 bytes instead of 6": records.frame_record(GOOD | {"rgb": [b"abc", b"abcdefghi", b"abcdef"]}),
    "frame 2 of 'audio' holds 2 byte strings instead of 1": records.frame_record(
        GOOD | {"audio": [b"abc", b"abc", [b"abc", b"abc"]]}
    ),
    "label 12 is outside 0 .. 11; num_classes=12 is too small": records.frame_record(GOOD, labels=[3, 12, 4]),
    "label -1 is outside 0 .. 11": records.frame_record(GOOD, labels=[-1]),
    "label 5 is listed more than once": records.frame_record(GOOD, labels=[2, 5, 0, 5]),
    "'audio' is not stored as bytes": records.frame_record(GOOD | {"audio": [np.zeros(3, np.float32)] * 3}),
    "neither a SequenceExample nor an Example": b"\xff" * 30,
}


@pytest.mark.parametrize("run", [together, pytest.param(in_a_dataset, marks=pytest.mark.slow), in_any_layout])
@pytest.mark.parametrize("reason", MALFORMED)
def test_an_invalid_frame_level_record_is_reported_with_file_and_number(run, reason):
    view = config.FrameView(frame_selection="first", frames_per_video=1)  # frames that no role sees are checked, too
    with pytest.raises(bad_records.BadRecordError) as raised, bad_records.naming_bad_records():
        run(reading_of(BYTES, view), MALFORMED[reason], path="a b/'c'.tfrecord")
    assert str(raised.value).startswith(f"file a b/'c'.tfrecord, record 7: {reason}")
    assert "\n" not in str(raised.value)


GOOD_MEANS = {"mean_rgb": [0.5] * 6, "mean_audio": [0.5] * 3}
FLOAT_GOOD = records.random_frames(3, SIZES, dtype=np.float32)


@pytest.mark.parametrize("run", [together, in_any_layout])
@pytest.mark.parametrize(
    "reason, serialized",
    [
        (
            "frame 1 of 'rgb' holds 7 floats instead of 6",
            records.frame_record(FLOAT_GOOD | {"rgb": [np.zeros(size, np.float32) for size in (6, 7, 5)]}),
        ),
        (
            "frame 2 of 'audio' holds nan in place 1",
            records.frame_record(FLOAT_GOOD | {"audio": [np.zeros(3), np.zeros(3), np.array([0, np.nan, np.inf])]}),
        ),
        ("'rgb' is not stored as floats", records.frame_record(FLOAT_GOOD | {"rgb": GOOD["rgb"]})),
    ],
)
def test_an_invalid_record_of_float_frames_is_reported_with_file_and_number(run, reason, serialized):
    with (
        pytest.raises(bad_records.BadRecordError, match=f"^file some/file, record 7: {reason}"),
        bad_records.naming_bad_records(),
    ):
        run(reading_of(FLOATS, ALL), serialized)


@pytest.mark.parametrize("run", [together, in_any_layout])
@pytest.mark.parametrize(
    "reason, serialized",
    [
        ("'mean_audio' has 2 numbers instead of 3", records.video_record({"mean_rgb": [0.5] * 6, "mean_audio": [0.5] * 2})),
        ("'mean_rgb' has 0 numbers instead of 6", records.video_record({"mean_audio": [0.5] * 3})),
        ("'mean_audio' holds -inf in place 2", records.video_record(GOOD_MEANS | {"mean_audio": [0.0, 1.0, -np.inf]})),
        ("label 0 is listed more than once", records.video_record(GOOD_MEANS, labels=[0, 0])),
        ("'mean_audio' is not stored as floats", records.video_record({"mean_rgb": [0.5] * 6, "mean_audio": b"abc"})),
        ("label 4715 is outside 0 .. 11", records.video_record(GOOD_MEANS, labels=[4715])),
        ("no video id", records.video_record(GOOD_MEANS, None)),
        ("neither a SequenceExample nor an Example", b"\xff" * 30),
    ],
)
def test_an_invalid_video_level_record_is_reported_with_file_and_number(run, reason, serialized):
    with (
        pytest.raises(bad_records.BadRecordError, match=f"^file some/file, record 7: {reason}"),
        bad_records.naming_bad_records(),
    ):
        run(reading_of(MEANS, MEAN), serialized)


def test_frame_level_records_need_a_view_and_video_level_records_take_none():
    with pytest.raises(ValueError, match="student has None with frame_features=True"):
        batch.VideoParser(*reading_of(BYTES, None))
    with pytest.raises(ValueError, match="with frame_features=False. .*video-level records take None"):
        batch.VideoParser(*reading_of(MEANS, ALL))
    with pytest.raises(ValueError, match="views={}: name at least one role"):
        batch.VideoParser(BYTES, NUM_CLASSES, {})


def read_real(pattern, features, num_classes, view):
    shards = find_files(str(REAL / pattern))
    contents.find_layout(shards, features)
    parser = batch.VideoParser(features, num_classes, {"student": view})
    batches = list(pipeline.make_dataset(shards, parser, 64).as_numpy_iterator())
    return shards, tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


@needs_real_records
@pytest.mark.parametrize(
    "pattern, num_classes, id_length",
    [
        ("2018_video_level/validate0000.tfrecord", 3862, 4),
        ("2017_video_level/validatea0.tfrecord", 4716, 11),
        ("2018_video_level/test0z.tfrecord", 3862, 4),
        ("2017_video_level/testa0.tfrecord", 4716, 11),
    ],
)
def test_real_video_level_records_equal_their_protos(pattern, num_classes, id_length):
    features = config.FeatureConfig(
        names=("mean_rgb", "mean_audio"), sizes=(1024, 128), frame_features=False, dtype="float32"
    )
    shards, found = read_real(pattern, features, num_classes, None)
    assert len(found["video_id"]) == tfrecord.count_records(shards)
    for i, serialized in enumerate(tf.data.TFRecordDataset(shards[0].path)):
        stored = tf.train.Example.FromString(serialized.numpy()).features.feature
        video_id = stored["id" if "id" in stored else "video_id"].bytes_list.value[0]
        assert found["video_id"][i] == video_id
        means = list(stored["mean_rgb"].float_list.value) + list(stored["mean_audio"].float_list.value)
        np.testing.assert_array_equal(found["student"]["features"][i], np.float32(means))
        assert set(np.flatnonzero(found["labels"][i])) == set(stored["labels"].int64_list.value)
    assert found["labels"].any() == ("validate" in pattern)


@needs_real_records
def test_a_2017_file_read_with_the_classes_of_2018_names_the_label():
    features = config.FeatureConfig(
        names=("mean_rgb", "mean_audio"), sizes=(1024, 128), frame_features=False, dtype="float32"
    )
    complaint = r"validatea0.tfrecord, record \d+: label \d+ is outside 0 .. 3861"
    with pytest.raises(bad_records.BadRecordError, match=complaint), bad_records.naming_bad_records():
        read_real("2017_video_level/validatea0.tfrecord", features, 3862, None)


@needs_real_records
@pytest.mark.parametrize("view", [ALL, config.FrameView(frame_selection="uniform", frames_per_video=30)])
def test_the_real_frame_level_record_equals_its_proto(view):
    shards, found = read_real("2018_frame_level/*.tfrecord", config.FeatureConfig(), 3862, view)
    stored = tf.train.SequenceExample.FromString(tfrecord.first_record(shards[0])).feature_lists.feature_list
    frames = {
        name: np.stack([np.frombuffer(frame.bytes_list.value[0], np.uint8) for frame in stored[name].feature])
        for name in ("rgb", "audio")
    }
    seen = oracles.selected_frames(view.frame_selection, 170, view.frames_per_video)
    rows, indices = oracles.padded_view(frames, seen, view.max_frames)
    np.testing.assert_array_equal(found["student"]["frames"][0], rows)
    np.testing.assert_array_equal(found["student"]["frame_indices"][0], indices)
    assert found["student"]["num_frames"].tolist() == [len(seen)] and np.flatnonzero(found["labels"][0]).tolist() == [11]
