"""Model parallelism: the members of a mixture on devices of their own."""

import collections
import math
from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf

from youtube8m_distill.settings import require


def member_devices(num_gpu: int | None = None) -> list[str]:
    """The devices over which `--place_members` spreads the members of a mixture, such as `["gpu:0", "gpu:1"]`.

    Args:
        num_gpu: GPUs to use; None for all of them.
    Raises:
        SettingError: if there are fewer than two.
    """
    found = len(tf.config.list_physical_devices("GPU"))
    used = found if num_gpu is None else num_gpu
    reason = f"needs at least two GPUs. TensorFlow sees {found}, and {used} would be used; leave it out."
    require(used >= 2, "place_members", reason, True)
    return [f"gpu:{index}" for index in range(used)]


def bytes_per_device(variables: Iterable[keras.Variable]) -> dict[str, int]:
    """Short name of a device, such as GPU:0 -> bytes of the variables that it holds."""
    found = collections.Counter()
    for variable in variables:
        size = math.prod(variable.shape) * tf.as_dtype(variable.dtype).size
        found[variable.value.device.rpartition("device:")[2]] += size
    return dict(sorted(found.items()))


def peak_bytes(devices: Sequence[str]) -> dict[str, int]:
    """Name of a GPU -> the most bytes that TensorFlow has used there since the process started."""
    gpus = [device.upper() for device in devices if device.startswith("gpu")]
    return {device: tf.config.experimental.get_memory_info(device)["peak"] for device in gpus}
