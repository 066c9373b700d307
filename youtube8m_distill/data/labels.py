"""A look at the labels of some files before anything is built: whether there are any, and whether they are class numbers."""

import itertools
import logging
from collections.abc import Iterator, Sequence

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data.tfrecord import Shard, read_serialized
from youtube8m_distill.settings import require

ALWAYS_LOOKED_AT = 32  # records
MOST_LOOKED_AT = 10_000  # if none has labels

log = logging.getLogger(__name__)


def check_labels(flag: str, pattern: str, shards: Sequence[Shard], label_key: str, num_classes: int) -> None:
    """Refuses the files that a flag names with a pattern, if their first records have no labels, or rows of zeros and ones.

    Records that are invalid in another way are left to the reader of the files. Raises SettingError.
    """
    count, with_labels, others = 0, [], {}
    for context in itertools.islice(contexts(shards), MOST_LOOKED_AT):
        labels = list(context[label_key].int64_list.value) if label_key in context else []
        count += 1
        with_labels += [labels] if labels else []
        for name, feature in context.items():
            others.setdefault(name, len(feature.int64_list.value))
        if with_labels and count >= ALWAYS_LOOKED_AT:
            break
    listed = ", ".join(f"{name} ({size} in the first)" for name, size in others.items() if size and name != label_key)
    reason = (
        f"{len(shards)} file(s), {shards[0].path} first: none of the first {count:,} records has labels under "
        f"{label_key!r}, so they can neither train nor score; `yt8m infer` needs none. "
        + (f"Name the labels with --label_key; other integers in the records: {listed}." if listed else "")
        + (" The records hold ratings of segments: read those with --segment_labels." if _has_segments(others) else "")
    )
    require(with_labels or not count, flag, reason.rstrip(), pattern)
    if _has_segments(others):
        log.info("--%s=%s: the records also hold ratings of segments, which --segment_labels reads.", flag, pattern)
    rows = [len(labels) == num_classes and set(labels) <= {0, 1} for labels in with_labels]
    # With two classes, [0, 1] may also be a video of both.
    is_certain = any(len(set(labels)) < len(labels) or labels == [1, 0] for labels in with_labels)
    reason = (
        f"{shards[0].path}: {label_key!r} holds a multi-hot vector in every record: {num_classes} zeros and ones, one for "
        f"each of num_classes={num_classes}. It must list the indices of the classes of a video: [1] instead of [0, 1]."
    )
    require(not (with_labels and all(rows) and is_certain and num_classes > 1), flag, reason, pattern)


def _has_segments(features):
    return all(key in features for key in schema.SEGMENT_KEYS)


def contexts(shards: Sequence[Shard]) -> Iterator[dict[str, tf.train.Feature]]:
    """The context of each record that is not excluded, as a dict of features, up to the first damaged record of a file."""
    for shard in shards:
        records = iter(read_serialized(shard))
        for number in itertools.count():
            try:
                record = next(records, None)
                if record is None:
                    break
                if number not in shard.excluded:
                    yield dict(tf.train.SequenceExample.FromString(record.numpy()).context.feature)
            except Exception:  # a damaged file, or not an example: reading will report it
                break
