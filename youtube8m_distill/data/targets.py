"""Stored targets: one TFRecord file per shard, with one record of float16 numbers for each of its records."""

import typing

import tensorflow as tf

from youtube8m_distill.data import bad_records, tfrecord

BYTES_A_NUMBER = 2


class TargetFiles(typing.NamedTuple):
    """Where the targets of some shards are."""

    paths: tuple[str, ...]  # one file for each shard, uncompressed, with a record for each of the shard's records
    size: int  # float16 numbers per record, little-endian


def count(targets, shards):
    """How many records each file of some TargetFiles holds, by its length: all records have the same size. list of int.

    ValueError if there are not as many files as shards, or one is not a file of such records.
    """
    if len(targets.paths) != len(shards):
        raise ValueError(f"{len(targets.paths)} files of targets for {len(shards)} shards; there must be one for each.")
    record_bytes = tfrecord.HEADER_BYTES + BYTES_A_NUMBER * targets.size + tfrecord.FOOTER_BYTES
    counts = []
    for path in targets.paths:
        try:
            number, rest = divmod(tf.io.gfile.stat(path).length, record_bytes)
        except tf.errors.NotFoundError as error:
            raise ValueError(f"{path} does not exist; it should hold targets. Compute them again.") from error
        if rest:
            raise ValueError(
                f"{path} is not a file of targets ({targets.size} numbers of {BYTES_A_NUMBER} bytes per record), or it is "
                "cut short: remove it, and it is computed again."
            )
        counts.append(number)
    return counts


def require_as_many(records, path, targets_path, num_targets):
    """Fails, for `naming_bad_records`, unless a shard holds as many records as its file of targets.

    Args:
        records: tf.data.Dataset of the shard's records.
        path, targets_path: string scalars, the shard and the file of its targets.
        num_targets: int32 scalar, how many records the latter holds.
    """
    last = tf.cast(num_targets, tf.int64) - 1
    # The record of the last targets, if there are any, and none after it.
    wanted = tf.minimum(last, 0) + 1
    records = tfrecord.with_quick_iterators(records.skip(tf.maximum(last, 0)).take(wanted + 1))
    found = records.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1)
    again = "compute its targets again"

    def find_checks(path, found, wanted):
        return [
            (found[None] >= wanted, lambda row: (path, f" has no record of this number; {again}")),
            (found[None] <= wanted, lambda row: ("the last one, but ", path, f" has more; {again}")),
        ]

    names = bad_records.record_name(targets_path, last)[None]
    return bad_records.require(names, find_checks, path, found, wanted)


def decode(targets, paths, numbers, size):
    """Serialized targets, string [B], as float16 [B, size]. Fails, for `naming_bad_records`, if one has another size.

    `paths`, string [B], and `numbers`, int64 [B], are the files that they come from and their places there.
    """
    num_bytes, names = BYTES_A_NUMBER * size, bad_records.record_name(paths, numbers)
    reason = f" bytes of targets instead of {num_bytes} ({size} numbers of {BYTES_A_NUMBER} bytes)"

    def find_checks(found):
        return [(found == num_bytes, lambda row: (found[row], reason))]

    with tf.control_dependencies([bad_records.require(names, find_checks, tf.strings.length(targets))]):
        # As integers first: decoding an empty batch needs `fixed_length`, which float16 does not support.
        return tf.bitcast(tf.io.decode_raw(targets, tf.uint16, fixed_length=num_bytes), tf.float16)
