"""Reads TFRecord files without TensorFlow, which takes seconds to import: framing, checksums, and protocol buffers.

For a few local files. `data.pipeline` reads many, and many records at a time.
"""

import functools
import gzip
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from youtube8m_distill.data.stored_features import EXTRACT, IS_VIDEO, NO_EXAMPLE, why_no_records
from youtube8m_distill.errors import BadRecordError

GZIP_MAGIC = b"\x1f\x8b\x08"
LONGEST_RECORD = 2**31 - 1  # bytes of a protocol buffer
LARGEST_BARE = 2**28  # bytes of a file that is a single record
DAMAGED = "damaged or cut short; fetch the file again"
Field = descriptor_pb2.FieldDescriptorProto


def read_records(path: str) -> Iterator[Any]:
    """Yields the SequenceExamples in a TFRecord file, compressed or not, or the one that is the whole file (MediaPipe).

    An Example is read as a SequenceExample without frames.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is empty; BadRecordError if it is damaged or holds anything else.
    """
    size = os.path.getsize(path)
    if not size:
        raise ValueError(f"{path} is empty (0 bytes): fetch it again, or leave it out.")
    with open(path, "rb") as file:
        head = file.read(8)
        file.seek(0)
        if head.startswith(GZIP_MAGIC):
            with gzip.open(file) as unpacked:
                yield from _framed(path, unpacked, LONGEST_RECORD)
        elif len(head) == 8 and 16 + struct.unpack("<Q", head)[0] <= size:
            yield from _framed(path, file, size)
        else:
            yield _bare(path, file.read(LARGEST_BARE), size)


def _framed(path, file, longest):
    """The records of a file of records, each as an 8-byte length, a checksum, the content, and its checksum."""
    number, where = 0, f"file {path}, record 0"
    try:
        while head := file.read(12):
            length = struct.unpack("<Q", _checked(head, where))[0]
            if length > longest:
                raise BadRecordError(f"{where}: {DAMAGED}")
            yield _parsed(_checked(file.read(length + 4), where), where)
            number, where = number + 1, f"file {path}, record {number + 1}"
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadRecordError(f"{where}: {DAMAGED}") from error
    if not number:
        raise ValueError(f"{path} holds no record: leave it out.")


def _checked(content, where):
    """The bytes before a masked CRC-32C. BadRecordError unless it is theirs."""
    content, stored = content[:-4], content[-4:]
    crc = google_crc32c.value(content)
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    if stored != struct.pack("<I", masked):
        raise BadRecordError(f"{where}: {DAMAGED}")
    return content


def _bare(path, content, size):
    record = _parse(content) if len(content) == size else None
    if record is None or not record.feature_lists.feature_list:
        reason = why_no_records(path, size)
        advice = EXTRACT if reason == IS_VIDEO else "fetch it again, or leave it out"
        raise ValueError(f"{path} {reason}: {advice}.")
    return record


def _parsed(serialized, where):
    record = _parse(serialized)
    if record is None:
        raise BadRecordError(f"{where}: {NO_EXAMPLE}")
    return record


def _parse(serialized) -> Any:
    """The SequenceExample, or None."""
    try:
        return _sequence_example().FromString(serialized)
    except message.DecodeError:
        return None


@functools.cache
def _sequence_example():
    """The class of SequenceExamples, as TensorFlow's feature.proto and example.proto define them."""
    file = descriptor_pb2.FileDescriptorProto(name="sequence_example.proto", package="yt8m", syntax="proto3")
    kinds = {"BytesList": Field.TYPE_BYTES, "FloatList": Field.TYPE_FLOAT, "Int64List": Field.TYPE_INT64}
    for name, kind in kinds.items():
        _add_field(file.message_type.add(name=name), "value", kind, repeated=True)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for field, name in (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List")):
        _add_field(feature, field, name).oneof_index = 0
    _add_field(file.message_type.add(name="FeatureList"), "feature", "Feature", repeated=True)
    _add_map(file.message_type.add(name="Features"), "feature", "Feature")
    _add_map(file.message_type.add(name="FeatureLists"), "feature_list", "FeatureList")
    example = file.message_type.add(name="SequenceExample")
    _add_field(example, "context", "Features")
    _add_field(example, "feature_lists", "FeatureLists")
    pool = descriptor_pool.DescriptorPool()  # of its own: TensorFlow may be loaded, too
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("yt8m.SequenceExample"))


def _add_field(parent, name, kind, repeated=False):
    """Adds the next field to a message; `kind` is the number of a type, or the name of a message."""
    field = parent.field.add(name=name, number=len(parent.field) + 1)
    field.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    if isinstance(kind, str):
        field.type, field.type_name = Field.TYPE_MESSAGE, f".yt8m.{kind}"
    else:
        field.type = kind
    return field


def _add_map(parent, name, kind):
    """Adds a map from texts to messages, which is a repeated field of entries."""
    entry = parent.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
    entry.options.map_entry = True
    _add_field(entry, "key", Field.TYPE_STRING)
    _add_field(entry, "value", kind)
    _add_field(parent, name, f"{parent.name}.{entry.name}", repeated=True)
