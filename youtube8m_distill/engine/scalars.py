"""Writes TensorBoard scalars, with errors that name the folder and the reason."""

import contextlib
import os

import tensorflow as tf

from youtube8m_distill import files


class ScalarWriter:
    """Writes scalars to a new event file in a folder. Every method raises OSError with path and reason, if it cannot."""

    def __init__(self, folder: str | os.PathLike):
        self.folder = folder
        with self._naming_errors():
            self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, name: str, value: float, step: int) -> None:
        with self._naming_errors(), self._writer.as_default():
            tf.summary.scalar(name, value, step)

    def flush(self) -> None:
        with self._naming_errors():
            self._writer.flush()

    def close(self) -> None:
        with self._naming_errors():
            self._writer.close()

    @contextlib.contextmanager
    def _naming_errors(self):
        with files.saying_what_failed(self.folder):
            try:
                yield
            except tf.errors.OpError as error:
                raise files.system_error(error.message) from error
