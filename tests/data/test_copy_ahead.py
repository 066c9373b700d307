"""Reading from an object store: the same records in the same order as from local files, copied while others are read."""

import dataclasses
import gc
import threading

import numpy as np
import pytest
import tensorflow as tf

from tests import commands, records
from tests.object_store import Server, forget_servers, use
from youtube8m_distill.data import copy_ahead, file_access, tfrecord
from youtube8m_distill.data.bad_records import BadRecordError, naming_bad_records
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.labels import contexts
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.pipeline import read_records
from youtube8m_distill.errors import UnreachableError

ORDER = TrainingOrder(seed=3, num_epochs=2, num_readers=2, shuffle_buffer=4, train_fraction=0.8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """24 videos in five plain files, a compressed one, and one that is a bare record."""
    folder, videos = tmp_path_factory.mktemp("files"), commands.frame_videos(24)
    commands.write_files(folder, "a", videos[:20], files=5)
    commands.write_files(folder, "b", videos[20:23], files=1, compression="GZIP")
    (folder / "c.pb").write_bytes(videos[23])
    return f"{folder}/*"


@pytest.fixture
def requested(monkeypatch):
    """The paths that are requested at once, at the beginning of each file or group of files."""
    found, announce = [], copy_ahead._announce
    monkeypatch.setattr(copy_ahead, "_announce", lambda step, paths: found.append(list(paths)) or announce(step, paths))
    return found


def read(shards, order=None):
    with naming_bad_records(shards):
        return list(read_records(shards, order).as_numpy_iterator())


def assert_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_records_are_those_of_local_files_in_the_same_order(files, s3, requested):
    local, remote = find_files(files), find_files(s3.put(files, "same"))
    assert [shard.compression for shard in remote] == ["", "", "", "", "", "GZIP", "bare"]
    assert [tfrecord.digest(shard) for shard in remote] == [tfrecord.digest(shard) for shard in local]
    local, remote = (
        (dataclasses.replace(first, excluded=(1,)), dataclasses.replace(second, readable=2), *others)
        for first, second, *others in (local, remote)
    )
    assert not any(file_access.is_here(shard.path) for shard in remote[1:])  # the first record of all was read
    expected = read(local)
    assert len(expected) == 21
    assert_equal(read(remote), expected)
    assert [len(paths) for paths in requested] == [4, 4, 4, 4, 3, 2, 1]  # this file and three more
    assert all(file_access.is_here(shard.path) for shard in remote)
    assert tfrecord.count_records(remote) == 21 and not tfrecord.estimate_records(remote)[1]


def test_a_training_has_the_same_order_and_resumes_at_any_record(files, s3, requested):
    local, remote = find_files(files), find_files(s3.put(files, "training"))
    expected = read(local, ORDER)
    assert_equal(read(remote, ORDER), expected)
    assert [len(paths) for paths in requested] == 2 * [4, 4, 3, 1]  # this group of two files and the next
    assert [paths[2:] for paths in requested[:3]] == [paths[:2] for paths in requested[1:4]]
    assert len({path for paths in requested[:4] for path in paths[:2]}) == len(remote) == 7
    (epoch, group), used = expected[20][1]
    assert_equal(read(remote, dataclasses.replace(ORDER, start=(epoch, group, used))), expected[21:])


def test_an_iterator_closes_at_once_while_a_copy_takes_long(files, s3, monkeypatch):
    """Also in a thread that makes copies, as by Python's garbage collector."""
    remote = find_files(s3.put(files, "slow"))[:2]
    started, closed = threading.Event(), threading.Event()
    iterators = []
    make_copy = file_access.local_path

    def slow(path):
        if path != remote[1].path:
            return make_copy(path)
        started.set()
        iterators.clear()
        gc.collect()
        closed.set()
        return make_copy(path)

    monkeypatch.setattr(file_access, "local_path", slow)
    iterators.append(iter(read_records(remote).prefetch(100)))
    next(iterators[0])
    assert started.wait(30) and closed.wait(30)


def test_a_server_that_dies_is_reported_with_the_file(files, tmp_path, monkeypatch):
    dying = Server("dying")
    use(dying, tmp_path / "copies", monkeypatch)
    remote = find_files(dying.put(files, "files"))
    dying.stop()
    message = r"^s3://dying/files/\w+.\w+ cannot be read \(EndpointConnectionError: .*http://127.0.0.1:\d+/dying/files/"
    for order in (None, ORDER):
        with pytest.raises(UnreachableError, match=message) as raised:
            read(remote, order)
        assert raised.value.path in [shard.path for shard in remote] and "\n" not in str(raised.value)
        assert "Check AWS_ENDPOINT_URL" in str(raised.value)
    for look in (tfrecord.first_record, lambda shard: list(contexts([shard]))):
        with pytest.raises(UnreachableError, match=message):
            look(remote[1])
    forget_servers()


def test_files_that_were_copied_are_read_without_the_server(files, tmp_path, monkeypatch):
    dying = Server("second")
    use(dying, tmp_path / "copies", monkeypatch)
    remote = find_files(dying.put(files, "files"))
    expected = read(remote)
    dying.stop()
    assert_equal(read(remote), expected)
    forget_servers()


@pytest.mark.parametrize("place", [3, pytest.param(9, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.slow)])
def test_a_damaged_byte_is_found_in_its_file(s3, place):
    content = bytearray(records.file_content(commands.frame_videos(6)))
    s3.write("damaged/a", content)
    shards = find_files(s3.write("damaged/b", content))
    content[list(tfrecord.record_starts(shards[0]))[2] + place] ^= 1  # in the length, in its checksum, in the record
    s3.write("damaged/b", content)
    shards = find_files("s3://bucket/damaged/*")
    with pytest.raises(BadRecordError, match="^file s3://bucket/damaged/b, record 2: damaged"):
        read(shards)


def test_a_disk_without_room_for_copies_is_reported(files, s3, monkeypatch):
    remote = find_files(s3.put(files, "large"))
    monkeypatch.setenv("YT8M_CACHE_GB", "1e-9")
    with pytest.raises(UnreachableError, match=r"copies: a file of [\d,]+ bytes does not fit: copies may take 1 bytes"):
        read(remote)
