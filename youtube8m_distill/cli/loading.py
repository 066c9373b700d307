"""Loads TensorFlow for a command, after its flags have been checked."""

import contextlib
import ctypes
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from absl import flags

FLAGS = flags.FLAGS

# glibc's numbers of these settings (malloc.h), and values larger than any tensor.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEEP_BYTES, LARGEST_BYTES = 2**31 - 1, (2**30, 2**25)  # older versions accept only the second


def load_tensorflow() -> None:
    """Imports TensorFlow without its start-up lines and sets the options that all commands share."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors become exceptions, so no message is lost
    with hidden_stderr():  # TF_CPP_MIN_LOG_LEVEL does not silence what CUDA's stub prints
        import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    keep_freed_memory()
    # With this optimizer, TensorFlow 2.21 fuses sums of three or more terms and adds them in varying order on CPUs. The last
    # bits of a batch would then differ from run to run, and a resumed run could not be identical to an uninterrupted one.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    if "log_device_placement" in FLAGS and FLAGS.log_device_placement:
        tf.debugging.set_log_device_placement(True)


def keep_freed_memory() -> None:
    """Makes the allocator reuse freed memory instead of returning it to the system. Does nothing without glibc.

    Every batch allocates and frees the same large blocks. By default glibc requests each of them from the system, which
    zeroes every page: a reader of whole videos spends a third of its time on that.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and any(mallopt(MMAP_THRESHOLD, size) for size in LARGEST_BYTES):
        mallopt(TRIM_THRESHOLD, KEEP_BYTES)


@contextlib.contextmanager
def hidden_stderr() -> Iterator[None]:
    """Hides what libraries write to standard error inside the block, unless it raises."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(stderr, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
