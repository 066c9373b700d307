"""The order of the records in training: a pure function of (seed, epoch, files) in which reading can resume anywhere.

In each epoch the files are shuffled and divided into groups of `num_readers`. The files of a group take turns in
contributing a record, and these pass through a shuffle buffer that is emptied at the end of the group. So a position is
three numbers: the epoch, the group, and how many of its records have been used.
"""

# TensorFlow's type stubs lack stateless_shuffle, random numbers of the whole int64 range, and seeds that are tensors.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from youtube8m_distill.data import seeds

BEGINNING = (0, 0, 0)

# Serialized frame-level records take 0.2 MB each, so this is a few hundred MB.
SHUFFLE_BUFFER = 1024


@dataclasses.dataclass(frozen=True)
class TrainingOrder:
    """Which records training sees, in which order.

    Epochs follow one another before batching, so a batch may hold the end of one epoch and the beginning of the next.

    Args:
        num_epochs: the epoch before which to end; None never ends.
        num_readers: files read at a time.
        shuffle_buffer: in records.
        train_fraction: the fraction of the records to use, above 0, at most 1. The choice depends only on the file's name
            and the record's number, so a smaller fraction is part of a larger one.
        start: a `position` of a batch, three int, after which to resume; None for the beginning.
    """

    seed: int = 0
    num_epochs: int | None = 1
    num_readers: int = 8
    shuffle_buffer: int = SHUFFLE_BUFFER
    train_fraction: float = 1.0
    start: Sequence[int] | None = None


def in_order(read, num_shards, order, read_ahead=lambda groups, files_of: groups):
    """All records of a training, in order, each with the position after it.

    Args:
        read: function (epoch, shard), int64 scalars -> tf.data.Dataset of the records of a shard.
        read_ahead: function (dataset of groups; function of a group -> its shards and the next ones, int64 [N]) -> the
            same groups.
    Returns:
        tf.data.Dataset of (record, (epoch and group, int64 [2]; records of this group used so far, int64)).
    """
    epoch, group, used = map(int, BEGINNING if order.start is None else order.start)
    num_epochs = tf.int64.max if order.num_epochs is None else order.num_epochs

    def groups_of(epoch, first):
        files = tf.random.experimental.stateless_shuffle(
            tf.range(num_shards, dtype=tf.int64), tf.stack([seeds.epoch_seed(order.seed, epoch), 0])
        )

        def files_of(group, count=1):
            return files[group * order.num_readers : (group + count) * order.num_readers]

        groups = tf.data.Dataset.range(first, -(-num_shards // order.num_readers))
        groups = read_ahead(groups, lambda group: files_of(group, 2))
        return groups.flat_map(lambda group: _group(read, files_of(group), epoch, group, order))

    if epoch >= num_epochs:
        return groups_of(tf.constant(epoch, tf.int64), group).take(0)
    later = tf.data.Dataset.range(epoch + 1, num_epochs).flat_map(lambda later: groups_of(later, 0))
    return groups_of(tf.constant(epoch, tf.int64), group).skip(used).concatenate(later)


def _group(read, files, epoch, group, order):
    """The records of one group of files. Runs in a graph of its own."""
    # `shuffle` mixes its seed with the global seed of this graph. It is fixed here, because a program that calls
    # tf.random.set_seed (as keras.utils.set_random_seed does) would change the order. Not 0, with which `shuffle` takes
    # Python numbers only.
    tf.random.set_seed(1)
    readers = order.num_readers
    mixed = tf.data.Dataset.from_tensor_slices(files).interleave(
        lambda shard: read(epoch, shard), cycle_length=readers, num_parallel_calls=readers, deterministic=True
    )
    draw = tf.random.stateless_uniform([], tf.stack([seeds.epoch_seed(order.seed, epoch), group]), None, None, tf.int64)
    mixed = mixed.shuffle(order.shuffle_buffer, seed=draw, reshuffle_each_iteration=False)
    place = tf.data.Dataset.from_tensors(tf.stack([epoch, group])).repeat()
    return tf.data.Dataset.zip((mixed, (place, tf.data.Dataset.range(1, tf.int64.max))))
