import json
import re
import shlex

import pytest

from tests import commands, networks
from tests.commands import FEATURES, FEW_FRAMES, QUICK
from youtube8m_distill import config, runs

NETWORK = networks.frame_level(
    "FrameLevelLogisticModel", view=config.FrameView(frame_selection="uniform", frames_per_video=4)
)
NAMES = ["Game", "Vehicle", "Concert", "Dance", "Car"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, packaged as a folder and as an archive, and a file of videos."""
    folder = tmp_path_factory.mktemp("packaged")
    commands.save_run(folder / "run", NETWORK)
    commands.write_files(folder, "train", commands.frame_videos(8), files=1)
    (folder / "names.txt").write_text("\n".join(NAMES))
    package(folder, "run")
    return folder


def package(folder, name):
    given = (f"--train_dir={folder}/{name}", f"--vocabulary={folder}/names.txt", "--license=mit", "--data_name=My clips")
    ended = commands.succeed("package", f"--output_dir={folder}/shared", *given)
    assert re.fullmatch(f"Written to {folder}/shared: the network of step ., with README.md.\n", ended.out)
    commands.succeed("package", f"--output_model_tgz={folder}/shared.tgz", *given)


def test_an_archive_prints_the_tags_of_the_run_with_names(folder):
    video = f"{folder}/train0.tfrecord"
    expected = commands.succeed("predict", video, f"--train_dir={folder}/run", f"--vocabulary={folder}/names.txt").out
    assert "Concert" in expected
    assert commands.succeed("predict", video, f"--train_dir={folder}/shared.tgz").out == expected


def test_classes_without_a_name_are_counted(folder, tmp_path):
    (tmp_path / "three.txt").write_text("Game\n\nConcert\n\nCar\nPool\n")
    given = (f"--train_dir={folder}/run", f"--vocabulary={tmp_path}/three.txt")
    warning = "Warning: the vocabulary has no name for 2 of the network's 5 classes; the first is class 1."
    assert warning in commands.succeed("package", *given, f"--output_dir={tmp_path}/out").lines
    assert "- Classes: 5, 3 of them named in `vocabulary.csv`.\n" in (tmp_path / "out/README.md").read_text()
    assert warning in commands.succeed("predict", *given, f"{folder}/train0.tfrecord").lines


@pytest.mark.slow
def test_a_trained_and_scored_run_can_be_repeated_from_its_card(folder, tmp_path):
    data = f"{folder}/train*"
    network = ["--model=FrameLevelLogisticModel", *FEATURES, "--num_classes=5", *FEW_FRAMES, *QUICK]
    commands.succeed("train", f"--train_data_pattern={data}", f"--train_dir={tmp_path}/run", *network)
    commands.succeed("eval", f"--train_dir={tmp_path}/run", f"--eval_data_pattern={data}", "--run_once")
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    package(tmp_path, "run")
    text = (tmp_path / "shared/README.md").read_text()
    metrics = json.loads((tmp_path / "run/eval/teacher/metrics.json").read_text())
    assert f"| GAP@20 | {metrics['gap_at_20']:.4f} | 8 videos in `{data}` |" in text
    (command,) = re.findall("```sh\n(yt8m train.*)\n```", text)
    words = shlex.split(command)
    commands.succeed(words[1], *words[2:], f"--train_dir={tmp_path}/again")
    assert runs.open_run(tmp_path / "again").config == runs.open_run(tmp_path / "run").config
    for name in ("run", "shared", "again"):
        given = (f"--train_dir={tmp_path}/{name}", f"--eval_data_pattern={data}", f"--output_dir={tmp_path}/of_{name}")
        commands.succeed("eval", *given, "--run_once")
        assert json.loads((tmp_path / f"of_{name}/metrics.json").read_text())["gap_at_20"] == metrics["gap_at_20"]


@pytest.mark.slow
def test_inference_takes_the_folder_as_a_training_directory_and_the_archive(folder, tmp_path):
    places = {"run": "--train_dir={}/run", "shared": "--train_dir={}/shared", "tgz": "--input_model_tgz={}/shared.tgz"}
    for name, flag in places.items():
        output = f"--output_file={tmp_path}/{name}.csv"
        commands.succeed("infer", flag.format(folder), f"--input_data_pattern={folder}/train*", output)
    written = {(tmp_path / f"{name}.csv").read_bytes() for name in places}
    assert len(written) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--output_dir: is missing, and so is --output_model_tgz; see --helpshort."),
        (["--output_dir={out}", "--output_model_tgz={out}.tgz"], "--output_model_tgz={out}.tgz: replaces --output_dir;"),
        (["--output_dir={folder}"], "--output_dir={folder}: is in use; name a new folder."),
        (["--output_model_tgz={folder}"], "--output_model_tgz={folder}: exists and is not a regular file"),
        (["--output_dir={out}", "--license=My own"], "--license=My own: give an identifier, such as apache-2.0, cc-by-4.0"),
        (["--output_dir={out}", "--checkpoint=7"], "--checkpoint=7: {folder}/run has best, last and the steps 3."),
        (["--output_dir={out}", "--vocabulary={folder}/no.txt"], "--vocabulary={folder}/no.txt: cannot be read: "),
        (["--output_dir={out}", "--metrics_files={folder}/no.json"], "--metrics_files={folder}/no.json: cannot be read: "),
        (
            ["--output_dir={out}", "--train_dir={folder}/shared.tgz"],
            "'{folder}/shared.tgz' is not a training directory: it is a file",
        ),
    ],
)
def test_invalid_settings_are_reported_by_their_flag(folder, tmp_path, arguments, message):
    arguments = [argument.format(folder=folder, out=tmp_path / "out") for argument in arguments]
    line = commands.fail("package", f"--train_dir={folder}/run", *arguments)
    assert line.startswith(f"Error: {message.format(folder=folder, out=tmp_path / 'out')}")
    assert not list(tmp_path.iterdir())


def test_a_cascade_is_refused(tmp_path):
    (tmp_path / "cascade.json").write_text("{}")
    line = commands.fail("package", f"--train_dir={tmp_path}", f"--output_dir={tmp_path}/out")
    assert "It is a cascade, which only eval, infer, predict, and beam take; name one of the runs in it." in line


def test_an_archive_that_cannot_be_downloaded_is_named():
    line = commands.fail("predict", "a.pb", "--train_dir=ftp://host/a.tgz")
    assert line == "Error: ftp://host/a.tgz cannot be downloaded: only http:// and https:// can."
