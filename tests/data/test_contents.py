import numpy as np
import pytest

from tests import records
from youtube8m_distill import config
from youtube8m_distill.data import contents, tfrecord

BYTES = config.FeatureConfig(("rgb", "audio"), (6, 3))
FLOATS = config.FeatureConfig(("rgb", "audio"), (6, 3), dtype="float32")
MEANS = config.FeatureConfig(("mean_rgb", "mean_audio"), (6, 3), False, "float32")


def shards(tmp_path, record):
    return tfrecord.find_files(records.write(tmp_path / "one.tfrecord", [record]))


def frame_file(tmp_path, dtype=np.uint8, sizes=(("rgb", 6), ("audio", 3))):
    return shards(tmp_path, records.frame_record(records.random_frames(4, sizes, dtype=dtype)))


def video_file(tmp_path):
    return shards(tmp_path, records.video_record({"mean_rgb": [0.5] * 6, "mean_audio": [0.5] * 3}))


def test_stored_features_pass_the_check(tmp_path):
    contents.check_features(frame_file(tmp_path), BYTES)
    contents.check_features(frame_file(tmp_path, np.float32), FLOATS)
    contents.check_features(video_file(tmp_path), MEANS)


def test_the_type_of_the_features_is_detected(tmp_path):
    assert contents.detect_dtype(frame_file(tmp_path), ["rgb", "audio"]) == "uint8"
    assert contents.detect_dtype(frame_file(tmp_path, np.float32), ["rgb", "audio"]) == "float32"
    assert contents.detect_dtype(video_file(tmp_path), ["mean_rgb"]) == "float32"


@pytest.mark.parametrize(
    "names, complaint",
    [
        (["audio", "rgb"], r"rgb \(4 frames of 6 bytes\)"),
        (["labels"], "no frame-level feature 'labels'"),
        (["inc3"], "no frame-level feature 'inc3'"),
    ],
)
def test_features_of_mixed_types_and_missing_features_are_refused(tmp_path, names, complaint):
    frames = records.random_frames(4) | {"audio": [np.zeros(3, np.float32)] * 4}
    with pytest.raises(ValueError, match=f"one.tfrecord.*{complaint}"):
        contents.detect_dtype(shards(tmp_path, records.frame_record(frames, labels=[1])), names)


def test_a_missing_feature_is_reported_with_the_stored_ones(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"one.tfrecord has no frame-level feature 'inc3'; its first record holds "
        r"audio \(4 frames of 3 bytes\), id \(4 bytes\), .*, rgb \(4 frames of 6",
    ):
        contents.check_features(frame_file(tmp_path), config.FeatureConfig(("inc3",), (6,)))


def test_a_file_of_the_wrong_level_is_distinguished_from_a_wrong_name(tmp_path):
    with pytest.raises(ValueError, match="no frame-level feature 'rgb'.*looks video-level: .*choose a model and features"):
        contents.check_features(video_file(tmp_path), BYTES)
    with pytest.raises(ValueError, match="no video-level feature 'mean_rgb'.*looks frame-level: .*choose a model"):
        contents.check_features(frame_file(tmp_path), MEANS)
    with pytest.raises(ValueError) as raised:
        contents.check_features(video_file(tmp_path), config.FeatureConfig(("mean_inc3",), (6,), False, "float32"))
    assert "looks" not in str(raised.value)


def test_a_wrong_size_is_reported_with_the_size_found(tmp_path):
    with pytest.raises(ValueError, match="'audio' holds 4 frames of 5 bytes, but feature_sizes gives 3"):
        contents.check_features(frame_file(tmp_path, sizes=(("rgb", 6), ("audio", 5))), BYTES)


def test_bytes_and_floats_are_distinguished(tmp_path):
    with pytest.raises(ValueError, match="'rgb' is stored as 4 frames of 6 floats, and the network reads bytes"):
        contents.check_features(frame_file(tmp_path, np.float32), BYTES)
    with pytest.raises(ValueError, match="'rgb' is stored as 4 frames of 6 bytes, and the network reads floats"):
        contents.check_features(frame_file(tmp_path), FLOATS)


def test_a_tfrecord_file_of_another_format_is_named(tmp_path):
    with pytest.raises(ValueError, match="one.tfrecord: .* neither a SequenceExample nor an Example"):
        contents.check_features(shards(tmp_path, b"\xff" * 40), BYTES)


def test_a_first_video_without_frames_is_accepted(tmp_path):
    contents.check_features(shards(tmp_path, records.frame_record({"rgb": [], "audio": []})), BYTES)
