"""A job of several machines, as processes on this one: the steps of one process, a lost worker, resuming."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests import commands

ROOT = pathlib.Path(__file__).parent.parent
# Batch statistics include all workers. Epochs of 21 videos end inside batches of 8, in the rows of either worker. Gradient
# descent, since Adam would turn the rounding error of a zero gradient (a bias before batch statistics) into a step.
FLAGS = (
    "--model=DbofModel",
    *commands.FEATURES,
    f"--num_classes={commands.NUM_CLASSES}",
    "--frame_selection=uniform",
    "--frames_per_video=4",
    "--dbof_cluster_size=4",
    "--dbof_hidden_size=3",
    "--batch_size=8",
    "--optimizer=GradientDescentOptimizer",
    "--base_learning_rate=0.5",
    "--clip_gradient_norm=0.1",
)


@pytest.fixture
def files(tmp_path):
    return [
        f"--train_data_pattern={commands.write_files(tmp_path / 'data', 'train', commands.frame_videos(21))}",
        f"--validation_data_pattern={commands.write_files(tmp_path / 'data', 'validate', commands.frame_videos(7, 1))}",
    ]


class Job:
    """train.py on several workers: processes that know each other only from TF_CONFIG."""

    def __init__(self, folder, *flags, workers=2):
        held = [socket.create_server(("localhost", 0)) for _ in range(workers)]
        cluster = {"worker": [f"localhost:{server.getsockname()[1]}" for server in held]}
        for server in held:
            server.close()
        self.folder = folder
        self.processes = [self._start(index, cluster, flags) for index in range(workers)]

    def _start(self, index, cluster, flags):
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        }
        return subprocess.Popen(
            [sys.executable, ROOT / "train.py", f"--train_dir={self.folder}", *flags],
            text=True,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait(self, seconds=100):
        """Exit code and output of each process."""
        try:
            found = [process.communicate(timeout=seconds) for process in self.processes]
        finally:
            self.kill()
        return [commands.Ended(process.returncode, *texts) for process, texts in zip(self.processes, found)]

    def kill(self):
        for process in self.processes:
            process.kill()

    def wait_for_step(self, step, seconds=60):
        end = time.monotonic() + seconds
        while not any(int(path.name[5:]) >= step for path in (self.folder / "checkpoints").glob("step-*")):
            assert time.monotonic() < end and all(process.poll() is None for process in self.processes)
            time.sleep(0.05)


def assert_same_run(folder, other, tolerance):
    """The same weights and counts at the end, and the same best value."""
    for found, expected in zip(commands.weights(folder), commands.weights(other), strict=True):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    counts = [
        json.loads((sorted((path / "checkpoints").iterdir())[-1] / "progress.json").read_text()) for path in (folder, other)
    ]
    values = [count.pop("best_value") for count in counts]
    assert counts[0] == counts[1] and values[0] == pytest.approx(values[1], abs=1e-4)


@pytest.mark.slow
def test_two_workers_take_the_steps_of_one_process(tmp_path, files):
    job = Job(tmp_path / "two", *FLAGS, *files, "--num_epochs=3")
    commands.succeed("train", f"--train_dir={tmp_path}/one", *FLAGS, *files, "--num_epochs=3")
    chief, worker = job.wait()
    assert (chief.code, worker.code) == (0, 0), (chief.err, worker.err)
    assert "mode=teacher on 2 device(s) of 2 machines" in chief.out and "Done: step 7, 3 epoch(s)" in chief.out
    assert "waits for the chief" in worker.out and worker.out.endswith("Done: step 7. The chief has written everything.\n")
    assert "steps" in chief.err and "steps" not in worker.err
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        "config.json",
        "command.txt",
        "checkpoints",
        "best",
        "history.csv",
        "tensorboard",
    }
    assert len(list((tmp_path / "two" / "tensorboard").rglob("events*"))) == 1
    assert_same_run(tmp_path / "two", tmp_path / "one", 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_worker_ends_the_job_and_the_job_resumes(tmp_path, files, victim):
    settings = (*FLAGS, *files, "--num_epochs=9999", "--checkpoint_steps=5")
    job = Job(tmp_path / "two", *settings)
    job.wait_for_step(10)
    job.processes[victim].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    ended = job.wait()
    assert time.monotonic() - killed < 40
    assert ended[victim].code == -signal.SIGKILL and ended[1 - victim].code == 2
    message = ended[1 - victim].lines[-1]
    assert (
        message.startswith("Error: ") and "of this job is gone" in message and "resume from the last checkpoint" in message
    )

    last = max(int(path.name[5:]) for path in (tmp_path / "two" / "checkpoints").glob("step-*"))
    settings += (f"--max_steps={last + 4}",)
    chief, worker = Job(tmp_path / "two", *settings).wait()
    assert (chief.code, worker.code) == (0, 0), (chief.err, worker.err)
    assert f"Found step {last} of this run" in chief.out
    commands.succeed("train", f"--train_dir={tmp_path}/one", *settings)
    assert_same_run(tmp_path / "two", tmp_path / "one", 1e-3)


def test_an_unsupported_task_type_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}')
    line = commands.fail("train", f"--train_dir={tmp_path}", "--train_data_pattern=x")
    assert "TF_CONFIG: the task type 'ps' is not supported" in line
