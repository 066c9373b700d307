"""TensorBoard event files: reading points, and taking them out again."""

import pathlib

import tensorflow as tf

from youtube8m_distill import files
from youtube8m_distill.engine.scalars import system_errors


def keep_points(folder, is_kept):
    """Removes points from all event files of a folder; a file that is cut short ends with its last whole event.

    Args:
        folder: path; need not be there.
        is_kept: function (tag, step) -> bool.
    Raises:
        OSError: if a file cannot be written. The files are replaced one by one, complete or not at all.
    """
    for path in sorted(pathlib.Path(folder).glob("events.out.tfevents.*")):
        events, whole = _read(path)
        kept = [event for event in events if all(is_kept(value.tag, event.step) for value in event.summary.value)]
        if len(kept) == len(events) and whole:
            continue
        with files.atomic_path(path) as temporary, system_errors(), tf.io.TFRecordWriter(str(temporary)) as writer:
            for event in kept:
                writer.write(event.SerializeToString())


def read_points(folder):
    """Yields (tag, step, value) of every scalar in the event files of a folder, in the order written.

    Args:
        folder: path; need not be there.
    """
    for path in sorted(pathlib.Path(folder).glob("events.out.tfevents.*")):
        for event in _read(path)[0]:
            for value in event.summary.value:
                yield value.tag, event.step, tf.make_ndarray(value.tensor).item()


def _read(path):
    """(events, whether the file ends where one does)."""
    events = []
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            events.append(tf.compat.v1.Event.FromString(record))
    except tf.errors.DataLossError:
        return events, False
    return events, True
