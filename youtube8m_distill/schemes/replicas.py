"""Replicas as seen from inside `strategy.run`: the one place where a per-video loss becomes a minibatch's."""

import tensorflow as tf
from keras import ops


def num_replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_index():
    """Which replica this code runs on, counted from 0 over all machines; 0 outside of `strategy.run`. int64 scalar."""
    context = tf.distribute.get_replica_context()
    return tf.cast(0 if context is None else context.replica_id_in_sync_group, tf.int64)


def mean_over_global_batch(per_video):
    """Average whose gradient, summed over replicas of equal size, is that of the whole batch. Scalar from [batch]."""
    return ops.mean(per_video) / num_replicas()


def sum_over_replicas(tensors):
    """The same tensors, each summed over all replicas. Called inside `strategy.run`; gradients pass."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)
