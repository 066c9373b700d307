"""Records that are read once and kept in memory, for who trains many networks on the same files."""

import dataclasses
import pathlib
import re

import tensorflow as tf

from youtube8m_distill.data.bad_records import naming_bad_records

SHARE_OF_FREE_MEMORY = 0.25  # at most: networks need theirs, and other processes may hold the same files
MOST_RECORDS = 2**20  # that are read as one; official files have a thousand or so


class HeldRecords:
    """Files that have been read, by path: each is read when it is first asked for and given out of memory from then on.

    Serialized, a frame-level record takes about 0.2 MB.

    Args:
        max_bytes: int, how much to hold at most, over all files; None for a quarter of the memory that is free now.
    """

    def __init__(self, max_bytes=None):
        self._free_bytes = default_bytes() if max_bytes is None else max_bytes
        self._records = {}

    def hold(self, shards):
        """The same shards with their records in memory; as they are, where there is no room for all of them.

        Args:
            shards: tuple of tfrecord.Shard. Compressed files are left as they are: how large they are is not known.
        Raises:
            BadRecordError: if a file cannot be read to its end.
        """
        missing = [shard for shard in shards if _key(shard) not in self._records]
        size = sum(shard.size for shard in missing)
        if size > self._free_bytes or any(shard.compression for shard in shards):
            return shards
        self._free_bytes -= size
        with naming_bad_records(tuple(missing)):
            self._records |= {_key(shard): _read(shard) for shard in missing}
        return tuple(dataclasses.replace(shard, held=self._records[_key(shard)]) for shard in shards)


def default_bytes():
    """How much is held at most where nothing else is said: a quarter of the memory that is free now."""
    return _free_memory() * SHARE_OF_FREE_MEMORY


def _key(shard):
    return shard.path, shard.size, shard.readable


def _read(shard):
    """string [N], the records of a file up to where it is damaged."""
    dataset = tf.data.TFRecordDataset(shard.path)
    if shard.readable is not None:
        dataset = dataset.take(shard.readable)
    parts = list(dataset.batch(MOST_RECORDS))
    return parts[0] if len(parts) == 1 else tf.concat([tf.zeros([0], tf.string), *parts], axis=0)


def _free_memory():
    """Bytes that this machine could give to a process now, what it holds of files included; 0 where that is not told."""
    try:
        found = re.search(r"MemAvailable: +(\d+) kB", pathlib.Path("/proc/meminfo").read_text(encoding="utf-8"))
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0
