"""Rated segments of videos (data.rated_segments), each cut out as a record of its own: one example, with all its ratings.

The cut record is laid out like a video's: its frames are those of the segment, its id is "<video id>:<start>", `labels` are
the classes that are in it, and `rated` are all classes that someone has rated.
"""

import dataclasses
from collections.abc import Collection, Sequence

import tensorflow as tf

from youtube8m_distill import display, schema
from youtube8m_distill.data.bad_records import BadRecordError, naming_bad_records
from youtube8m_distill.data.held_records import default_bytes
from youtube8m_distill.data.rated_segments import id_of, read_examples, segments_of
from youtube8m_distill.data.tfrecord import Held, Shard

NO_RATINGS = f"has rated segments ({', '.join(schema.SEGMENT_KEYS)}); leave --segment_labels out to read whole videos."


def cut(
    example: tf.train.SequenceExample, where: str, classes: Collection[int], keys: Collection[str] | None = None
) -> list[bytes]:
    """The records of a video's rated segments, serialized.

    Args:
        where: "file <path>, record <number>", for messages.
        classes: those that may be rated.
        keys: the lists of frames to keep; None for all.
    Raises:
        BadRecordError: if a segment ends after the video, or as for `segments_of` and `id_of` of `rated_segments`.
    """
    found = example.feature_lists.feature_list
    lists = {name: frames for name, frames in found.items() if keys is None or name in keys}
    num_frames = min((len(frames.feature) for frames in lists.values() if frames.feature), default=0)
    records = []
    for start, end, ratings in segments_of(example, where):
        if end > num_frames:
            raise BadRecordError(f"{where}: a segment ends at frame {end}, after the video's {num_frames} frames")
        foreign = sorted(c for c in ratings if c not in classes)
        if foreign:
            raise BadRecordError(
                f"{where}: class {foreign[0]} is rated and is not among the {len(classes)} classes of the segments "
                "(--segment_label_ids_file)"
            )
        record = tf.train.SequenceExample()
        features = record.context.feature
        features[schema.ID_KEYS[0]].bytes_list.value.append(b"%s:%d" % (id_of(example, where), start))
        features[schema.LABELS_KEY].int64_list.value.extend(sorted(c for c, is_in in ratings.items() if is_in))
        features[schema.RATED_KEY].int64_list.value.extend(sorted(ratings))
        for name, frames in lists.items():
            record.feature_lists.feature_list[name].feature.extend(frames.feature[start:end])
        records.append(record.SerializeToString(deterministic=True))
    return records


def hold_segments(
    shards: Sequence[Shard], classes: Collection[int], keys: Collection[str] | None = None
) -> tuple[Shard, ...]:
    """The files with their rated segments in memory instead of their videos; without files that have none.

    Arguments are those of `cut`.

    Raises:
        ValueError: if there is no rating in any of them, or if the segments take more than a quarter of the free
            memory (while they are collected, they take twice that).
        BadRecordError: as for `cut`.
    """
    left, found, held, numbers, classes = default_bytes() or float("inf"), [], [], [], frozenset(classes)
    with display.ProgressBar(None, "segments", "videos") as bar, naming_bad_records(shards):
        for shard in shards:
            records = []
            for number, where, example in read_examples(shard):
                segments = cut(example, where, classes, keys)
                records += segments
                numbers += [number] * len(segments)
                bar.update()
            left -= sum(map(len, records))
            if left < 0:
                reason = "take more than a quarter of the free memory; read fewer files"
                raise ValueError(f"the rated segments up to {shard.path} {reason}.")
            if records:
                found.append((shard, len(held), len(held) + len(records)))
                held += records
    if not found:
        raise ValueError(f"none of the records in {len(shards)} file(s), {shards[0].path} first, {NO_RATINGS}")
    records, numbers = tf.constant(held), tf.constant(numbers, tf.int64)
    return tuple(
        dataclasses.replace(shard, excluded=(), readable=None, held=Held(records, start, end, numbers))
        for shard, start, end in found
    )
