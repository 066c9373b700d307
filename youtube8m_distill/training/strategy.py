"""Devices: which strategy, and the one place where a per-video loss becomes a minibatch's."""

import tensorflow as tf
from keras import ops


def make_strategy(num_gpu=None, devices=None):
    """One device, or a MirroredStrategy over several.

    Args:
        num_gpu: int or None. GPUs to use; None for all there are. Without any GPU the CPU serves.
        devices: list of device names instead, such as `["/cpu:0", "/cpu:1"]` for two logical CPUs.
    Returns:
        tf.distribute.Strategy.
    Raises:
        ValueError: if `num_gpu` is more than there are.
    """
    if devices is not None:
        # Several strategies of CPU devices in one process clash in collective operations; this reduction has none.
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())
    gpus = tf.config.list_logical_devices("GPU")
    if num_gpu is not None and not 0 <= num_gpu <= len(gpus):
        raise ValueError(f"num_gpu={num_gpu}, and TensorFlow sees {len(gpus)} GPU(s); leave it out to use all there "
                         "are, or the CPU.")
    gpus = gpus[:num_gpu]
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy([gpu.name for gpu in gpus])
    return tf.distribute.OneDeviceStrategy(gpus[0].name if gpus else "/cpu:0")


def check_batch_size(batch_size, strategy):
    """Refuses a global batch that the replicas cannot share equally: their mean would not be the batch's."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        nearest = batch_size // replicas * replicas or replicas
        raise ValueError(f"batch_size={batch_size} is not a multiple of the {replicas} replicas; try {nearest}. "
                         "It counts the videos of all replicas together.")


def num_replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


def mean_over_global_batch(per_video):
    """Average whose gradient, summed over replicas of equal size, is that of the whole batch. Scalar from [batch]."""
    return ops.mean(per_video) / num_replicas()


def sum_over_replicas(tensors):
    """The same tensors, each summed over all replicas. Called inside `strategy.run`; gradients pass."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)
