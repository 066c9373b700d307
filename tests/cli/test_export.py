import importlib.util
import json

import pytest

from tests import commands, networks
from youtube8m_distill import config
from youtube8m_distill.export import verification

NETWORK = networks.frame_level(
    "FrameLevelLogisticModel", view=config.FrameView(frame_selection="uniform", frames_per_video=4)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run, and files of labeled videos."""
    folder = tmp_path_factory.mktemp("export")
    commands.save_run(folder / "run", NETWORK)
    commands.write_files(folder, "validate", commands.frame_videos(12))
    return folder


def test_a_network_is_written_and_checked(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "LEAST_SECONDS", 0.0)
    files = f"--verify_data_pattern={folder}/validate*.tfrecord"
    (tmp_path / "names.txt").write_text("Game\nCar")
    names = f"--vocabulary={tmp_path}/names.txt"
    ended = commands.succeed("export", f"--train_dir={folder}/run", f"--output_dir={tmp_path}/out", files, names)
    assert (tmp_path / "out/vocabulary.csv").read_text() == "Index,Name\n0,Game\n1,Car\n"
    assert "The network of step 3 in" in ended.out and "GAP@20" in ended.out
    assert ended.out.splitlines()[-1] == f"Written to {tmp_path}/out, with export.json."
    assert json.loads((tmp_path / "out/export.json").read_text())["verification"]["num_videos"] == 12 + 6


FULL = "--quantization=full_int8"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ["--quantization=float16"],
            "--quantization=float16: needs --format=litert; --format=saved_model keeps float32 weights.",
        ),
        (["--format=litert", FULL], "--quantization=full_int8: needs --calibration_data_pattern: videos from which"),
        (
            ["--format=litert", "--calibration_data_pattern=x"],
            "--calibration_data_pattern=x: has an effect only with --quantization=full_int8.",
        ),
        (["--verify_videos=3"], "--verify_videos=3: has an effect only with --verify_data_pattern."),
        (["--tolerance=-1"], "--tolerance=-1.0: choose a value from 0."),
        (["--output_dir={folder}"], "--output_dir={folder}: is in use; name a new folder."),
        (["--network=student"], "--network=student: the run in {folder}/run has only teacher."),
        (["--checkpoint=7"], "--checkpoint=7: {folder}/run has best, last and the steps 3."),
        (["--verify_data_pattern={folder}/no*"], "--verify_data_pattern={folder}/no*: "),
    ],
)
def test_invalid_settings_are_reported_by_their_flag(arguments, message, folder, tmp_path):
    arguments = [argument.format(folder=folder) for argument in arguments]
    given = [f"--train_dir={folder}/run", f"--output_dir={tmp_path}/out", *arguments]
    assert commands.fail("export", *given).startswith(f"Error: {message.format(folder=folder)}")
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named_with_the_extra_that_installs_it(folder, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    error = commands.fail("export", f"--train_dir={folder}/run", f"--output_dir={tmp_path}/out", "--format=onnx")
    advice = "pip install onnxruntime (the extra `export` holds those of all formats)."
    assert error == f"Error: --format=onnx: needs packages that are not installed: {advice}"
