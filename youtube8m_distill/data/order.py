"""The order in which training sees the records: a pure function of (seed, epoch, files), which can be entered anywhere.

In each epoch the files are shuffled and cut into groups of as many as are read at a time. The files of a group give a
record each in turn, and what they give passes a shuffle buffer, which runs empty at the end of the group. So a place in the
order is told by three numbers: the epoch, the group, and how many of its records have been used. Who goes on from there
reads the files of this group again, which are those that were open, and no other.
"""

import tensorflow as tf

from youtube8m_distill.data import seeds

BEGINNING = (0, 0, 0)


def records(read, num_shards, seed, num_epochs, num_readers, shuffle_buffer, start=None):
    """All records of a training, in order, each with the position after it.

    Args:
        read: function (epoch, shard) -> tf.data.Dataset of the records of a shard. Arguments: int64 scalars.
        num_shards: int.
        seed: int.
        num_epochs: int, the epoch before which to end; None never ends.
        num_readers: int. Files read at a time.
        shuffle_buffer: int, in records.
        start: a position, three int; None for the beginning.
    Returns:
        tf.data.Dataset of (record, position): int64 [2], epoch and group, and int64, the records of this group used by then.
    """
    epoch, group, used = map(int, BEGINNING if start is None else start)
    num_epochs = tf.int64.max if num_epochs is None else num_epochs

    def groups_of(epoch, first):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(num_shards, dtype=tf.int64), tf.stack([seeds.epoch_seed(seed, epoch), 0]))
        groups = tf.data.Dataset.range(first, -(-num_shards // num_readers))
        return groups.flat_map(lambda group: _group(read, order, seed, epoch, group, num_readers, shuffle_buffer))

    if epoch >= num_epochs:
        return groups_of(tf.constant(epoch, tf.int64), group).take(0)
    later = tf.data.Dataset.range(epoch + 1, num_epochs).flat_map(lambda later: groups_of(later, 0))
    return groups_of(tf.constant(epoch, tf.int64), group).skip(used).concatenate(later)


def _group(read, order, seed, epoch, group, num_readers, shuffle_buffer):
    """The records of one group of files. Runs as a graph of its own."""
    # `shuffle` mixes its seed with the global one, which it takes from this graph: fixed here, or a program that calls
    # tf.random.set_seed (as keras.utils.set_random_seed does) would change the order. Not 0, beside which `shuffle`
    # takes Python numbers only.
    tf.random.set_seed(1)
    files = tf.data.Dataset.from_tensor_slices(order[group * num_readers:(group + 1) * num_readers])
    mixed = files.interleave(lambda shard: read(epoch, shard), cycle_length=num_readers, num_parallel_calls=num_readers,
                             deterministic=True)
    draw = tf.random.stateless_uniform([], tf.stack([seeds.epoch_seed(seed, epoch), group]), None, None, tf.int64)
    mixed = mixed.shuffle(shuffle_buffer, seed=draw, reshuffle_each_iteration=False)
    place = tf.data.Dataset.from_tensors(tf.stack([epoch, group])).repeat()
    return tf.data.Dataset.zip((mixed, (place, tf.data.Dataset.range(1, tf.int64.max))))
