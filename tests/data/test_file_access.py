"""How a path is opened, and what is reported if it cannot be."""

import functools
import http.server
import importlib.util
import itertools
import os
import sys
import threading

import fsspec
import pytest
import tensorflow as tf

from tests.object_store import forget_servers
from youtube8m_distill.data import file_access
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.errors import UnreachableError


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """A file system of fsspec without a server, with one file."""
    monkeypatch.setenv("YT8M_CACHE_DIR", str(tmp_path))
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pipe_file("/a/b.tfrecord", bytes(range(100)))
    return files


def test_parts_of_a_file_are_read_without_a_copy(memory, tmp_path):
    (path,) = file_access.find("memory://a/*.tfrecord")
    assert file_access.stat(path)[:2] == (100, False) and file_access.stat("memory://a").is_folder
    assert file_access.read(path, 3, 7) == bytes(range(3, 7)) and file_access.read(path, 90) == bytes(range(90, 100))
    assert file_access.exists(path) and not file_access.exists("memory://a/c")
    assert file_access.is_copied(path) and not file_access.is_here(path) and list(tmp_path.iterdir()) == []


def test_a_file_that_is_opened_is_copied_and_read_from_there(memory):
    path = "memory://a/b.tfrecord"
    with file_access.open_file(path) as file:
        assert file.read() == bytes(range(100))
    memory.rm(path)
    assert file_access.is_here(path) and file_access.read(path, 3, 7) == bytes(range(3, 7))


def test_a_program_reads_one_version_of_a_file_until_it_looks_for_files_again(memory):
    path = "memory://a/b.tfrecord"
    before = file_access.version(path)
    file_access.local_path(path)
    memory.pipe_file(path, b"new")
    assert file_access.version(path) == before and file_access.read(path, 0, 1) == b"\0"
    assert file_access.stat(path).size == 3 and file_access.version(path) != before
    assert file_access.read(path) == b"new"


def test_a_web_server_that_states_only_times_serves_new_versions(tmp_path, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("YT8M_CACHE_DIR", str(tmp_path / "copies"))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = f"http://127.0.0.1:{server.server_port}/a.tfrecord"
        contents = []
        for content, time in ((b"old", 1e9), (b"new", 2e9)):
            (tmp_path / "a.tfrecord").write_bytes(content)
            os.utime(tmp_path / "a.tfrecord", (time, time))
            file_access.stat(path)
            with file_access.open_file(path) as file:
                contents.append(file.read())
        server.shutdown()
    assert contents == [b"old", b"new"]


def without_facts(monkeypatch, memory, *names):
    """A file system that does not know these facts about its files."""
    info = type(memory).info
    unknown = dict.fromkeys(names)
    monkeypatch.setattr(type(memory), "info", lambda self, path, **options: {**info(self, path, **options), **unknown})


def test_a_server_that_does_not_state_sizes_is_not_taken_for_one_of_empty_files(memory, monkeypatch):
    without_facts(monkeypatch, memory, "size")
    reason = "cannot be read: its server does not state the size. Download the file, and give its local path."
    with pytest.raises(UnreachableError, match=f"^memory://a/b.tfrecord {reason}$"):
        file_access.stat("memory://a/b.tfrecord")


def test_a_server_that_states_only_sizes_is_named_once(memory, monkeypatch, caplog):
    monkeypatch.setattr(file_access, "_without_version", itertools.count())
    memory.pipe_file("/a/c.tfrecord", b"c")
    file_access.stat("memory://a/b.tfrecord")
    assert not caplog.records
    without_facts(monkeypatch, memory, "created")
    for name in ("a", "a/b.tfrecord", "a/c.tfrecord", "a/b.tfrecord"):
        file_access.stat(f"memory://{name}")
    (record,) = caplog.records
    assert record.getMessage().startswith("memory://a/b.tfrecord: its server states neither an ETag nor a time, so a new")


def test_a_file_that_arrives_in_part_is_not_kept(memory, tmp_path, monkeypatch):
    path = "memory://a/b.tfrecord"
    file_access.stat(path)
    memory.pipe_file(path, b"new")
    with pytest.raises(UnreachableError, match=r"b.tfrecord cannot be read \(EOFError: 3 of 100 bytes were received\)"):
        file_access.local_path(path)
    assert list(tmp_path.iterdir()) == []


def without(monkeypatch, *packages):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in packages else find(name))
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.parametrize(
    "scheme, packages, extra",
    [
        ("s3", ("s3fs", "tensorflow_io"), "s3"),
        ("memory", ("fsspec", "tensorflow_io"), "s3"),
        ("hdfs", ("tensorflow_io",), "io"),
    ],
)
def test_a_missing_reader_is_reported_with_what_to_install(scheme, packages, extra, monkeypatch):
    without(monkeypatch, *packages)
    complaint = rf"^'{scheme}://bucket/\*': no reader for {scheme}:// is installed: pip install '\.\[{extra}\]'"
    with pytest.raises(ValueError, match=complaint):
        find_files(f"{scheme}://bucket/*")


def test_an_unknown_scheme_is_reported():
    with pytest.raises(ValueError, match="no reader for nowhere:// .*Protocol not known: nowhere"):
        find_files("nowhere://bucket/*")


@pytest.mark.parametrize("installed, is_copied", [(("s3fs", "tensorflow_io"), True), (("tensorflow_io",), False)])
def test_s3fs_reads_s3_where_it_is_installed_and_tensorflow_io_otherwise(installed, is_copied, monkeypatch):
    without(monkeypatch, *({"s3fs"} - set(installed)))
    monkeypatch.setitem(sys.modules, "tensorflow_io", sys)  # importing it is what registers its file systems
    monkeypatch.setattr(tf.io.gfile, "get_registered_schemes", lambda: ["", "gs", "s3", "hdfs"])
    assert file_access.is_copied("s3://bucket/a") == is_copied
    assert not any(map(file_access.is_copied, ("hdfs://host/a", "gs://bucket/a", "/a")))


def test_an_s3_server_that_does_not_answer_tensorflow_io_is_not_an_empty_bucket(monkeypatch):
    """tensorflow-io's glob finds nothing then; only `stat` of the bucket fails, or finds nothing in an empty one."""
    asked = []

    def stat(path):
        asked.append(path)
        raise tf.errors.UnknownError(None, None, ": curlCode: 7, Couldn't connect to server")

    monkeypatch.setattr(file_access, "_file_system", lambda path: None)
    monkeypatch.setattr(tf.io.gfile, "glob", lambda pattern: [])
    monkeypatch.setattr(tf.io.gfile, "stat", stat)
    message = r"^s3://bucket/a/train\* cannot be read \(Unknown: curlCode: 7, Couldn't connect to server\)\. Check that"
    with pytest.raises(OSError, match=message):
        find_files("s3://bucket/a/train*")
    assert asked == ["s3://bucket/"]

    def no_bucket(path):
        raise tf.errors.NotFoundError(None, None, "No response body.")

    monkeypatch.setattr(tf.io.gfile, "stat", no_bucket)
    with pytest.raises(FileNotFoundError, match="matches no file"):
        find_files("s3://bucket/a/train*")


def test_files_on_s3_are_found(s3):
    paths = [s3.write(f"found/{name}.tfrecord", b"x" * 40) for name in ("train1", "train0", "test0")]
    assert sorted(file_access.find("s3://bucket/found/train*.tfrecord")) == sorted(paths[:2])
    assert file_access.find(paths[0]) == [paths[0]]
    assert file_access.find("s3://bucket/found/none*") == []


def refused(glob):
    with pytest.raises(UnreachableError) as raised:
        find_files(glob)
    assert raised.value.path == glob and str(raised.value).startswith(f"{glob} cannot be read (")
    return str(raised.value)


def test_a_wrong_bucket_is_reported(s3):
    assert "bucket does not exist" in refused("s3://buckets/train*")


def test_a_denied_request_is_reported_with_what_to_check(s3):
    s3.requests_until_refused(0)
    try:
        message = refused("s3://bucket/train*")
    finally:
        s3.requests_until_refused(10**9)
    assert "PermissionError" in message and message.endswith("Check the credentials, and what they may read.")


def test_missing_credentials_are_reported(s3, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    forget_servers()
    assert "NoCredentialsError: Unable to locate credentials). Set credentials as" in refused("s3://bucket/train*")


def test_public_buckets_are_read_without_credentials(s3, monkeypatch):
    path = s3.write("public/a", b"x" * 40, access="public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setitem(fsspec.config.conf, "s3", {"anon": True})  # what FSSPEC_S3='{"anon": true}' sets
    forget_servers()
    assert file_access.find(path) == [path]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:5000"])
def test_an_address_without_a_server_is_reported(s3, address, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    forget_servers()
    assert address in refused("s3://bucket/train*")
