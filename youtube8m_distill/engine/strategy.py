"""Devices: the strategy of a run, and what the machines of a job agree on."""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence

import tensorflow as tf

from youtube8m_distill.engine.cluster import Cluster, multi_worker_strategy
from youtube8m_distill.settings import require

log = logging.getLogger(__name__)


def _has_gpu_driver():
    """Whether the driver of an NVIDIA GPU is installed and its devices are not hidden from this process."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and (os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None)


def make_strategy(
    num_gpu: int | None = None, devices: Sequence[str] | None = None, cluster: Cluster | None = None
) -> tf.distribute.Strategy:
    """One device, a MirroredStrategy over several, or a MultiWorkerMirroredStrategy over several machines.

    Args:
        num_gpu: GPUs to use on this machine; None for all of them. Without a GPU, the CPU is used.
        devices: names of devices to use instead, such as `["/cpu:0", "/cpu:1"]` for two logical CPUs.
        cluster: the machines of the job; None for this one alone. With a cluster, this call must be the first use of
            TensorFlow in the process, and it waits for the other machines.
    Raises:
        SettingError: if there are fewer GPUs than `num_gpu`.
    """
    if devices is not None:
        # Collective operations of several strategies on CPU devices in one process clash; this reduction uses none.
        return tf.distribute.MirroredStrategy(list(devices), cross_device_ops=tf.distribute.ReductionToOneDevice())
    # Physical devices, because listing logical ones would initialize TensorFlow, too early for a cluster.
    found = len(tf.config.list_physical_devices("GPU"))
    advice = f"TensorFlow sees {found} GPU(s). Omit it to use all of them, or the CPU if there is none."
    require(num_gpu is None or 0 <= num_gpu <= found, "num_gpu", advice, num_gpu)
    if not found and num_gpu is None and _has_gpu_driver():
        log.warning(
            "This machine has an NVIDIA driver, but TensorFlow sees no GPU, so the CPU is used. Install TensorFlow with "
            "CUDA, as the extra [gpu] does: pip install 'tensorflow[and-cuda]'."
        )
    num_gpu = found if num_gpu is None else num_gpu
    if cluster is not None:
        return multi_worker_strategy(cluster, num_gpu)
    if num_gpu > 1:
        return tf.distribute.MirroredStrategy([f"/gpu:{index}" for index in range(num_gpu)])
    return tf.distribute.OneDeviceStrategy("/gpu:0" if num_gpu else "/cpu:0")


def check_batch_size(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Raises SettingError if the replicas cannot share a global batch equally: their mean would not be the batch's."""
    replicas = strategy.num_replicas_in_sync
    nearest = batch_size // replicas * replicas or replicas
    reason = (
        f"is not a multiple of the {replicas} replicas; try {nearest}. It counts the videos of all of them, on all machines."
    )
    require(batch_size % replicas == 0, "batch_size", reason, batch_size)


def machine(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """The index of this machine in its job, from 0, and the number of machines."""
    resolver = strategy.cluster_resolver
    return (0, 1) if resolver is None else (resolver.task_id, resolver.cluster_spec().num_tasks("worker"))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process evaluates and writes for the whole job: the first of several machines, or the only one."""
    return machine(strategy)[0] == 0


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns once every machine of the job has called this."""
    same_everywhere(strategy, 0)  # which takes an answer from each


def same_everywhere(strategy: tf.distribute.Strategy, number: int) -> bool:
    """Whether every machine of the job calls this with the same number (below 1e7)."""
    if machine(strategy)[1] == 1:
        return True
    own = strategy.experimental_distribute_values_from_function(lambda context: tf.constant([number, number**2], tf.float64))
    total, squares = strategy.reduce(tf.distribute.ReduceOp.SUM, own, axis=None).numpy()
    return squares * strategy.num_replicas_in_sync == total**2


@contextlib.contextmanager
def chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Runs the block on the chief, and after it has succeeded there, on the other machines."""
    if not is_chief(strategy):
        wait_for_all(strategy)
    yield
    if is_chief(strategy):
        wait_for_all(strategy)


def local_replicas(strategy: tf.distribute.Strategy) -> int:
    """The number of replicas on this machine."""
    return len(strategy.extended.worker_devices)
