import gzip
import struct

import pytest
import tensorflow as tf

from tests import records
from youtube8m_distill.data.plain_records import read_records
from youtube8m_distill.errors import BadRecordError


def record(number, num_frames=3):
    return records.frame_record(records.random_frames(num_frames, seed=number), b"v%d" % number, [number, -5])


def as_tensorflow_reads(path, compression=""):
    return [tf.train.SequenceExample.FromString(r.numpy()) for r in tf.data.TFRecordDataset(path, compression)]


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_records_are_those_that_tensorflow_reads(tmp_path, compression):
    path = records.write(tmp_path / "a.tfrecord", [*map(record, range(3)), b""], compression)
    found = [one.SerializeToString(deterministic=True) for one in read_records(path)]
    assert found == [one.SerializeToString(deterministic=True) for one in as_tensorflow_reads(path, compression)]
    assert len(found) == 4


def test_the_classes_have_the_fields_of_tensorflow_s_messages(tmp_path):
    example = tf.train.SequenceExample.FromString(record(1))
    example.context.feature["score"].float_list.value.extend([0.5, -1.0])
    (found,) = read_records(records.write(tmp_path / "a.tfrecord", [example.SerializeToString()]))
    assert list(found.context.feature["score"].float_list.value) == [0.5, -1.0]
    assert list(found.context.feature["labels"].int64_list.value) == [1, -5]
    assert found.context.feature["id"].WhichOneof("kind") == "bytes_list"
    assert len(found.feature_lists.feature_list["rgb"].feature) == 3


def test_a_file_that_is_one_record_is_read(tmp_path):
    (tmp_path / "clip.pb").write_bytes(record(7))
    (found,) = read_records(str(tmp_path / "clip.pb"))
    assert found.context.feature["id"].bytes_list.value == [b"v7"]


def test_every_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "a.tfrecord"
    content = records.file_content([record(0, 1), record(1, 1)])
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :])
        with pytest.raises(ValueError, match="damaged or cut short|is not a TFRecord file|is cut short"):
            list(read_records(str(path)))


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path, packed):
    path, content = tmp_path / "a.tfrecord", records.file_content([record(0, 1)])
    content = gzip.compress(content) if packed else content
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="damaged|cut short|is empty|holds no record"):
            list(read_records(str(path)))


def test_a_second_record_that_is_cut_is_named(tmp_path):
    content = records.file_content([record(0, 1), record(1, 1)])
    (tmp_path / "a.tfrecord").write_bytes(content[:-1])
    with pytest.raises(BadRecordError, match=r"a.tfrecord, record 1: damaged or cut short; fetch the file again"):
        list(read_records(str(tmp_path / "a.tfrecord")))


def test_a_length_beyond_the_file_takes_no_memory(tmp_path):
    """Its checksum is right, as a hostile file's would be."""
    header = struct.pack("<Q", 2**40)
    (tmp_path / "a.tfrecord.gz").write_bytes(gzip.compress(header + masked_crc(header) + bytes(100)))
    with pytest.raises(BadRecordError, match="record 0: damaged or cut short"):
        list(read_records(str(tmp_path / "a.tfrecord.gz")))


def masked_crc(content):
    """From the definition of CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def test_text_and_other_messages_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("not records at all, whatever it is called")
    with pytest.raises(ValueError, match="is not a TFRecord file"):
        list(read_records(str(tmp_path / "a.txt")))
    path = records.write(tmp_path / "b.tfrecord", [record(0), b"\xff\xff\xff"])
    with pytest.raises(BadRecordError, match="record 1: neither a SequenceExample nor an Example"):
        list(read_records(path))
