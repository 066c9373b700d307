"""Loads TensorFlow for a command, after its flags have been checked."""

import os

from absl import flags

from youtube8m_distill.display import hidden_stderr

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
