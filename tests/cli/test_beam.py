"""What the command refuses where Apache Beam is not installed; tests/runs/test_beam.py runs it where it is."""

import importlib.util

import pytest

from tests import commands

GIVEN = ("--train_dir=run", "--input_data_pattern=*.tfrecord")


def test_without_beam_it_tells_how_to_install_it(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "apache_beam" else find_spec(name))
    line = commands.fail("beam", *GIVEN, f"--output_dir={tmp_path}/out")
    assert line.startswith("Error: --runner=DirectRunner: needs Apache Beam, which is not installed.")
    assert line.endswith("pip install --constraint constraints-beam.txt '.[beam]'.")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--runner=SparkRunner"], "--runner=SparkRunner: value should be one of <DirectRunner|FlinkRunner|"),
        (["--num_shards=0"], "--num_shards=0: 0 is not a positive integer."),
        (["--direct_num_workers=2"], "Unknown command line flag 'direct_num_workers'. Options of Beam follow `--`, "),
    ],
)
def test_invalid_flags_are_refused(arguments, message, tmp_path):
    assert commands.fail("beam", *GIVEN, f"--output_dir={tmp_path}/out", *arguments).startswith(f"Error: {message}")
