"""The folder of copies: each is whole, made once, and removed only to make room."""

import concurrent.futures
import itertools
import os
import time

import pytest

from youtube8m_distill.data import copies


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("YT8M_CACHE_DIR", str(tmp_path / "copies"))
    return tmp_path / "copies"


def writing(content):
    return lambda path: path.write_bytes(content)


def fetch(name, content=b"x" * 100):
    return copies.fetch(copies.place(name, "1"), len(content), writing(content))


def age(path, seconds):
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def test_a_copy_is_made_once_for_each_version(folder):
    assert fetch("s3://a/b", b"old").read_bytes() == b"old"
    assert fetch("s3://a/b", b"new").read_bytes() == b"old"
    new = copies.fetch(copies.place("s3://a/b", "2"), 3, writing(b"new"))
    assert new.read_bytes() == b"new" and len(list(folder.iterdir())) == 2


def test_threads_that_want_the_same_file_make_one_copy(folder):
    made = []

    def download(path):
        made.append(path)
        time.sleep(0.2)
        path.write_bytes(b"content")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: copies.fetch(copies.place("s3://a/b", "1"), 7, download), range(4)))
    assert len(made) == len(found) == len(list(folder.iterdir())) == 1


def test_a_copy_that_fails_leaves_nothing_and_can_be_made_later(folder):
    def broken(path):
        path.write_bytes(b"half")
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        copies.fetch(copies.place("s3://a/b", "1"), 7, broken)
    assert list(folder.iterdir()) == []
    assert fetch("s3://a/b", b"content").read_bytes() == b"content"


def test_the_least_recently_used_copies_make_room(folder, monkeypatch):
    monkeypatch.setenv("YT8M_CACHE_GB", "310e-9")
    old, older, oldest = (fetch(name) for name in "abc")
    for path, hours in ((old, 1), (older, 2), (oldest, 3)):
        age(path, 3600 * hours)
    fetch("c")  # used again
    new = fetch("d")
    assert set(folder.iterdir()) == {old, oldest, new}


def test_copies_that_are_being_written_are_counted_with_their_whole_size(folder, monkeypatch):
    monkeypatch.setenv("YT8M_CACHE_GB", "310e-9")
    old, older = (fetch(name) for name in "ab")
    for path, hours in ((old, 1), (older, 2)):
        age(path, 3600 * hours)

    def download(path):
        assert {old, older} < set(folder.iterdir())
        fetch("d")  # as by another program, before the first byte of this one has arrived
        assert not older.exists() and old.exists()
        path.write_bytes(b"x" * 100)

    new = copies.fetch(copies.place("c", "1"), 100, download)
    assert set(folder.iterdir()) == {old, new, copies.place("d", "1")}


def test_copies_that_may_just_be_opened_are_not_removed(folder, monkeypatch, caplog):
    monkeypatch.setenv("YT8M_CACHE_GB", "150e-9")
    monkeypatch.setattr(copies, "_excesses", itertools.count())
    fetch("a")
    assert not caplog.records
    fetch("b"), fetch("c")
    assert len(list(folder.iterdir())) == 3
    (warning,) = caplog.messages
    assert "take 2e-07 GB, more than the limit of 1.5e-07 GB (YT8M_CACHE_GB)" in warning


def test_by_default_copies_take_half_of_the_free_space(monkeypatch):
    monkeypatch.setattr(copies.shutil, "disk_usage", lambda _: copies.shutil._ntuple_diskusage(1000, 600, 400))
    fetch("a", b"x" * 200)
    with pytest.raises(
        OSError, match=r"copies: a file of 301 bytes does not fit: copies may take 300 bytes\. Set YT8M_CACHE_DIR"
    ):
        fetch("b", b"x" * 301)


@pytest.mark.parametrize("limit", ["ten", "10 GB", "nan", "-1", "inf", "1e400"])
def test_a_limit_that_is_not_a_finite_number_from_0_is_refused(limit, monkeypatch):
    monkeypatch.setenv("YT8M_CACHE_GB", limit)
    with pytest.raises(OSError, match=f"^YT8M_CACHE_GB={limit}: must be a finite number of gigabytes, 0 or more"):
        fetch("a")


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("YT8M_CACHE_DIR", str(tmp_path / "file" / "copies"))
    with pytest.raises(OSError, match="file/copies/.* cannot be written: Not a directory"):
        fetch("a")


def test_what_a_killed_program_left_is_removed(folder):
    (folder / ".0123.random.partial").mkdir(parents=True)
    path = fetch("a")
    assert list(folder.iterdir()) == [path]
