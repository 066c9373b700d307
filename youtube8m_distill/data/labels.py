"""A look at the labels of some files before anything is built: whether there are any, and whether they are class numbers."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data.find_files import is_unreachable
from youtube8m_distill.data.tfrecord import Shard, read_serialized
from youtube8m_distill.errors import UnreachableError
from youtube8m_distill.settings import require

ALWAYS_LOOKED_AT = 32  # records
MOST_LOOKED_AT = 10_000  # if none has labels

log = logging.getLogger(__name__)


def check_labels(
    flag: str, pattern: str, shards: Sequence[Shard], label_key: str, num_classes: int, required: bool = True
) -> "FirstLabels":
    """Refuses the files that a flag names with a pattern, if their first records have no labels, or rows of zeros and ones.

    Records that are invalid in another way are left to the reader of the files. Files without labels pass if none are
    `required`. Raises SettingError.
    """
    found = _look(shards, label_key, MOST_LOOKED_AT if required else ALWAYS_LOOKED_AT)
    reason = f"{len(shards)} file(s), {shards[0].path} first: none of the first {found.num_records:,} records"
    require(found.labels or not found.num_records or not required, flag, f"{reason} {found.without_labels()}", pattern)
    if _has_segments(found.integers):
        log.info("--%s=%s: the records also hold ratings of segments, which --segment_labels reads.", flag, pattern)
    require(not found.are_multi_hot(num_classes), flag, f"{shards[0].path}: {found.multi_hot(num_classes)}", pattern)
    return found


class FirstLabels(NamedTuple):
    """What the first records of some files hold under the name of the labels."""

    key: str
    num_records: int
    labels: list[list[int]]  # of the records that have some
    integers: dict[str, int]  # name of a feature -> how many integers the first record that has it holds

    def without_labels(self) -> str:
        """What follows from records without labels, and what to do, after "none of these records"."""
        others = [f"{name} ({size} in the first)" for name, size in self.integers.items() if size and name != self.key]
        reason = f"has labels under {self.key!r}, so they can neither train nor score; `yt8m infer` needs none."
        if others:
            reason += f" Name the labels with --label_key; other integers in the records: {', '.join(others)}."
        if _has_segments(self.integers):
            reason += " The records hold ratings of segments: read those with --segment_labels."
        return reason

    def are_multi_hot(self, num_classes: int) -> bool:
        """Whether all labels are rows of a zero or a one for each class."""
        rows = [len(labels) == num_classes and set(labels) <= {0, 1} for labels in self.labels]
        # With two classes, [0, 1] may also be a video of both.
        is_certain = any(len(set(labels)) < len(labels) or labels == [1, 0] for labels in self.labels)
        return bool(rows) and all(rows) and is_certain and num_classes > 1

    def multi_hot(self, num_classes: int) -> str:
        """What is wrong with such rows."""
        return (
            f"{self.key!r} holds a multi-hot vector in every record: {num_classes} zeros and ones, one for each of "
            f"num_classes={num_classes}. It must list the indices of the classes of a video: [1] instead of [0, 1]."
        )


def _look(shards, label_key, at_most):
    """The FirstLabels of ALWAYS_LOOKED_AT records, or of `at_most` if none has any."""
    count, with_labels, integers = 0, [], {}
    for context in itertools.islice(contexts(shards), at_most):
        labels = list(context[label_key].int64_list.value) if label_key in context else []
        count += 1
        with_labels += [labels] if labels else []
        for name, feature in context.items():
            integers.setdefault(name, len(feature.int64_list.value))
        if with_labels and count >= ALWAYS_LOOKED_AT:
            break
    return FirstLabels(label_key, count, with_labels, integers)


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
            except Exception as error:  # a damaged file, or not an example: reading will report it
                if isinstance(error, UnreachableError) or is_unreachable(error):
                    raise
                break
