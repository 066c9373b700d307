"""Records that are read once and kept in memory, to train many networks on the same files."""

import dataclasses
import pathlib
import re

import tensorflow as tf

from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.tfrecord import Held, Shard, read_serialized

SHARE_OF_FREE_MEMORY = 0.25  # networks need memory, too, and other processes may hold the same files
MOST_RECORDS = 2**20  # read as one batch; official files have about a thousand


class HeldRecords:
    """Files in memory: each is read when it is first requested. A serialized frame-level record takes about 0.2 MB.

    Args:
        max_bytes: limit over all files; None for `default_bytes()`.
    """

    def __init__(self, max_bytes: float | None = None):
        self._free_bytes = default_bytes() if max_bytes is None else max_bytes
        self._records = {}

    def hold(self, shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
        """The same shards with their records in memory; unchanged if there is no room for all of them.

        Compressed ones are unchanged, too, since their size in memory is unknown. BadRecordError if a file cannot be read
        to its end.
        """
        missing = [shard for shard in shards if _key(shard) not in self._records]
        size = sum(shard.size for shard in missing)
        if size > self._free_bytes or any(shard.compression for shard in shards):
            return shards
        self._free_bytes -= size
        with naming_bad_records(tuple(missing)):
            self._records |= {_key(shard): _read(shard) for shard in missing}
        return tuple(
            dataclasses.replace(shard, held=Held(self._records[_key(shard)], 0, len(self._records[_key(shard)])))
            for shard in shards
        )


def default_bytes() -> float:
    """A quarter of the memory that is available to a process now, file caches included; 0 if unknown."""
    try:
        found = re.search(r"MemAvailable: +(\d+) kB", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"))
    except OSError:
        return 0
    return SHARE_OF_FREE_MEMORY * 1024 * int(found[1]) if found else 0


def _key(shard):
    return shard.path, shard.size, shard.readable


def _read(shard):
    """The records of a file before its damaged part. string [N]."""
    parts = list(read_serialized(shard).batch(MOST_RECORDS))
    return parts[0] if len(parts) == 1 else tf.concat([tf.zeros([0], tf.string), *parts], axis=0)
