"""Loads TensorFlow for a command, after its flags have been checked."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from absl import flags

FLAGS = flags.FLAGS


def load_tensorflow() -> None:
    """Imports TensorFlow without its start-up lines and sets the options that all commands share."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors become exceptions, so no message is lost
    with hidden_stderr():  # TF_CPP_MIN_LOG_LEVEL does not silence what CUDA's stub prints
        import tensorflow as tf

    from youtube8m_distill.engine.process import set_up_tensorflow

    set_up_tensorflow()
    if "log_device_placement" in FLAGS and FLAGS.log_device_placement:
        tf.debugging.set_log_device_placement(True)


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
