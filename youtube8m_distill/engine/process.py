"""What every process that computes with TensorFlow sets up first: a command, or a worker of a cluster."""

import ctypes
import logging

import tensorflow as tf

# glibc's numbers of these settings (malloc.h), and values larger than any tensor.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEEP_BYTES, LARGEST_BYTES = 2**31 - 1, (2**30, 2**25)  # older versions accept only the second


def set_up_tensorflow() -> None:
    """Sets the options of TensorFlow on which the digits of results, memory and speed depend."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    keep_freed_memory()
    # With this optimizer, TensorFlow 2.21 fuses sums of three or more terms and adds them in varying order on CPUs. The last
    # bits of a batch would then differ from run to run, and a resumed run could not be identical to an uninterrupted one.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def keep_freed_memory() -> None:
    """Makes the allocator reuse freed memory instead of returning it to the system. Does nothing without glibc.

    Every batch allocates and frees the same large blocks. By default glibc requests each of them from the system, which
    zeroes every page: a reader of whole videos spends a third of its time on that.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and any(mallopt(MMAP_THRESHOLD, size) for size in LARGEST_BYTES):
        mallopt(TRIM_THRESHOLD, KEEP_BYTES)
