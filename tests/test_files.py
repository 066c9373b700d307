import errno
import fcntl
import os
import shutil
import subprocess
import sys

import pytest

from tests import faults
from youtube8m_distill import files


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_takes_its_name_when_the_block_ends(tmp_path):
    with files.atomic_path(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a.txt").exists()
    assert (tmp_path / "new" / "a.txt").read_text() == "whole"
    assert names(tmp_path) == ["a.txt", "new"]


def test_the_temporary_is_on_the_same_file_system_and_hidden(tmp_path):
    with files.atomic_path(tmp_path / "a.txt") as temporary:
        assert temporary.parent.parent == tmp_path and temporary.parent.name.startswith(".")
        temporary.write_text("")


def test_an_error_keeps_the_old_file_and_leaves_no_temporary(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError, match="half"), files.atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half")
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_an_interrupt_leaves_no_new_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_file_is_replaced(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")
    files.write_text(tmp_path / "a.txt", "né")
    assert (tmp_path / "a.txt").read_bytes() == "né".encode() and names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for name in ("old", "new"):
        with files.atomic_path(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert names(tmp_path) == ["folder", "new"]


def test_an_error_keeps_the_old_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")
    with pytest.raises(RuntimeError), files.atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
        raise RuntimeError
    assert names(tmp_path) == ["folder", "old"]


def test_a_parent_that_is_a_file_raises_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), files.atomic_path(tmp_path / "file" / "a.txt"):
        raise AssertionError("never entered")
    assert names(tmp_path) == ["file"]


# ---- errors name the path and the reason


def test_an_os_error_names_the_final_path_and_the_reason(tmp_path):
    with pytest.raises(OSError) as raised, files.atomic_path(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(raised.value) == f"{tmp_path}/a.txt cannot be written: No space left on device."


def test_an_error_about_a_file_that_is_read_is_not_changed(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), files.atomic_path(tmp_path / "out" / "a.txt"):
        open(tmp_path / "elsewhere", encoding="utf-8")


def test_a_folder_removed_during_a_write_raises_an_os_error(tmp_path):
    with pytest.raises(OSError, match=rf"a.txt cannot be written: No such file or directory \(is {tmp_path}/out still"):
        with files.atomic_path(tmp_path / "out" / "a.txt") as temporary:
            temporary.write_text("whole")
            shutil.rmtree(tmp_path / "out")
    assert names(tmp_path) == []
    with pytest.raises(OSError, match="No such file"), files.atomic_path(tmp_path / "out" / "b.txt", make_parent=False):
        pass
    assert names(tmp_path) == []


def test_a_message_of_tensorflow_becomes_an_os_error():
    error = files.system_error("{{node x}} /a/b; No space left on device\n\tFailed to flush")
    assert error.errno == errno.ENOSPC and error.strerror == "No space left on device"
    assert str(files.system_error("something else")) == "something else"


def test_a_file_size_limit_raises_an_os_error(tmp_path):
    """Like a full disk, without root rights."""
    with faults.limited_file_size("a.txt", 100), pytest.raises(OSError, match="a.txt cannot be written: File too large"):
        files.write_text(tmp_path / "a.txt", "a" * 1000)
    assert names(tmp_path) == []


# ---- outputs checked before any work


def test_checking_an_output_leaves_nothing_behind(tmp_path):
    for path, folder in ((tmp_path / "a" / "b.csv", False), (tmp_path / "deep" / "run", True), (tmp_path, True)):
        files.check_output("output", str(path), folder)
    assert names(tmp_path) == []


def test_an_output_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=rf"^output_dir={tmp_path}/file/run: cannot be written: Not a directory"):
        files.check_output("output_dir", f"{tmp_path}/file/run", folder=True)


# ---- replacing folders


def replace(path, name):
    with files.atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / name).write_text(name)


def test_a_killed_replacement_of_a_folder_is_finished_by_the_next_writer(tmp_path, monkeypatch):
    replace(tmp_path / "best", "old")
    original = os.replace

    def killed(source, target):
        original(source, target)
        for cleaner in ((shutil, "rmtree"), (files, "_finish_replacement")):  # a killed process does not clean up
            monkeypatch.setattr(*cleaner, lambda *args, **kwargs: None)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "best", "newest")
    monkeypatch.undo()
    assert not (tmp_path / "best").exists()
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == ["best", "newest"]


# ---- leftovers


KILLED = """
import os, sys
from youtube8m_distill import files
with files.atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_the_next_writer_removes_what_a_killed_one_left_but_not_what_a_live_one_writes(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "a.txt")], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == "writing\n"
    files.write_text(tmp_path / "a.txt", "mine")
    files.remove_leftovers(tmp_path)
    assert len(list(tmp_path.glob(".a.txt.*.partial/a.txt"))) == 1
    process.kill()
    process.wait()
    files.write_text(tmp_path / "b.txt", "other")
    files.write_text(tmp_path / "a", "other")
    assert len(list(tmp_path.glob("*.partial"))) == 1
    files.write_text(tmp_path / "a.txt", "mine")
    assert names(tmp_path) == ["a", "a.txt", "b.txt"]


def test_without_locks_leftovers_are_removed_after_a_day(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EBADF, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for name, age in (("old", 2 * files.LONGEST_WRITE), ("young", 60)):
        (tmp_path / f".{name}.x.partial").mkdir()
        (tmp_path / f".{name}.x.partial" / name).write_text("half")
        then = (tmp_path / f".{name}.x.partial").stat().st_mtime - age
        for path in (tmp_path / f".{name}.x.partial", tmp_path / f".{name}.x.partial" / name):
            os.utime(path, (then, then))
    files.remove_leftovers(tmp_path)
    files.write_text(tmp_path / "a.txt", "whole")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [".young.x.partial"]


def test_everything_is_on_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    synced, original = [], os.fsync
    monkeypatch.setattr(
        os,
        "fsync",
        lambda descriptor: (
            original(descriptor),
            synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), (tmp_path / "best").exists())),
        )[0],
    )
    replace(tmp_path / "best", "new")
    inside = [(path.rpartition("partial")[2], there) for path, there in synced[:-1]]
    assert inside == [("/best/new", False), ("/best", False)] and synced[-1] == (str(tmp_path), True)


def test_only_leftovers_of_killed_writers_are_removed(tmp_path):
    (tmp_path / ".config.json.x1.partial").mkdir()
    (tmp_path / ".config.json.x1.partial" / "config.json").write_text("half")
    (tmp_path / ".hidden").write_text("theirs")
    files.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]
    files.remove_leftovers(tmp_path / "absent")


def test_a_folder_is_removed_completely(tmp_path):
    (tmp_path / "step" / "inner").mkdir(parents=True)
    (tmp_path / "step" / "inner" / "weights").write_text("w")
    files.remove_folder(tmp_path / "step")
    assert not list(tmp_path.iterdir())
