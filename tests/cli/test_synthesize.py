import subprocess
import sys

import pytest
from absl import flags

from tests import commands
from youtube8m_distill.cli import synthesize

SMALL = ["--num_train_videos=3", "--num_validate_videos=2", "--num_test_videos=1", "--max_frames=5"]


def parsed(*arguments):
    values = flags.FlagValues()
    synthesize.define_flags(values)
    values(["synthesize", *arguments])
    return values


def test_flags_that_are_not_given_are_those_of_the_configuration():
    values = parsed()
    default = synthesize.synthetic.SyntheticConfig(**{name: values[name].value for name in synthesize.FIELDS})
    assert default == synthesize.synthetic.SyntheticConfig()


def test_the_command_writes_a_set_says_how_to_train_on_it_and_does_not_write_it_twice(tmp_path):
    arguments = (f"--output_dir={tmp_path}", "--num_classes=30", "--video_level", "--id_key=video_id", *SMALL)
    said = commands.succeed("synthesize", *arguments)
    assert "3 train, 2 validate, 1 test videos of 30 classes, 6 files written now" in said.out
    assert f"--train_data_pattern='{tmp_path}/train*.tfrecord' --num_classes=30" in said.out
    assert said.lines[-1].startswith("synthesize: 6/6 videos, ")
    assert (tmp_path / "video_level" / "validate0000.tfrecord").exists()
    assert b"video_id" in (tmp_path / "train0000.tfrecord").read_bytes()
    said = commands.succeed("synthesize", *arguments)
    assert "already there; no video was written" in said.out and said.err == ""


def test_a_missing_folder_is_named():
    assert commands.fail("synthesize", *SMALL) == "Error: --output_dir is missing; see --helpshort."


def test_unknown_choices_are_refused_while_parsing():
    with pytest.raises(flags.IllegalFlagValueError, match="id_key.*should be one of"):
        parsed("--id_key=name")


def test_help_lists_every_flag_in_one_group():
    said = commands.succeed("synthesize", "--helpshort")
    assert said.out.startswith(synthesize.__doc__) and "Data set to write:" in said.out
    for name in ("output_dir", *synthesize.FIELDS):
        assert said.out.count(f"--{name}=") + said.out.count(f"--[no]{name}\n") >= 1, name
    assert "--id_key=id|video_id" in said.out and "(default: id)" in said.out


def test_the_module_runs_and_reports_errors_in_one_line_with_the_flag(tmp_path):
    command = [sys.executable, "-m", "youtube8m_distill.cli.synthesize", f"--output_dir={tmp_path}/set", "--seed=-1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == ["Error: --seed=-1: must be a whole number of at least 0."]
    assert not (tmp_path / "set").exists()
