"""Exported networks print the tags of the network that they come from."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from tests import commands, networks, records
from youtube8m_distill import config, runs
from youtube8m_distill.cli import predict_litert
from youtube8m_distill.config.export import ExportConfig
from youtube8m_distill.data import compact
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.export import verification

NAMES = {0: "Game", 1: "Vehicle", 2: "Concert\x1b[31m", 4: "Dance"}
NETWORK = networks.frame_level(
    "FrameLevelLogisticModel", view=config.FrameView(frame_selection="uniform", frames_per_video=4)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with its LiteRT file, and files of videos of 1 to 9 frames."""
    folder = tmp_path_factory.mktemp("exported")
    commands.save_run(folder / "run", NETWORK)
    export(folder, "litert")
    commands.write_files(folder, "test", commands.frame_videos(12, labels=False), files=1)
    frames = records.random_frames(7, (("rgb", 6), ("audio", 3)), dtype=np.float32)
    floats = {"RGB/feature/floats": frames["rgb"], "AUDIO/feature/floats": 3 * frames["audio"]}
    (folder / "dog.pb").write_bytes(records.frame_record(floats, video_id=None, labels=None))
    (folder / "names.txt").write_text("\n".join(NAMES.get(c, f"class {c}") for c in range(5)))
    return folder


def export(folder, name, output_format=None):
    """Exports the run to a folder `name` in it, in the format of this name or in another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "LEAST_SECONDS", 0.0)
        config_of_export = ExportConfig(format=output_format or name)
        runs.export_network(runs.open_run(folder / "run"), folder / name, config_of_export, names=NAMES)


@pytest.fixture(scope="module")
def expected(folder):
    """What the run prints for the files."""
    files = (f"{folder}/test0.tfrecord", f"{folder}/dog.pb", "--top_k=3")
    return commands.succeed("predict", *files, f"--train_dir={folder}/run", f"--vocabulary={folder}/names.txt").out


def tags(out):
    """What was printed: the lines without scores, and the scores."""
    lines = [line.split(maxsplit=1) if line.startswith("  0.") else ["nan", line] for line in out.splitlines()]
    return [line for _, line in lines], np.array([float(score) for score, _ in lines])


def assert_same_tags(folder, place, expected):
    found = commands.succeed(
        "predict", f"{folder}/test0.tfrecord", f"{folder}/dog.pb", "--top_k=3", f"--train_dir={folder}/{place}"
    ).out
    (lines, scores), (expected_lines, expected_scores) = tags(found), tags(expected)
    assert lines == expected_lines and len(lines) == 13 * 4 + 1
    assert lines[0] == "test0.tfrecord: v000" and "dog.pb: dog" in lines
    np.testing.assert_allclose(scores, expected_scores, atol=0.0011)  # of three printed digits
    assert "were clipped" in lines[-1] and "Concert\\x1b[31m" in lines


@pytest.mark.parametrize("place", ["litert", "litert/model.tflite"])
def test_a_litert_file_prints_the_tags_of_its_network(folder, place, expected):
    assert_same_tags(folder, place, expected)


@pytest.mark.slow
def test_a_saved_model_prints_the_tags_of_its_network(folder, expected):
    export(folder, "saved_model")
    assert_same_tags(folder, "saved_model", expected)
    line = commands.fail("predict", f"{folder}/dog.pb", f"--train_dir={folder}/saved_model", "--mixed_precision")
    assert line.startswith(f"Error: --mixed_precision=true: has no effect on the SavedModel in {folder}/saved_model: it")


def test_a_given_vocabulary_replaces_that_of_the_folder(folder, tmp_path):
    (tmp_path / "other.txt").write_text("\n".join("abcde"))
    given = ("predict", f"{folder}/dog.pb", f"--train_dir={folder}/litert", f"--vocabulary={tmp_path}/other.txt")
    assert {line.split()[1] for line in commands.succeed(*given).out.splitlines()[1:6]} == set("abcde")


# Ends with the modules that the command has loaded.
PROGRAM = """
import sys
sys.argv = ["yt8m", "predict", *sys.argv[1:]]
from youtube8m_distill.cli.main import main
try:
    main()
finally:
    print([name for name in ("tensorflow", "keras", "pandas") if name in sys.modules], file=sys.stderr)
"""


def test_a_litert_file_is_run_without_tensorflow_in_less_than_a_second(folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"{folder}/dog.pb", f"--train_dir={folder}/litert"],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0 and done.stdout.startswith("dog.pb: dog\n  0."), done.stderr
    assert done.stderr == "[]\n"
    # Of the processor, since other programs may be using it, too.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


@pytest.mark.parametrize(
    "place, arguments, message",
    [
        ("litert", ["--checkpoint=last"], "--checkpoint=last: has no effect on the LiteRT file in {folder}/litert: it has"),
        ("litert", ["--batch_size=2"], "--batch_size=2: has no effect on the LiteRT file in {folder}/litert: it takes one"),
        ("litert", ["--lstm_cells=4"], "--lstm_cells=4: has no effect on the LiteRT file in {folder}/litert: its settings"),
        ("litert", ["gs://bucket/a.pb"], "FILE=gs://bucket/a.pb: is not on this machine; copy it first"),
        ("litert", ["{folder}/no*.pb"], "FILE={folder}/no*.pb: matches no file."),
        ("litert", ["{folder}"], "FILE={folder}: is a folder; name the files in it."),
        ("litert", ["{folder}/names.txt"], "{folder}/names.txt ("),
        ("no.tflite", [], "{folder} holds no export.json, which `yt8m export` writes beside a network."),
    ],
)
def test_what_does_not_fit_is_reported(folder, place, arguments, message):
    arguments = [argument.format(folder=folder) for argument in arguments]
    line = commands.fail("predict", f"--train_dir={folder}/{place}", *(arguments or ["a"]), f"{folder}/dog.pb")
    assert line.startswith(f"Error: {message.format(folder=folder)}")


@pytest.mark.slow
@pytest.mark.parametrize("old, new", [('"frames_per_video": 4', '"frames_per_video": 5'), ('"num_frames": {', '"other": {')])
def test_a_saved_model_of_other_inputs_is_reported_in_one_line(folder, tmp_path, old, new):
    export(folder, tmp_path / "changed", "saved_model")
    path = tmp_path / "changed/export.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    line = commands.fail("predict", f"{folder}/dog.pb", f"--train_dir={tmp_path}/changed")
    assert line.startswith(f"Error: the SavedModel in {tmp_path}/changed cannot be run with its export.json: ")


def change_export(folder, new, old_text, new_text, model=None):
    """Copies a LiteRT export with another text in its export.json."""
    new.mkdir()
    (new / "model.tflite").write_bytes((folder / "litert/model.tflite").read_bytes() if model is None else model)
    text = (folder / "litert/export.json").read_text()
    assert old_text in text
    (new / "export.json").write_text(text.replace(old_text, new_text))
    return new


@pytest.mark.parametrize(
    "old, new, message",
    [
        ('"uniform"', '"random"', "--train_dir={new}: holds a network that sees random frames, which only"),
        ('"litert"', '"onnx"', "--train_dir={new}: holds a network for onnx; of exported networks, this command runs"),
        ('"format": 1', '"format": 2', "{new}/export.json cannot be read: format=2: this version reads only 1."),
        ('"seed": 0', '"seed": 0,', "{new}/export.json cannot be read: "),
        ('"num_classes"', '"classes"', "{new}/export.json cannot be read: it has no 'num_classes'"),
        ('"frames_per_video": 4', '"frames_per_video": -4', "{new}/export.json cannot be read: frames_per_video=-4: choose"),
        ('"frames_per_video": 4', '"frames_per_video": 5', "{new}/model.tflite cannot be run with its export.json: "),
        ('"num_frames": {', '"frames_indices": {', "{new}/model.tflite cannot be run with its export.json: "),
        ("null,\n        4,", "null, 1000000000000000,", "{new}/model.tflite cannot be run with its export.json: Unable to"),
    ],
)
def test_an_export_that_cannot_be_run_is_reported(folder, tmp_path, old, new, message):
    changed = change_export(folder, tmp_path / "new", old, new)
    line = commands.fail("predict", f"--train_dir={changed}", f"{folder}/dog.pb")
    assert line.startswith(f"Error: {message.format(new=changed)}")


@pytest.mark.parametrize("content", [b"", b"no model", bytes(1000)])
def test_a_damaged_litert_file_is_reported(folder, tmp_path, content):
    changed = change_export(folder, tmp_path / "new", "", "", content)
    line = commands.fail("predict", f"--train_dir={changed}", f"{folder}/dog.pb")
    assert line.startswith(f"Error: {changed}/model.tflite cannot be run with its export.json: ")


def test_predictions_that_are_not_finite_are_reported(folder, monkeypatch):
    monkeypatch.setattr(predict_litert, "load_litert", lambda path: lambda inputs: np.full((1, 5), np.nan, np.float32))
    line = commands.fail("predict", f"--train_dir={folder}/litert", f"{folder}/dog.pb")
    reason = f"the predictions of the teacher of step 3 in {folder}/litert/model.tflite are not finite."
    assert line == f"Error: file {folder}/dog.pb, video b'dog': {reason}"


@pytest.mark.parametrize("place", ["run", "litert"])
def test_videos_of_a_glob_are_listed_with_their_own_files(folder, tmp_path, place):
    pattern = commands.write_files(tmp_path, "part", commands.frame_videos(4, labels=False), files=2)
    lines = commands.succeed("predict", f"--train_dir={folder}/{place}", pattern, "--top_k=1").out.splitlines()
    assert lines[::2] == [f"part{number // 2}.tfrecord: v00{number}" for number in range(4)]


@pytest.mark.parametrize("place", ["run", "litert"])
def test_a_duplicate_video_is_refused_with_both_places(folder, tmp_path, place):
    (tmp_path / "twice.tfrecord").write_bytes(2 * (folder / "test0.tfrecord").read_bytes())
    ended = commands.run("predict", f"--train_dir={folder}/{place}", f"{tmp_path}/twice.tfrecord")
    here, first = (f"file {tmp_path}/twice.tfrecord, record {number}" for number in (12, 0))
    reason = f"{here}: video id b'v000' is a duplicate of {first}. Every video counts once: exclude one of the two."
    assert ended.code == 2 and ended.lines[-1] == f"Error: {reason}"


def test_an_export_of_an_earlier_version_is_read(folder, tmp_path):
    text = (folder / "litert/export.json").read_text()
    start, end = text.index('  "reading"'), text.index('  "inputs"')
    changed = change_export(folder, tmp_path / "new", text[start:end], "")
    assert "dog.pb: dog" in commands.succeed("predict", f"--train_dir={changed}", f"{folder}/dog.pb").out


@pytest.mark.parametrize("k, fits", [(4, True), (3, False)])
def test_compact_files_of_other_frames_are_refused(folder, tmp_path, k, fits):
    shards, view = find_files(f"{folder}/test*.tfrecord"), config.FrameView(frame_selection="uniform", frames_per_video=k)
    for shard, path in compact.prepare_folder(shards, view, tmp_path):
        compact.compact_file(shard, view, path)
    given = ("predict", f"--train_dir={folder}/litert", f"{tmp_path}/test0.tfrecord")
    if fits:
        from_whole = commands.succeed("predict", f"--train_dir={folder}/litert", f"{folder}/test0.tfrecord").out
        assert commands.succeed(*given).out == from_whole
    else:
        words = f"the compact files in {tmp_path} hold only 3 uniform frames, but a "
        assert words in commands.fail(*given)


def test_a_missing_package_is_named(folder, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "google_crc32c" else find(name))
    line = commands.fail("predict", f"--train_dir={folder}/litert", f"{folder}/dog.pb")
    assert "needs packages that are not installed: pip install google-crc32c (the extra `export` holds them)." in line


def test_other_commands_say_what_the_folder_is(folder):
    line = commands.fail("eval", f"--train_dir={folder}/litert", "--eval_data_pattern=x", "--run_once")
    assert "It holds an exported network, which only predict takes" in line
