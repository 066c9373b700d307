"""Devices: which strategy, and the one place where a per-video loss becomes a minibatch's."""

import contextlib

import tensorflow as tf

from youtube8m_distill.engine.cluster import multi_worker_strategy
from youtube8m_distill.errors import SettingError


def make_strategy(num_gpu=None, devices=None, cluster=None):
    """One device, a MirroredStrategy over several, or a MultiWorkerMirroredStrategy over several machines.

    Args:
        num_gpu: int or None. GPUs to use on this machine; None for all there are. Without any GPU the CPU serves.
        devices: list of device names instead, such as `["/cpu:0", "/cpu:1"]` for two logical CPUs.
        cluster: cluster.Cluster or None. With one, this must be the first thing that a process has TensorFlow do, and it
            waits for the other machines.
    Returns:
        tf.distribute.Strategy.
    Raises:
        ValueError: if `num_gpu` is more than there are.
    """
    if devices is not None:
        # Several strategies of CPU devices in one process clash in collective operations; this reduction has none.
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=tf.distribute.ReductionToOneDevice())
    # Physical devices: asking for logical ones would start TensorFlow, too early for a cluster.
    found = len(tf.config.list_physical_devices("GPU"))
    if num_gpu is not None and not 0 <= num_gpu <= found:
        raise SettingError(
            "num_gpu", f"TensorFlow sees {found} GPU(s); leave the flag out to use all of them, or the CPU.", num_gpu
        )
    num_gpu = found if num_gpu is None else num_gpu
    if cluster is not None:
        return multi_worker_strategy(cluster, num_gpu)
    if num_gpu > 1:
        return tf.distribute.MirroredStrategy([f"/gpu:{index}" for index in range(num_gpu)])
    return tf.distribute.OneDeviceStrategy("/gpu:0" if num_gpu else "/cpu:0")


def check_batch_size(batch_size, strategy):
    """Refuses a global batch that the replicas cannot share equally: their mean would not be the batch's."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        nearest = batch_size // replicas * replicas or replicas
        raise SettingError(
            "batch_size",
            f"is not a multiple of the {replicas} replicas; try {nearest}. "
            "It counts the videos of all replicas together, on all machines.",
            batch_size,
        )


def machine(strategy):
    """Which machine of a job this process is, counted from 0, and how many there are."""
    resolver = strategy.cluster_resolver
    return (0, 1) if resolver is None else (resolver.task_id, resolver.cluster_spec().num_tasks("worker"))


def is_chief(strategy):
    """Whether this process evaluates and writes for the whole job: the first of several machines, or the only one."""
    return machine(strategy)[0] == 0


def wait_for_all(strategy):
    """Returns once every machine of the job has called this."""
    if machine(strategy)[1] > 1:
        one = strategy.experimental_distribute_values_from_function(lambda context: tf.constant(1.0))
        strategy.reduce(tf.distribute.ReduceOp.SUM, one, axis=None)


def same_everywhere(strategy, number):
    """Whether every machine of the job calls this with the same number (below 1e7)."""
    if machine(strategy)[1] == 1:
        return True
    own = strategy.experimental_distribute_values_from_function(lambda context: tf.constant([number, number**2], tf.float64))
    total, squares = strategy.reduce(tf.distribute.ReduceOp.SUM, own, axis=None).numpy()
    return squares * strategy.num_replicas_in_sync == total**2


@contextlib.contextmanager
def chief_first(strategy):
    """The block runs on the chief, and once it has ended well there, on the other machines."""
    if not is_chief(strategy):
        wait_for_all(strategy)
    yield
    if is_chief(strategy):
        wait_for_all(strategy)


def local_replicas(strategy):
    """How many replicas this machine has."""
    return len(strategy.extended.worker_devices)
