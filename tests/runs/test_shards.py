import numpy as np
import pytest

from tests import commands, records
from youtube8m_distill import config, runs
from youtube8m_distill.data import screening

FEATURES = config.FeatureConfig(sizes=(6, 3))


def test_files_of_a_flag_are_found_in_order(tmp_path):
    pattern = commands.write_files(tmp_path, "train", commands.frame_videos(4))
    found = runs.find_shards("train_data_pattern", pattern, FEATURES)
    assert [shard.path for shard in found] == [f"{tmp_path}/train0.tfrecord", f"{tmp_path}/train1.tfrecord"]


@pytest.mark.parametrize(
    "features, kind, words",
    [
        (None, FileNotFoundError, "matches no file"),
        (config.FeatureConfig(sizes=(7, 3)), ValueError, "feature_sizes gives 7"),
        (config.FeatureConfig(sizes=(6, 3), dtype="float32"), ValueError, "the network reads floats"),
    ],
)
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


# ---- bad records


def usable(pattern, features=FEATURES, **options):
    return runs.usable_shards("some_flag", pattern, features, 5, **{"skip": True, "max_bad_fraction": 0.5, **options})


@pytest.fixture
def spoiled(tmp_path):
    """The glob of a file of four videos, one that begins with a bad record, and one that is none."""
    pattern = commands.write_files(tmp_path, "train", commands.frame_videos(4), files=1)
    records.write(tmp_path / "train1.tfrecord", [b"abc", commands.frame_videos(5)[-1]])
    (tmp_path / "a-train.tfrecord").write_bytes(b"")
    return pattern.replace("train*", "*")


def test_without_being_asked_nothing_is_looked_for(tmp_path):
    pattern = commands.write_files(tmp_path, "train", [*commands.frame_videos(4), b"abc"])
    found = usable(pattern, skip=False)
    assert found.shards == runs.find_shards("some_flag", pattern, FEATURES) and found.num_records is None


def test_files_and_records_that_cannot_be_used_are_left_out(tmp_path, spoiled):
    found = usable(spoiled)
    assert [(shard.path, shard.left_out) for shard in found.shards] == [
        (f"{tmp_path}/train0.tfrecord", ()),
        (f"{tmp_path}/train1.tfrecord", (0,)),
    ]
    assert (found.num_records, found.num_bad) == (7, 2)
    assert usable(spoiled, known=found.to_json()) == found
    assert usable(spoiled, features=None).shards == found.shards
    assert runs.stored_dtype("some_flag", spoiled, ("rgb", "audio"), skip=True) == "uint8"


def test_files_of_another_kind_are_refused_before_they_are_read(spoiled, monkeypatch):
    monkeypatch.setattr(screening, "_screen_files", None)
    with pytest.raises(ValueError, match="^some_flag=.*feature_sizes gives 7"):
        usable(spoiled, config.FeatureConfig(sizes=(7, 3)))


def test_where_no_file_can_be_read_each_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(ValueError, match="^some_flag=.*/a: the file is empty"):
        usable(f"{tmp_path}/a")
    with pytest.raises(ValueError, match="^some_flag=.*/a: the file is empty"):
        runs.stored_dtype("some_flag", f"{tmp_path}/a", ("rgb",), skip=True)
