import errno
import os
import shutil
import socket
import subprocess
import sys

import filelock
import pytest

from tests import commands, networks
from youtube8m_distill import config, runs
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.runs import lock

TEACHER = config.RunConfig(mode="teacher", networks={"teacher": networks.frame_level()}, training=config.TrainingConfig())
# Takes the lock as a training does, prints a line, and waits to be killed. Loads lock.py by its path, without TensorFlow.
HOLD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("lock", sys.argv[1])
lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)
with lock.locked(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `run` in the test's folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, lock.__file__, str(tmp_path / "run")],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_training_is_refused_until_the_first_one_is_killed(tmp_path, holder):
    with pytest.raises(
        ValueError,
        match=rf"^train_dir={tmp_path}/run: is in use: process {holder.pid} on "
        rf"{socket.gethostname()} writes there\.",
    ):
        with runs.lock_run(tmp_path / "run"):
            pass
    holder.kill()
    holder.wait()
    with runs.lock_run(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_train_py_refuses_a_folder_in_use_in_one_line(tmp_path, holder):
    files = commands.write_files(tmp_path / "data", "train", commands.frame_videos(8))
    before = commands.entries(tmp_path / "run")
    for switch in ("--start_new_model", "--nostart_new_model"):
        line = commands.fail(
            "train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/run", switch, *commands.SMALL, *commands.QUICK
        )
        assert line.startswith(f"Error: --train_dir={tmp_path}/run: is in use: process {holder.pid} on ")
    assert commands.entries(tmp_path / "run") == before


def test_a_locked_run_can_be_read(tmp_path):
    commands.save_run(tmp_path / "run", networks.frame_level())
    with runs.lock_run(tmp_path / "run"):
        runs.open_run(tmp_path / "run").load_network()


def test_inference_reads_while_another_process_trains(tmp_path, holder, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    (tmp_path / "run" / ".lock").rename(tmp_path / "lock")
    commands.save_run(tmp_path / "run", networks.frame_level())
    (tmp_path / "lock").rename(tmp_path / "run" / ".lock")
    files = commands.write_files(tmp_path / "data", "test", commands.frame_videos(3))
    commands.succeed(
        "infer", f"--train_dir={tmp_path}/run", f"--input_data_pattern={files}", f"--output_file={tmp_path}/out.csv"
    )
    with pytest.raises(ValueError, match="is in use"), lock.locked(tmp_path / "run"):
        pass


def test_the_holder_notices_if_its_folder_was_removed_or_recreated(tmp_path):
    with lock.locked(tmp_path / "run") as check:
        check()
        (tmp_path / "run" / ".lock").unlink()
        with pytest.raises(OSError, match=f"^{tmp_path}/run was removed while this process wrote there"):
            check()
        (tmp_path / "run" / ".lock").write_text("process 1 on another\n")
        with pytest.raises(OSError, match=r"now belongs to another process \(process 1 on another\)"):
            check()


def test_a_training_does_not_save_into_a_run_that_replaced_its_own(tmp_path):
    with runs.lock_run(tmp_path / "run") as check_held:
        run = runs.prepare_run(tmp_path / "run", TEACHER, check_held=check_held)
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(OSError, match="was removed"):
            run.checkpoints.save(None, Progress(step=3))
        with runs.lock_run(tmp_path / "run"):
            (tmp_path / "run" / ".lock").write_text("process 1 on another\n")
            with pytest.raises(OSError, match="belongs to another process"):
                run.checkpoints.save_best(None, Progress(step=3))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=rf"^{tmp_path}/file/run cannot be written: Not a directory\.$"):
        with lock.locked(tmp_path / "file" / "run"):
            pass


def test_a_folder_with_only_a_lock_counts_as_empty(tmp_path):
    with runs.lock_run(tmp_path / "run"):
        runs.prepare_run(tmp_path / "run", TEACHER)
    with runs.lock_run(tmp_path / "run"):
        runs.prepare_run(tmp_path / "run", TEACHER, start_new=True)
        assert commands.entries(tmp_path / "run").keys() == {".lock", "config.json"}


def test_nothing_is_written_into_a_folder_that_is_not_a_run(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ValueError, match="does not hold a run"):
        runs.lock_run(tmp_path)
    assert commands.entries(tmp_path).keys() == {"letter.txt"}


def test_a_released_lock_leaves_no_file(tmp_path):
    for _ in range(2):
        with runs.lock_run(tmp_path / "run"):
            assert (tmp_path / "run" / ".lock").exists()
        assert commands.entries(tmp_path / "run") == {}


@pytest.mark.parametrize("number, known", [(errno.ENOLCK, True), (errno.EIO, False)])
def test_a_file_system_without_locks_gets_a_warning(tmp_path, monkeypatch, caplog, number, known):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "_acquire", refuse)
    if known:
        with lock.locked(tmp_path) as check:
            check()
            (record,) = caplog.records
            assert record.levelname == "WARNING" and f"{tmp_path} is on a file system without locks" in record.message
        assert not list(tmp_path.iterdir())
    else:
        with pytest.raises(OSError), lock.locked(tmp_path):
            pass


def test_the_lock_file_of_another_process_is_not_removed(tmp_path):
    with lock.locked(tmp_path / "run"):
        (tmp_path / "run" / ".lock").unlink()
        (tmp_path / "run" / ".lock").write_text("another's")
    assert (tmp_path / "run" / ".lock").read_text() == "another's"
