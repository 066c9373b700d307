"""What a check reads of each record: the whole video, or its rated segments."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.data.parsing.batch import Records, VideoParser
from youtube8m_distill.data.rated_segments import id_of, parse_example
from youtube8m_distill.data.segments import cut


class Checked(NamedTuple):
    """What is known of a valid record."""

    video_id: bytes | None  # None if it is not read
    is_labeled: bool  # whether it has labels or, if its segments are read, ratings


def read_videos(parser: VideoParser, serialized: tf.Tensor, path: str, numbers: np.ndarray) -> list[Checked]:
    """Reads whole videos. BadRecordError for the first invalid one.

    Args:
        parser: reads frames and labels.
        serialized: string [B], records of the file `path`.
        numbers: int64 [B], their places in it, from 0.
    """
    batch = _parse(parser, serialized, path, numbers)
    is_labeled = batch[schema.NOTED].numpy()[:, schema.NOTES.index("no_labels")] == 0
    return [Checked(*pair) for pair in zip(batch[schema.VIDEO_ID].numpy(), is_labeled.tolist())]


def read_rated_segments(
    parser: VideoParser, classes: Collection[int], serialized: tf.Tensor, path: str, numbers: np.ndarray
) -> list[Checked]:
    """Reads nothing but the rated segments, as training on segments does. Arguments and errors as for `read_videos`.

    Args:
        parser: reads segments that were cut out.
        classes: those that may be rated.
    """
    assert parser.layout is not None, "the layout names the rated classes"
    found, segments, sources = [], [], []
    for number, record in zip(numbers, serialized.numpy()):
        where = f"file {path}, record {number}"
        example = parse_example(record, where)
        own = cut(example, where, classes, parser.layout.keys)
        found.append(Checked(id_of(example, where) if own else None, bool(own)))
        segments += own
        sources += [number] * len(own)
    if segments:
        _parse(parser, tf.constant(segments), path, np.array(sources))
    return found


def _parse(parser, serialized, path, numbers):
    numbers = tf.constant(numbers, tf.int64)
    with naming_bad_records():
        return parser(Records(serialized, tf.fill(tf.shape(numbers), path), numbers, tf.zeros_like(numbers)))
