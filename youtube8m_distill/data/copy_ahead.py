"""Copies files in the background while TensorFlow reads others: for datasets, which name files by tensors.

A dataset asks for a copy again and again instead of waiting for it. Python's garbage collector may close an iterator in any
thread, also in one that makes copies, and waits there until the functions of its dataset return. If such a function waited
for the copy, both would wait forever.
"""

import concurrent.futures
import functools
import queue
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from youtube8m_distill.data import file_access
from youtube8m_distill.errors import UnreachableError

WORKERS = 4  # more do not copy faster, and files that are needed now would wait for those that are needed later
ASK_SECONDS = 0.1
START, END = "<no copy>", "</no copy>"  # around path and reason, in TensorFlow's message about an error of `_ask`

_requests: queue.SimpleQueue[tuple[str, concurrent.futures.Future]] = queue.SimpleQueue()
_copying: dict[str, concurrent.futures.Future] = {}  # path -> its copy, until it is made
_lock = threading.Lock()


def local_paths(paths: tf.Tensor) -> tf.data.Dataset:
    """The `file_access.local_path` of each of some paths, string [N]. While iterating: errors for `error_in`."""

    def ask(path):
        return tf.ensure_shape(tf.numpy_function(_ask, [path], tf.string), [])

    def wait(path):
        answers = tf.data.Dataset.from_tensors(path).repeat().map(ask)
        return answers.filter(lambda answer: tf.strings.length(answer) > 0).take(1)

    _start_workers()
    return tf.data.Dataset.from_tensor_slices(paths).flat_map(wait)


def error_in(message: str) -> UnreachableError | None:
    """The error of `local_paths` that a message of TensorFlow is about, if it is about one."""
    found = re.search(f"{START}(.*?)\n(.*?){END}", message, re.DOTALL)
    return UnreachableError(*found.groups()) if found else None


def read_ahead(paths: Sequence[str], steps: tf.data.Dataset, files_of: Callable[[Any], Any]) -> tf.data.Dataset:
    """The same steps. At the beginning of each, files are copied that are read in this step and in the next.

    Args:
        paths: of all files.
        steps: dataset of int64 scalars.
        files_of: function of a step -> the indices of these files, most urgent first, int64 [N].
    """
    if not any(map(file_access.is_copied, paths)):
        return steps
    all_paths = tf.constant(list(paths))

    def announce(step):
        return tf.ensure_shape(tf.numpy_function(_announce, [step, tf.gather(all_paths, files_of(step))], tf.int64), [])

    _start_workers()
    return steps.map(announce)


def _announce(step, paths):
    for path in paths:
        _request(path.decode())
    return step


def _ask(path):
    """The local path of a file, or nothing if its copy takes longer."""
    copy = _request(path.decode())
    concurrent.futures.wait([copy], ASK_SECONDS)
    try:
        return copy.result().encode() if copy.done() else b""
    except OSError as error:  # only a text arrives
        raise RuntimeError(f"{START}{path.decode()}\n{error}{END}") from None


def _request(path):
    with _lock:
        if path not in _copying:
            _copying[path] = concurrent.futures.Future()
            _requests.put((path, _copying[path]))
        return _copying[path]


@functools.cache
def _start_workers():
    for _ in range(WORKERS):
        threading.Thread(target=_work, daemon=True).start()


def _work():
    while True:
        path, copy = _requests.get()
        try:
            copy.set_result(file_access.local_path(path))
        except Exception as error:
            copy.set_exception(error)
        with _lock:
            del _copying[path]
