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
    """How many records each file of targets holds, by its length: all records have the same size.

    Args:
        targets: TargetFiles.
        shards: tuple of tfrecord.Shard.
    Returns:
        list of int.
    Raises:
        ValueError: if there are not as many files as shards, or one is not a file of such records.
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
    """Fails, in the graph in which it is called, unless a shard holds as many records as its file of targets.

    Args:
        records: tf.data.Dataset of the shard's records.
        path, targets_path: string scalars, the shard and the file of its targets.
        num_targets: int32 scalar, how many records the latter holds.
    Raises:
        Errors for `bad_records.naming_bad_records`.
    """
    last = tf.cast(num_targets, tf.int64) - 1
    # The record of the last targets, if there are any, and none after it.
    wanted = tf.minimum(last, 0) + 1
    found = records.skip(tf.maximum(last, 0)).take(wanted + 1).reduce(tf.constant(0, tf.int64), lambda count, _: count + 1)
    return bad_records.require(
        bad_records.record_name(targets_path, last),
        [
            (found >= wanted, lambda: (path, " has no record of this number; compute its targets again")),
            (found <= wanted, lambda: ("the last one, but ", path, " has more; compute its targets again")),
        ],
    )


def decode(targets, paths, numbers, size):
    """Serialized targets as numbers.

    Args:
        targets, paths: string [B], the targets of each record and the file they come from.
        numbers: int64 [B], places in the files.
        size: int, numbers per record.
    Returns:
        float16 [B, size].
    Raises:
        Errors for `bad_records.naming_bad_records`, if a record has another size.
    """
    found, num_bytes = tf.strings.length(targets), BYTES_A_NUMBER * size
    fits = tf.equal(found, num_bytes)

    def complain():
        wrong = tf.argmin(tf.cast(fits, tf.int8))
        name = bad_records.record_name(paths[wrong], numbers[wrong])
        reason = f" bytes of targets instead of {num_bytes} ({size} numbers of {BYTES_A_NUMBER} bytes)"
        return bad_records.require(name, [(fits[wrong], lambda: (found[wrong], reason))])

    with tf.control_dependencies([tf.cond(tf.reduce_all(fits), lambda: tf.constant(True), complain)]):
        # As integers first: decoding an empty batch needs `fixed_length`, which float16 does not support.
        return tf.bitcast(tf.io.decode_raw(targets, tf.uint16, fixed_length=num_bytes), tf.float16)
