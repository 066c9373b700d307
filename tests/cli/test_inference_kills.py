"""Prediction in processes that are killed again and again: the CSV is that of a process that was not."""

import json
import multiprocessing
import os
import pathlib
import random
import signal
import sys
import threading

import pytest

from tests import commands, networks
from youtube8m_distill.cli import main

NUM_VIDEOS, BATCH_SIZE, NUM_FILES = 1200, 4, 7
LATEST = {"batch": 12, "commit": 3}  # events of a process at which it is killed: long before it ends

# Forks of one process that has imported TensorFlow, which has not started any thread yet.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["youtube8m_distill.cli.inference", "tests.commands"])


def infer(arguments, output, moment=None):
    """Runs the command in a process until it ends or is killed; returns its exit code.

    Args:
        arguments: list of str.
        output: path to which its output is added.
        moment: (event, count, seconds, signal): kill it this long after the count-th "batch", "commit" or "end".
    """
    process = _processes.Process(target=_infer, args=(arguments, str(output), moment))
    process.start()
    process.join(120)
    assert not process.is_alive(), process.kill()
    return process.exitcode


def _infer(arguments, output, moment):
    """The process."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from youtube8m_distill import config, files
    from youtube8m_distill.runs import predictions

    config.FAMILY_OF["HierarchicalLstmModel"].build_encoder = lambda *_: commands.QuickEncoder()
    predictions.COMMIT_SECONDS = 0.01
    if moment is not None:
        event, count, seconds, number = moment
        kill = _killer(count, seconds, number)
        predictions._Rows.append = _then(kill if event == "batch" else _nothing, predictions._Rows.append)
        predictions._write = _then(kill if event == "commit" else _nothing, predictions._write)
        predictions._move = _then(kill if event == "end" else _nothing, predictions._move)
        files.remove_folder = _then(kill if event == "end" else _nothing, files.remove_folder)
    sys.argv = ["inference.py", *arguments]
    main.run("infer")


def _nothing():
    pass


def _killer(count, seconds, number):
    left = [count]

    def kill():
        left[0] -= 1
        if left[0] == 0:
            threading.Timer(seconds, os.kill, (os.getpid(), number)).start()

    return kill


def _then(first, function):
    def both(*args, **kwargs):
        first()
        return function(*args, **kwargs)

    return both


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    run = commands.save_run(tmp_path / "run", networks.frame_level())
    files = commands.write_files(tmp_path / "data", "test", commands.frame_videos(NUM_VIDEOS, labels=False), files=NUM_FILES)
    return [f"--train_dir={run.folder}", f"--input_data_pattern={files}", f"--batch_size={BATCH_SIZE}"]


def committed(path):
    """Videos that a killed process has committed."""
    try:
        return json.loads(pathlib.Path(f"{path}.progress/committed.json").read_text())["videos"]
    except FileNotFoundError:
        return 0


def check(arguments, folder, name, moments):
    """Kills one process at each of these moments and lets the next one end; returns how many were killed."""
    whole, path, output = folder / f"whole-{name}", folder / name, folder / "output"
    assert infer([*arguments, f"--output_file={whole}"], output) == 0, output.read_text()
    killed, before = 0, 0
    for moment in moments:
        code = infer([*arguments, f"--output_file={path}"], output, moment)
        assert code in (0, -moment[3], 128 + moment[3]), output.read_text()
        killed += code != 0
        if code == 0:  # it ended before the moment came: start over
            path.unlink()
        else:
            assert not path.exists() or path.read_bytes() == whole.read_bytes()
            assert committed(path) >= before or not committed(path)
        before = committed(path)
    assert infer([*arguments, f"--output_file={path}"], output) == 0, output.read_text()
    assert path.read_bytes() == whole.read_bytes(), moments
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(["data", "run", "output", name, whole.name])
    assert len(commands.read_csv(path)) == NUM_VIDEOS
    return killed


@pytest.mark.slow
def test_two_kills_do_not_change_the_csv(arguments, tmp_path):
    moments = [("batch", 60, 0.0, signal.SIGKILL), ("commit", 10, 0.0005, signal.SIGTERM)]
    assert check(arguments, tmp_path, "p.csv", moments) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz"])
def test_ten_kills_at_random_do_not_change_the_csv(arguments, tmp_path, name):
    chance = random.Random(name)
    events = [chance.choice(list(LATEST)) for _ in range(8)]
    moments = [
        (
            event,
            chance.randint(1, LATEST[event]),
            chance.uniform(0, 0.01),
            chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]),
        )
        for event in events
    ]
    moments += [("end", count, chance.uniform(0, 0.001), signal.SIGKILL) for count in (1, 2)]
    assert check(arguments, tmp_path, name, moments) >= 9
