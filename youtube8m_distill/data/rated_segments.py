"""The ratings of segments in the records of 2019: which segments of a video show a class, and which do not.

Four lists in the context of a record have one entry per rating: segment_labels, segment_start_times, segment_end_times
(integers) and segment_scores (floats). Times are in frames, one a second. A class that no entry names is not rated, which
does not mean that the segment lacks it.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from youtube8m_distill import display, schema
from youtube8m_distill.data.bad_records import NO_EXAMPLE, BadRecordError, naming_bad_records
from youtube8m_distill.data.labels import MOST_LOOKED_AT, contexts
from youtube8m_distill.data.tfrecord import DAMAGED, FOOTER_BYTES, HEADER_BYTES, Shard, is_whole, read_serialized
from youtube8m_distill.settings import require

LABELS, STARTS, ENDS, SCORES = schema.SEGMENT_KEYS
POSITIVE = 0.5  # a rating of this or more is positive; official ones are 0 or 1
LARGEST = 2**31 - 1
ID_KEYS = (*schema.ID_KEYS, *schema.MEDIAPIPE_ID_KEYS)


class RatedSegments(NamedTuple):
    """Every rated pair of a segment and a class, once."""

    video_ids: np.ndarray  # bytes as objects [R]
    starts: np.ndarray  # int32 [R], the first frame of the segment
    classes: np.ndarray  # int32 [R]
    positive: np.ndarray  # bool [R]

    def by_class(self) -> dict[int, dict[tuple[bytes, int], bool]]:
        """{class: {(video id, start): whether it is positive}}, as `metrics.segment_map` takes it."""
        found = defaultdict(dict)
        for video_id, start, c, positive in zip(self.video_ids, *(array.tolist() for array in self[1:])):
            found[c][video_id, start] = positive
        return dict(found)


def read_rated_segments(shards: Sequence[Shard]) -> RatedSegments:
    """Reads the ratings of all records. Records without ratings are valid and add none.

    Raises:
        BadRecordError: with file and record, if a record is damaged or its ratings are invalid (`segments_of`), or rate a
            pair differently than an earlier record.
    """
    found: dict[tuple[bytes, int, int], bool] = {}
    with naming_bad_records(shards), display.ProgressBar(None, "labels", "records") as bar:
        for _, where, example in (found for shard in shards for found in read_examples(shard)):
            _add(found, example, where)
            bar.update()
    video_ids = np.empty(len(found), object)
    video_ids[:] = [video_id for video_id, _, _ in found]
    starts, classes = (np.array([key[part] for key in found], np.int32) for part in (1, 2))
    return RatedSegments(video_ids, starts, classes, np.array(list(found.values()), bool))


def read_examples(shard: Shard) -> Iterator[tuple[int, str, tf.train.SequenceExample]]:
    """Yields (number, "file <path>, record <number>", SequenceExample) for each record that is not excluded.

    BadRecordError for a record that is not one, and at the end of a file that is cut short.
    """
    count = num_bytes = 0
    for number, record in enumerate(read_serialized(shard).as_numpy_iterator()):
        count, num_bytes = number + 1, num_bytes + HEADER_BYTES + len(record) + FOOTER_BYTES
        if number not in shard.excluded:
            where = f"file {shard.path}, record {number}"
            yield number, where, parse_example(bytes(record), where)
    if shard.readable is None and not is_whole(shard, num_bytes):
        raise BadRecordError(f"file {shard.path}, record {count}: {DAMAGED}")


def parse_example(record: bytes, where: str) -> tf.train.SequenceExample:
    """A record as an example. BadRecordError, after the text `where`, if it is not one."""
    try:
        return tf.train.SequenceExample.FromString(record)
    except Exception as error:  # protobuf's own DecodeError, which TensorFlow does not export
        raise BadRecordError(f"{where}: {NO_EXAMPLE}") from error


def id_of(example: tf.train.SequenceExample, where: str) -> bytes:
    """The id of a video with ratings. BadRecordError if it has none, or several."""
    context = example.context.feature
    ids = [list(context[key].bytes_list.value) for key in ID_KEYS if key in context]
    if not ids or len(ids[0]) != 1 or not ids[0][0]:
        raise BadRecordError(f"{where}: has ratings and no video id; store one under {' or '.join(schema.ID_KEYS)}.")
    return ids[0][0]


def _add(found, example, where):
    """Adds the ratings of a record to {(video id, start, class): whether it is positive}."""
    for start, _, ratings in segments_of(example, where):
        video_id = id_of(example, where)
        for c, positive in ratings.items():
            if found.setdefault((video_id, start, c), positive) != positive:
                name = video_id.decode("utf-8", "backslashreplace")
                reason = f"{_contradiction(start, c)}, the other time in an earlier record of video {name}"
                raise BadRecordError(f"{where}: {reason}")


class Segment(NamedTuple):
    """A part of a video that was rated."""

    start: int  # its first frame
    end: int  # the frame after its last one
    ratings: dict[int, bool]  # class -> whether the segment shows it


def segments_of(example: tf.train.SequenceExample, where: str) -> list[Segment]:
    """The rated segments of one record, by start; none if it has no ratings. The same rating twice counts once.

    BadRecordError, after the text `where`, if the four lists are not equally long, a label, time or score is out of range,
    segments with the same start end differently, or a pair is rated both ways.
    """
    context = example.context.feature
    labels, starts, ends = (context[key].int64_list.value if key in context else () for key in (LABELS, STARTS, ENDS))
    scores = context[SCORES].float_list.value if SCORES in context else ()
    if not len(labels) == len(starts) == len(ends) == len(scores):
        lengths = f"{len(labels)}, {len(starts)} and {len(ends)} integers, and {len(scores)} floats"
        reason = f"{LABELS}, {STARTS}, {ENDS} and {SCORES} hold {lengths}; each rating has one of each"
        raise BadRecordError(f"{where}: {reason}")
    found: dict[int, Segment] = {}
    for label, start, end, score in zip(labels, starts, ends, scores):
        if not 0 <= label <= LARGEST:
            raise BadRecordError(f"{where}: {LABELS} holds {label}, which is not a class number")
        if not 0 <= start < end <= LARGEST:
            raise BadRecordError(f"{where}: a segment from {start} to {end}; it must start at 0 or later and before its end")
        if not 0 <= score <= 1:
            raise BadRecordError(f"{where}: {SCORES} holds {score:g}, which is outside 0 .. 1")
        segment = found.setdefault(start, Segment(start, end, {}))
        if segment.end != end:
            raise BadRecordError(f"{where}: the segment that starts at {start} ends at {segment.end} and at {end}")
        if segment.ratings.setdefault(label, score >= POSITIVE) != (score >= POSITIVE):
            raise BadRecordError(f"{where}: {_contradiction(start, label)}")
    return [found[start] for start in sorted(found)]


def _contradiction(start, c):
    return f"the segment that starts at {start} is rated both positive and negative for class {c}"


def check_rated(flag: str, pattern: str, shards: Sequence[Shard]) -> None:
    """Refuses the files that a flag names with a pattern, if none of their first records has ratings of segments.

    Raises SettingError.
    """
    count = 0
    for context in itertools.islice(contexts(shards), MOST_LOOKED_AT):
        if LABELS in context and context[LABELS].int64_list.value:
            return
        count += 1
    reason = (
        f"{len(shards)} file(s), {shards[0].path} first: none of the first {count:,} records has ratings of segments "
        f"under {LABELS!r}. Give files with them, as in the partition 3/frame/validate of YouTube-8M."
    )
    require(not count, flag, reason, pattern)
