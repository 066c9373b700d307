"""Every command while its output folder fails: it reports the error, loses nothing, leaves nothing behind, and resumes.

The table is commands x faults. A command has written output before. It runs again with more to do, and fails. Then it runs
without the fault, and must give the same output as a run without any fault.
"""

import io
import json
import os
import pathlib
import re
import shutil
import tarfile
import tempfile
from typing import NamedTuple

import h5py
import pytest

from tests import commands, faults, networks
from tests.commands import FEW_FRAMES, QUICK, SMALL
from youtube8m_distill import config
from youtube8m_distill.cli import demo
from youtube8m_distill.engine.scalars import ScalarWriter
from youtube8m_distill.runs import COMMAND_FILE

START = "from the start"  # must be reported before any video is read
REMOVED = "removed in the middle"
READS = ("evaluate: ", "predict: ", "compact: ", "synthesize: ", "targets: ", "run, ")  # progress bars


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small encoders, and a demo whose commands do nothing."""
    commands.use_quick_encoder(monkeypatch)
    monkeypatch.setattr(config.FAMILY_OF["NeXtVLADModel"], "build_encoder", lambda *_: commands.QuickEncoder())
    monkeypatch.setattr(demo, "command", lambda *arguments, **values: None)
    monkeypatch.setattr(demo, "train_and_score", lambda folder, seed: [])
    monkeypatch.setattr(demo, "table", lambda records: "table " * 2000)


@pytest.fixture
def place():
    """A folder that every user can read."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


@pytest.fixture
def disk(place):
    disk = faults.Disk(place / "out")
    yield disk
    disk.close()


# ---- the commands


class Command(NamedTuple):
    """A command that writes into a folder, called twice; the second call has more to do, or starts over."""

    prepare: object  # function (place): writes the input
    arguments: object  # function (place, out, again): name and arguments
    output: str  # of the second call, in `out`
    late: str  # start of the name of something in it that is written late


def prepare_data(place):
    commands.write_files(place / "data", "train", commands.frame_videos(10))
    commands.write_files(place / "data", "validate", commands.frame_videos(6, seed=1))


def prepare_run(place):
    prepare_data(place)
    commands.save_run(place / "run", networks.frame_level(lstm_layers=1), steps=(3, 9))


def prepare_mixture(place):
    commands.save_run(place / "mixture", networks.frame_level("MixNeXtVladModel"))


def train(place, out, again):
    return (
        "train",
        f"--train_data_pattern={place}/data/train*",
        f"--validation_data_pattern={place}/data/validate*",
        f"--train_dir={out}/run",
        *SMALL,
        *FEW_FRAMES,
        *QUICK,
        f"--num_epochs={1 + again}",
    )


def train_with_targets(place, out, again):
    return (
        "train",
        f"--train_data_pattern={place}/data/train{'*' if again else '0*'}",
        "--mode=serial",
        f"--train_dir={place}/student{again:d}_{out.name}",
        f"--teacher_dir={place}/run",
        "--start_new_model",
        f"--teacher_targets_dir={out}/targets",
        *QUICK,
        *FEW_FRAMES,
    )


def evaluate(place, out, again):
    return (
        "eval",
        "--run_once",
        f"--train_dir={place}/run",
        f"--eval_data_pattern={place}/data/train*",
        f"--output_dir={out}/scores",
        f"--checkpoint={9 if again else 3}",
    )


def infer(place, out, again):
    return (
        "infer",
        f"--train_dir={place}/run",
        f"--input_data_pattern={place}/data/train*",
        f"--output_file={out}/predictions.csv",
        f"--top_k={4 if again else 2}",
        "--batch_size=2",
    )


def archive(place, out, again):
    return (*infer(place, place, True), f"--output_model_tgz={out}/model.tgz", f"--checkpoint={9 if again else 3}")


def compact(place, out, again):
    return (
        "compact",
        f"--input_data_pattern={place}/data/train{'*' if again else '0*'}",
        f"--output_dir={out}/compact",
        *FEW_FRAMES,
    )


def synthesize(place, out, again):
    return (
        "synthesize",
        f"--output_dir={out}/{'more' if again else 'sample'}",
        "--num_train_videos=6",
        "--max_frames=5",
        "--num_validate_videos=2",
        "--num_test_videos=0",
        "--videos_per_shard=2",
        "--video_level",
    )


def extract(place, out, again):
    return ("extract", f"--train_dir={place}/mixture", f"--submodel={again:d}", f"--output_dir={out}/taken{again:d}")


def demonstrate(place, out, again):
    return ("demo", f"--output_dir={out}/demo")


COMMANDS = {
    "train": Command(prepare_data, train, "run", "step-"),
    "targets": Command(prepare_run, train_with_targets, "targets", "train1"),
    "eval": Command(prepare_run, evaluate, "scores", "per_class.csv"),
    "inference": Command(prepare_run, infer, "predictions.csv", "committed.json"),
    "archive": Command(prepare_run, archive, "model.tgz", "model.tgz"),
    "compact": Command(prepare_data, compact, "compact", "train1"),
    "synthesize": Command(lambda place: None, synthesize, "more", "train0001"),
    "extract": Command(prepare_mixture, extract, "taken1", "taken1"),
    "demo": Command(lambda place: None, demonstrate, "demo", "results.txt"),
}
SLOW = ("train", "targets", "eval", "inference", "archive")  # each call compiles a graph


# ---- the faults, and the reasons in the messages


def on_a_disk(disk, command):
    """(name, reason, context manager) of the faults that need a file system of their own."""
    yield f"full {START}", "No space left on device", disk.full()
    yield "full in the middle", "No space left on device", disk.getting_full(command.late)
    yield f"read-only {START}", "Read-only file system", disk.read_only()


def anywhere(out, command):
    """(name, reason, context manager) of the other faults."""
    yield "no file past some size", "File too large", faults.limited_file_size(command.late)
    if command.output not in ("targets", "model.tgz"):  # they are written with other outputs, which are forbidden too
        yield f"forbidden {START}", "Permission denied", faults.forbidden(out)
    yield REMOVED, "No such file or directory (is ", faults.removed(folder_of(out, command), command.late)


def folder_of(out, command):
    """The folder that a command writes into."""
    return out if (out / command.output).suffix or command.output == command.late else out / command.output


# ---- what must be true


def meaning(name, content):
    """A file's content without what differs between calls, such as the run's folder and names of Keras layers."""
    if content is None:
        return None
    if name.endswith(COMMAND_FILE):
        return re.sub(rb"--train_dir=\S+", b"", content)
    if name.endswith(".h5"):
        arrays = {}
        with h5py.File(io.BytesIO(content)) as file:
            file.visititems(
                lambda path, item: arrays.update({path: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
            )
        return arrays
    if name.endswith(".tgz"):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return {
                member.name: meaning(member.name, archive.extractfile(member).read())
                for member in archive
                if member.isfile()
            }
    return content


def hurt(name, place, out, found):
    """Runs a command under each fault; returns their number."""
    command, count = COMMANDS[name], 0
    command.prepare(place)
    plain = place / "plain"
    plain.mkdir()
    commands.succeed(*command.arguments(place, plain, False))
    first = shutil.copytree(plain, place / "first")
    commands.succeed(*command.arguments(place, plain, True))
    for fault, reason, injected in found(command):
        put_back(first, out)
        before = commands.entries(out)
        with injected:
            ended = commands.run(*command.arguments(place, out, True))
        assert_reported(ended, fault, reason, out, command)
        if fault != REMOVED:
            assert_nothing_lost(before, commands.entries(out), plain)
        elif not out.exists():
            out.mkdir()
        commands.succeed(*command.arguments(place, out, True))
        if fault != REMOVED:
            assert_as_without_faults(out, plain)
        count += 1
    return count


def put_back(first, out):
    for path in list(out.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(first, out, dirs_exist_ok=True)


def assert_reported(ended, fault, reason, out, command):
    """In one line, with path and reason, and before any work if possible."""
    line = ended.lines[-1] if ended.lines else ""
    assert ended.code == 2 and line.startswith("Error: "), (fault, ended)
    assert str(out) in line and reason in line and "Traceback" not in ended.err, (fault, ended.err)
    if fault.endswith(START):
        assert f"{out}/{command.output}" in line, (fault, ended.err)
        assert not any(text.startswith(READS) for text in ended.lines), (fault, ended.err)


def assert_nothing_lost(before, after, plain):
    """Every old file is there, or the finished new one in its place, and nothing unfinished."""
    finished = commands.entries(plain)
    for name, content in before.items():
        if name.endswith(".json"):
            json.loads(after[name])
        elif "tfevents" in name:
            assert after[name].startswith(content)
        else:
            assert meaning(name, after[name]) in (meaning(name, content), meaning(name, finished.get(name))), name
    assert not [name for name in after if ".partial" in name]
    assert not [name for name in after if name.endswith(".lock")]


def assert_as_without_faults(out, plain):
    found, expected = commands.entries(out), commands.entries(plain)
    names = {name for name in expected if "tfevents" not in name and not name.endswith("metrics.json")}
    for name in names:
        assert meaning(name, found[name]) == meaning(name, expected[name]), name
    assert {name for name in found if "tfevents" not in name} <= expected.keys()


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in COMMANDS])
def test_full_and_read_only_disks(place, disk, name):
    assert hurt(name, place, disk.folder, lambda command: on_a_disk(disk, command)) == 3


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in COMMANDS])
def test_forbidden_and_removed_folders_and_file_size_limits(place, name):
    (place / "out").mkdir(mode=0o755)
    assert hurt(name, place, place / "out", lambda command: anywhere(place / "out", command)) >= 2


# ---- training


@pytest.mark.slow
def test_a_training_on_a_full_disk_keeps_its_checkpoint_and_resumes(place, disk):
    prepare_data(place)
    commands.succeed(*train(place, disk.folder, False))
    before = commands.entries(disk.folder)
    with disk.getting_full("step-"):
        ended = commands.run(*train(place, disk.folder, True))
    assert_reported(ended, "full", "No space left on device", disk.folder, COMMANDS["train"])
    assert f"the last good checkpoint is {disk.folder}/run/checkpoints/step-00000002" in ended.lines[-1]
    after = commands.entries(disk.folder)
    assert all(after[name] == before[name] for name in before if "checkpoints/" in name)
    assert not [name for name in after if ".partial" in name]
    commands.succeed(*train(place, disk.folder, True))
    assert commands.weights(disk.folder / "run")


@pytest.mark.slow
def test_a_training_that_runs_out_of_room_at_any_point(place, disk):
    """Page by page, so that configuration, checkpoints, best weights, history and TensorBoard's files each fail once."""
    prepare_data(place)
    commands.succeed(*train(place, disk.folder, False))
    first = shutil.copytree(disk.folder, place / "first")
    plain = shutil.copytree(first, place / "plain")
    commands.succeed(*train(place, plain, True))
    needed = sum(faults.PAGE * -(-len(content) // faults.PAGE) for content in commands.entries(plain / "run").values())
    hit = set()
    for room in range(faults.PAGE, needed, 3 * faults.PAGE):
        put_back(first, disk.folder)
        before = commands.entries(disk.folder)
        with disk.full(room):
            ended = commands.run(*train(place, disk.folder, True))
        if ended.code:
            assert_reported(ended, f"room of {room}", "No space left on device", disk.folder, COMMANDS["train"])
            hit.add(ended.lines[-1].partition(" cannot be written")[0].removeprefix("Error: "))
            assert_nothing_lost(
                {name: content for name, content in before.items() if "tfevents" not in name},
                commands.entries(disk.folder),
                plain,
            )
        commands.succeed(*train(place, disk.folder, True))
        assert_as_without_faults(disk.folder, plain)
    assert len(hit) > 1, hit


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "eval"])
def test_tensorboard_files_on_a_full_disk(place, disk, monkeypatch, name):
    COMMANDS[name].prepare(place)
    write = ScalarWriter.write

    def full(writer, *arguments):
        disk.fill()
        for _ in range(1000):  # more than is buffered in memory
            write(writer, *arguments)

    monkeypatch.setattr(ScalarWriter, "write", full)
    ended = commands.run(*COMMANDS[name].arguments(place, disk.folder, True))
    assert_reported(ended, "full", "No space left on device", disk.folder, COMMANDS[name])
