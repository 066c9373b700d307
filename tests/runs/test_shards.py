import numpy as np
import pytest

from tests import commands
from youtube8m_distill import config, runs

FEATURES = config.FeatureConfig(sizes=(6, 3))


def test_files_of_a_flag_are_found_in_order(tmp_path):
    pattern = commands.write_files(tmp_path, "train", commands.frame_videos(4))
    found = runs.find_shards("train_data_pattern", pattern, FEATURES)
    assert [shard.path for shard in found] == [f"{tmp_path}/train0.tfrecord", f"{tmp_path}/train1.tfrecord"]


@pytest.mark.parametrize("features, kind, words", [
    (None, FileNotFoundError, "matches no file"),
    (config.FeatureConfig(sizes=(7, 3)), ValueError, "feature_sizes gives 7"),
    (config.FeatureConfig(sizes=(6, 3), dtype="float32"), ValueError, "the network reads floats")])
def test_what_is_wrong_begins_with_the_flag(tmp_path, features, kind, words):
    pattern = commands.write_files(tmp_path, "train", commands.frame_videos(2)) if features else f"{tmp_path}/none"
    with pytest.raises(kind) as raised:
        runs.find_shards("some_flag", pattern, features)
    assert str(raised.value).startswith(f"some_flag={pattern}: ") and words in str(raised.value)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_stored_dtype_is_found(tmp_path, dtype):
    pattern = commands.write_files(tmp_path, "train", commands.frame_videos(2, dtype=np.dtype(dtype).type))
    assert runs.stored_dtype("some_flag", pattern, ("rgb", "audio")) == dtype


def test_video_level_files_have_no_frames_to_look_at(tmp_path):
    pattern = commands.write_files(tmp_path, "train", commands.video_means(2))
    with pytest.raises(ValueError, match="^some_flag=.*no frame-level feature 'rgb'.*looks video-level"):
        runs.stored_dtype("some_flag", pattern, ("rgb", "audio"))
