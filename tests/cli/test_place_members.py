"""--place_members: refusals, and a run on two logical CPUs that is resumed without the flag."""

import json

import pytest

from tests import commands
from tests.commands import FEATURES, FEW_FRAMES, QUICK
from youtube8m_distill import config
from youtube8m_distill.cli import train as train_command
from youtube8m_distill.engine.strategy import make_strategy

MIX = (
    *FEATURES,
    "--num_classes=5",
    "--model=MixNeXtVladModel",
    "--nextvlad_cluster_size=4",
    "--nextvlad_hidden_size=6",
    "--groups=2",
    "--gating_reduction=2",
)


@pytest.fixture
def arguments(tmp_path):
    files = commands.write_files(tmp_path / "data", "train", commands.frame_videos(8))
    return "train", f"--train_data_pattern={files}", *QUICK, *FEW_FRAMES, "--num_epochs=2"


@pytest.fixture
def two_devices(monkeypatch):
    monkeypatch.setattr(train_command, "member_devices", lambda num_gpu: ["cpu:0", "cpu:1"])
    monkeypatch.setattr(train_command, "make_strategy", lambda *args, **kwargs: make_strategy(num_gpu=0))


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch):
    monkeypatch.setattr(config.FAMILY_OF["NeXtVLADModel"], "build_encoder", lambda *_: commands.QuickEncoder())


def on_one_device(monkeypatch):
    monkeypatch.setattr(train_command, "make_strategy", make_strategy)


def test_a_machine_without_two_gpus_is_refused(tmp_path, arguments):
    line = commands.fail(*arguments, *MIX, f"--train_dir={tmp_path}/run", "--place_members")
    expected = "needs at least two GPUs. TensorFlow sees 0, and 0 would be used; leave it out."
    assert line == f"Error: --place_members=true: {expected}"


def test_a_network_that_is_not_a_mixture_is_refused(tmp_path, arguments):
    line = commands.fail(*arguments, *FEATURES, f"--train_dir={tmp_path}/run", "--place_members")
    assert line.startswith("Error: --place_members=true: has an effect only on mixtures (MixNeXtVladModel, MOD")


def test_a_job_of_several_machines_is_refused(tmp_path, arguments, monkeypatch):
    cluster = {"worker": ["localhost:1", "localhost:2"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}}))
    line = commands.fail(*arguments, *MIX, f"--train_dir={tmp_path}/run", "--place_members")
    assert line.startswith("Error: --place_members=true: is not supported with TF_CONFIG")


@pytest.mark.slow
def test_a_placed_run_reports_memory_and_is_resumed_on_one_device(tmp_path, arguments, two_devices, monkeypatch):
    folder = f"--train_dir={tmp_path}/run"
    ended = commands.succeed(*arguments, *MIX, folder, "--place_members", "--max_steps=2")
    assert "mode=teacher on 2 device(s): cpu:0, cpu:1, over which the members of mixtures are spread" in ended.out
    assert "Weights and optimizer on each device: CPU:0 0.1 MB, CPU:1 0.1 MB." in ended.out
    on_one_device(monkeypatch)
    resumed = commands.succeed(*arguments, *MIX, folder)
    assert "Found step 2" in resumed.out and "Done: step 4" in resumed.out


@pytest.mark.slow
def test_a_placed_run_ends_with_the_weights_of_one_on_one_device(tmp_path, arguments, two_devices, monkeypatch):
    validation = commands.write_files(tmp_path / "data", "validate", commands.frame_videos(5))
    more = ("--optimizer=GradientDescentOptimizer", f"--validation_data_pattern={validation}", "--dropout=0.5")
    commands.succeed(*arguments, *MIX, *more, f"--train_dir={tmp_path}/spread", "--place_members")
    on_one_device(monkeypatch)
    commands.succeed(*arguments, *MIX, *more, f"--train_dir={tmp_path}/one")
    for spread, one in zip(commands.weights(tmp_path / "spread"), commands.weights(tmp_path / "one"), strict=True):
        assert abs(spread - one).max() <= 1e-5 * abs(one).max() + 1e-6
