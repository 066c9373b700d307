from tests import commands
from youtube8m_distill.cli import values
from youtube8m_distill.config.synthetic import SyntheticConfig

SMALL = ["--num_train_videos=3", "--num_validate_videos=2", "--num_test_videos=1", "--max_frames=5"]


def test_flags_that_are_not_given_keep_the_defaults():
    with commands.parsed("synthesize"):
        assert values.given(*SyntheticConfig.model_fields) == {}


def test_the_command_writes_a_set_once_and_prints_how_to_train_on_it(tmp_path):
    arguments = (f"--output_dir={tmp_path}", "--num_classes=30", "--video_level", "--id_key=video_id", *SMALL)
    ended = commands.succeed("synthesize", *arguments)
    assert "3 train, 2 validate, 1 test videos of 30 classes; 6 files were written." in ended.out
    assert f"yt8m train --train_data_pattern='{tmp_path}/train*.tfrecord' --num_classes=30" in ended.out
    assert ended.lines[-1].startswith("synthesize: 6/6 videos, ")
    assert (tmp_path / "video_level" / "validate0000.tfrecord").exists()
    assert b"video_id" in (tmp_path / "train0000.tfrecord").read_bytes()
    ended = commands.succeed("synthesize", *arguments)
    assert ended.out == f"{tmp_path}: the data set is complete; nothing was written.\n" and ended.err == ""


def test_invalid_values_are_refused_before_anything_is_written(tmp_path):
    assert "--id_key=name: value should be one of" in commands.fail("synthesize", "--id_key=name")
    line = commands.fail("synthesize", f"--output_dir={tmp_path}/set", "--seed=-1")
    assert line == "Error: --seed=-1: choose a value from 0."
    assert not (tmp_path / "set").exists()


def test_segments_are_written_and_refused_around_given_means(tmp_path):
    commands.succeed("synthesize", f"--output_dir={tmp_path}", "--segments", *SMALL)
    assert b"segment_scores" in (tmp_path / "validate0000.tfrecord").read_bytes()
    line = commands.fail("synthesize", f"--output_dir={tmp_path}/set", "--segments", "--from_video_level=x")
    assert line.startswith("Error: --segments=true: does not work with --from_video_level")
