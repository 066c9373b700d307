"""Records kept in memory are the records of the files."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests import commands
from youtube8m_distill.data.bad_records import BadRecordError
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.held_records import HeldRecords
from youtube8m_distill.data.order import TrainingOrder
from youtube8m_distill.data.pipeline import read_records


@pytest.fixture
def shards(tmp_path):
    return find_files(commands.write_files(tmp_path, "train", commands.frame_videos(14), files=3))


def read(shards, training):
    order = TrainingOrder(3, num_epochs=3, num_readers=2, shuffle_buffer=4) if training else None
    return list(read_records(shards, order).as_numpy_iterator())


@pytest.mark.parametrize("training", [True, False])
def test_records_from_memory_equal_records_from_files(shards, training):
    whole, excluded, cut_short = shards
    shards = (whole, dataclasses.replace(excluded, excluded=(0, 2)), dataclasses.replace(cut_short, readable=3))
    held = HeldRecords(10**9).hold(shards)
    assert held == shards and all(shard.held is not None for shard in held)
    found, expected = read(held, training), read(shards, training)
    for from_memory, from_files in zip(found, expected, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, from_memory, from_files)


def test_a_file_is_read_once_and_not_needed_afterwards(shards, tmp_path):
    records = HeldRecords(10**9)
    first = records.hold(shards[:2])
    for shard in shards[:2]:
        (tmp_path / shard.path).unlink()
    again = records.hold(shards)
    assert all(again[i].held.records is first[i].held.records for i in range(2))
    assert len(read(again, training=False)) == 14


def test_files_that_do_not_fit_into_memory_are_not_held(shards):
    size = sum(shard.size for shard in shards)
    assert all(shard.held is not None for shard in HeldRecords(size).hold(shards))
    assert HeldRecords(size - 1).hold(shards) is shards
    records = HeldRecords(size)
    records.hold(shards[:1])
    assert all(shard.held is not None for shard in records.hold(shards))  # held files need no more room
    assert records.hold((dataclasses.replace(shards[0], path="another"),))[0].held is None


def test_small_files_fit_by_default(shards):
    assert all(shard.held is not None for shard in HeldRecords().hold(shards))


def test_compressed_files_are_not_held(tmp_path):
    shards = find_files(commands.write_files(tmp_path, "packed", commands.frame_videos(4), compression="GZIP"))
    assert HeldRecords(10**9).hold(shards) is shards


def test_a_damaged_file_is_named(shards, tmp_path):
    path = tmp_path / "train1.tfrecord"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadRecordError, match="train1.tfrecord"):
        HeldRecords(10**9).hold(shards)
