import dataclasses

import numpy as np
import pytest

from tests import records
from youtube8m_distill import config
from youtube8m_distill.data import contents
from youtube8m_distill.data.find_files import find_files

BYTES = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))
FLOATS = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3), dtype="float32")
MEANS = config.FeatureConfig(names=("mean_rgb", "mean_audio"), sizes=(6, 3), frame_features=False, dtype="float32")


def shards(tmp_path, record):
    return find_files(records.write(tmp_path / "one.tfrecord", [record]))


def frame_file(tmp_path, dtype=np.uint8, sizes=(("rgb", 6), ("audio", 3))):
    return shards(tmp_path, records.frame_record(records.random_frames(4, sizes, dtype=dtype)))


def video_file(tmp_path):
    return shards(tmp_path, records.video_record({"mean_rgb": [0.5] * 6, "mean_audio": [0.5] * 3}))


def test_stored_features_pass_the_check(tmp_path):
    contents.find_layout(frame_file(tmp_path), BYTES)
    contents.find_layout(frame_file(tmp_path, np.float32), FLOATS)
    contents.find_layout(video_file(tmp_path), MEANS)


def test_the_type_of_a_networks_input_follows_from_the_stored_features(tmp_path):
    assert contents.detect_dtype(frame_file(tmp_path), ["rgb", "audio"]) == "uint8"
    assert contents.detect_dtype(frame_file(tmp_path), ["rgb"], config.Reading(feature_dtype="float32")) == "float32"
    assert contents.detect_dtype(frame_file(tmp_path, np.float32), ["rgb", "audio"]) == "float32"
    mixed = records.random_frames(4) | {"audio": [np.zeros(3, np.float32)] * 4}
    assert contents.detect_dtype(shards(tmp_path, records.frame_record(mixed)), ["rgb", "audio"]) == "float32"


@pytest.mark.parametrize("name", ["labels", "inc3"])
def test_the_type_of_a_feature_that_is_missing_is_unknown(tmp_path, name):
    with pytest.raises(ValueError, match=f"one.tfrecord has no frame-level feature '{name}'"):
        contents.detect_dtype(frame_file(tmp_path), [name])


def test_a_missing_feature_is_reported_with_the_stored_ones(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"the first record of \S*one.tfrecord has no frame-level feature 'inc3'; it holds "
        r"audio \(4 frames of 3 bytes\), id \(4 bytes\), .*, rgb \(4 frames of 6 bytes\)\. "
        r"Name its features: --feature_names=rgb,audio --feature_sizes=6,3\.$",
    ):
        contents.find_layout(frame_file(tmp_path), config.FeatureConfig(names=("inc3",), sizes=(6,)))


def test_a_file_of_the_wrong_level_is_distinguished_from_a_wrong_name(tmp_path):
    with pytest.raises(ValueError, match="no frame-level feature 'rgb'.*looks video-level: .*choose a model and features"):
        contents.find_layout(video_file(tmp_path), BYTES)
    with pytest.raises(ValueError, match="no video-level feature 'mean_rgb'.*looks frame-level: .*choose a model"):
        contents.find_layout(frame_file(tmp_path), MEANS)
    with pytest.raises(ValueError) as raised:
        contents.find_layout(
            video_file(tmp_path),
            config.FeatureConfig(names=("mean_inc3",), sizes=(6,), frame_features=False, dtype="float32"),
        )
    assert "looks" not in str(raised.value)


def test_a_wrong_size_is_reported_with_the_size_found(tmp_path):
    with pytest.raises(ValueError, match="'audio' holds 4 frames of 5 bytes, but the network reads 3 numbers"):
        contents.find_layout(frame_file(tmp_path, sizes=(("rgb", 6), ("audio", 5))), BYTES)


@pytest.mark.parametrize("features", [BYTES, FLOATS])
def test_a_network_reads_bytes_floats_and_packed_floats(tmp_path, features):
    frames = records.random_frames(4)
    frames["audio"] = [np.zeros(3, np.float32)] * 4
    assert contents.find_layout(shards(tmp_path, records.frame_record(frames)), features).kinds == ("bytes", "floats")
    frames["rgb"] = [np.zeros(6, np.float32).tobytes()] * 4
    packed = shards(tmp_path, records.frame_record(frames))
    layout = contents.find_layout(packed, features, config.Reading(feature_dtype="float32"))
    assert layout.keys == ("rgb", "audio") and layout.kinds == ("packed floats", "floats")
    with pytest.raises(ValueError, match="'rgb' holds 4 frames of 24 bytes, but .* 6 float32 numbers: .*--feature_dtype"):
        contents.find_layout(packed, features)
    with pytest.raises(ValueError, match="'rgb' holds 4 frames of 6 bytes, but the network reads 6 .*, which are 24 bytes"):
        contents.find_layout(frame_file(tmp_path), features, config.Reading(feature_dtype="float32"))


def test_integers_are_no_feature(tmp_path):
    frames = records.random_frames(2) | {"audio": [[1, 2, 3]] * 2}
    with pytest.raises(ValueError, match="'audio' is stored as 2 frames of 3 integers; features must be bytes or floats"):
        contents.find_layout(shards(tmp_path, records.frame_record(frames)), BYTES)


def mediapipe_frames(count=4):
    floats = records.random_frames(count, dtype=np.float32)
    return {
        "RGB/feature/floats": floats["rgb"],
        "AUDIO/feature/floats": floats["audio"],
        "RGB/feature/timestamp": [[1]] * count,
    }


def test_mediapipes_names_are_known(tmp_path):
    found = shards(tmp_path, records.frame_record(mediapipe_frames()))
    layout = contents.find_layout(found, BYTES)
    assert layout.keys == ("RGB/feature/floats", "AUDIO/feature/floats") and layout.kinds == ("floats", "floats")
    assert contents.all_features(found[0]) == FLOATS
    assert contents.named_features(found[0], ["audio"]) == config.FeatureConfig(
        names=("audio",), sizes=(3,), dtype="float32"
    )


def test_a_feature_that_is_missing_in_the_first_record_may_be_padded(tmp_path):
    rgb_only = {"rgb": records.random_frames(4)["rgb"]}
    with_audio = {**rgb_only, "audio": [np.zeros(3, np.float32)] * 4}
    path = records.write(tmp_path / "two.tfrecord", [records.frame_record(frames) for frames in (rgb_only, with_audio)])
    found, padding = find_files(path), config.Reading(pad_missing_features=True)
    with pytest.raises(ValueError, match="no frame-level feature 'audio'.*--pad_missing_features reads zeros instead"):
        contents.find_layout(found, BYTES)
    assert contents.find_layout(found, BYTES, padding).kinds == ("bytes", "floats")
    alone = shards(tmp_path, records.frame_record(rgb_only))
    assert contents.find_layout(alone, BYTES, padding).kinds == ("bytes", "bytes")


def test_padding_is_no_help_for_records_without_any_of_the_features(tmp_path):
    found = shards(tmp_path, records.frame_record({"audio_embedding": [b"x" * 128] * 4}))
    for reading in (config.Reading(), config.Reading(pad_missing_features=True)):
        with pytest.raises(ValueError) as raised:
            contents.find_layout(found, BYTES, reading)
        assert "no frame-level feature 'rgb'; it holds audio_embedding (4 frames of 128 bytes), " in str(raised.value)
        assert str(raised.value).endswith("Name its features: --feature_names=audio_embedding --feature_sizes=128.")


def test_a_record_without_features_is_reported_with_what_it_holds(tmp_path):
    (found,) = shards(tmp_path, records.video_record({"rgb": b"x" * 6}, labels=[1]))
    with pytest.raises(ValueError) as raised:
        contents.all_features(found)
    assert str(raised.value) == (
        f"the first record of {found.path} has no features: no frame of bytes or floats, and no floats of the video; "
        "it holds id (4 bytes), labels (1 integers), rgb (6 bytes)."
    )


def test_features_of_later_records_are_found_if_missing_ones_are_padded(tmp_path):
    frames = records.random_frames(4)
    rows = [records.frame_record({"rgb": frames["rgb"]}), records.frame_record(frames)]
    (found,) = find_files(records.write(tmp_path / "two.tfrecord", rows))
    padding = config.Reading(pad_missing_features=True)
    assert contents.all_features(found).names == ("rgb",)
    assert contents.all_features(found, padding).names == ("audio", "rgb")
    assert contents.named_features(found, ["rgb", "audio"], padding).sizes == (6, 3)


def test_a_tfrecord_file_of_another_format_is_named(tmp_path):
    with pytest.raises(ValueError, match="one.tfrecord: .* neither a SequenceExample nor an Example"):
        contents.find_layout(shards(tmp_path, b"\xff" * 40), BYTES)


def test_a_first_video_without_frames_is_accepted(tmp_path):
    contents.find_layout(shards(tmp_path, records.frame_record({"rgb": [], "audio": []})), BYTES)


def test_video_level_features_must_be_floats(tmp_path):
    found = shards(tmp_path, records.video_record({"mean_rgb": bytes(6), "mean_audio": [0.5] * 3}))
    with pytest.raises(ValueError, match="'mean_rgb' is stored as 6 bytes; video-level features must be floats"):
        contents.find_layout(found, MEANS)


def test_records_that_are_excluded_or_damaged_tell_nothing_about_a_missing_feature(tmp_path):
    first = records.frame_record({"rgb": records.random_frames(4)["rgb"]})
    path = records.write(tmp_path / "a.tfrecord", [first, b"garbage", records.frame_record(records.random_frames(4))])
    padding = config.Reading(pad_missing_features=True)
    (shard,) = find_files(path)
    assert contents.find_layout([dataclasses.replace(shard, excluded=(1,))], BYTES, padding).kinds == ("bytes", "bytes")
    with open(path, "r+b") as file:
        file.truncate(shard.size - 5)
    assert contents.find_layout(find_files(path), BYTES, padding).kinds == ("bytes", "bytes")
