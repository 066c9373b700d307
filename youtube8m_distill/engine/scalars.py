"""TensorBoard's files: a scalar at a time, and errors that say what could not be written."""

import contextlib

import tensorflow as tf

from youtube8m_distill import files


class ScalarWriter:
    """Writes scalars to a TensorBoard file of its own in a folder.

    Args:
        folder: path, created where it is not there.
    Raises:
        OSError: with path and reason, by every method, if the file cannot be written.
    """

    def __init__(self, folder):
        self.folder = folder
        with self._telling():
            self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, name, value, step):
        with self._telling(), self._writer.as_default():
            tf.summary.scalar(name, value, step)

    def flush(self):
        with self._telling():
            self._writer.flush()

    def close(self):
        with self._telling():
            self._writer.close()

    @contextlib.contextmanager
    def _telling(self):
        with files.saying_what_failed(self.folder), system_errors():
            yield


@contextlib.contextmanager
def system_errors():
    """Makes TensorFlow's errors about a file, a full disk for one, the system's OSErrors."""
    try:
        yield
    except tf.errors.OpError as error:
        raise files.system_error(error.message) from error
