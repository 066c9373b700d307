"""Files to batches: `read_records` gives serialized records in order, a `VideoParser` turns a batch of them into tensors."""

import functools
import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data import copy_ahead, file_access
from youtube8m_distill.data import order as orders
from youtube8m_distill.data import targets as target_records
from youtube8m_distill.data.parsing.batch import Records, VideoParser
from youtube8m_distill.data.tfrecord import Shard, records_of, with_quick_iterators
from youtube8m_distill.settings import require

# Together with the two of the training loop, up to 12 parsed batches are in memory. A batch of 1024 videos with 300 frames
# takes 0.35 GB as bytes, and 1.4 GB as floats.
PARALLEL_BATCHES = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 8)
PREFETCHED_BATCHES = 2
FILES_AHEAD = 3  # copied from object stores while one is read in file order


def make_dataset(
    shards: Sequence[Shard],
    parser: VideoParser,
    batch_size: int,
    order: orders.TrainingOrder | None = None,
    *,
    targets: target_records.TargetFiles | None = None,
    share: tuple[int, int] | None = None,
    with_ids: bool | None = None,
    with_serialized: bool = False,
) -> tf.data.Dataset:
    """Batches of parsed videos.

    With an order, for training: records come in that order, and only the very last incomplete batch is dropped. A set
    smaller than a batch gives none.
    Without one, for evaluation: records come in file order, and none is dropped; the last batch may be short.

    >>> import youtube8m_distill as yt8m
    >>> sizes = yt8m.SyntheticConfig(
    ...     num_train_videos=8, num_validate_videos=4, num_test_videos=0, num_classes=5, max_frames=40
    ... )
    >>> _ = yt8m.write_dataset(sizes, "sample")
    >>> view = yt8m.FrameView(frame_selection="uniform", frames_per_video=10)
    >>> parser = yt8m.VideoParser(yt8m.FeatureConfig(), num_classes=5, views={"student": view})
    >>> batch = next(iter(make_dataset(yt8m.find_files("sample/train*.tfrecord"), parser, batch_size=4)))
    >>> student = batch["student"]
    >>> student["frames"].shape.as_list()
    [4, 10, 1152]

    Args:
        shards: from `find_files`; records that a shard excludes are skipped.
        parser: features, classes, and which frames each role sees.
        batch_size: over all replicas.
        order: None for file order.
        targets: stored targets of a teacher; batches then hold `targets`.
        share: (index, count): only the index-th of `count` runs of rows of each batch, for one of several workers that
            together read what a single process would. The other rows are not parsed. The runs of a full batch are equal;
            those of a short last one differ by at most one row and may be empty, so all workers have the same number of
            batches.
        with_ids: whether batches hold `video_id`, `shard` and `record`; by default only in evaluation.
        with_serialized: whether batches hold the records themselves, to be parsed again.
    Returns:
        tf.data.Dataset of dicts as `schema` describes them.
    Raises:
        SettingError: if the batch cannot be shared equally.
        ValueError: if there is not one valid file of targets for each shard.
        While iterating: what `bad_records.naming_bad_records` turns into a BadRecordError.
    """
    if share is not None:
        index, count = share
        require(0 <= index < count, "share", f"the index must be in 0 .. {count - 1}.", share)
        reason = f"{count} workers cannot have equal shares of a batch; choose a multiple of {count}."
        require(batch_size % count == 0, "batch_size", reason, batch_size)
    training = order is not None
    with_ids = not training if with_ids is None else with_ids
    paths = tf.constant([shard.path for shard in shards])
    target_paths = tf.constant(targets.paths if targets else [""])

    def parse(*rows):
        position = first_epoch = None
        if training:
            rows, (groups, used) = rows
            position, first_epoch = tf.concat([groups[-1], used[-1:]], axis=0), groups[0, 0]
        number, where, serialized, *target = rows if share is None else _rows_of(share, rows)
        epoch, shard = tf.unstack(where, axis=1)
        parsed = parser(Records(serialized, tf.gather(paths, shard), number, epoch))
        if with_ids:
            parsed |= {schema.SHARD: tf.cast(shard, tf.int32), schema.RECORD: number}
        else:
            del parsed[schema.VIDEO_ID]
        if with_serialized:
            parsed[schema.SERIALIZED] = serialized
        if training:
            parsed[schema.POSITION] = tf.repeat([position], tf.shape(number)[0], axis=0)
            # With a share, of the first record of the whole batch: every worker must see an epoch end at the same step.
            parsed[schema.EPOCH] = tf.cast(epoch if share is None else tf.fill(tf.shape(epoch), first_epoch), tf.int32)
        if targets:
            parsed[schema.TARGETS] = target_records.decode(target[0], tf.gather(target_paths, shard), number, targets.size)
        return parsed

    # Batched before parsing: a whole batch is read by few operations, and nothing that they give is copied again.
    batches = read_records(shards, order, targets).batch(batch_size, drop_remainder=training)
    parsed = batches.map(_as_it_is(parse), num_parallel_calls=PARALLEL_BATCHES, deterministic=True)
    return with_quick_iterators(parsed.prefetch(PREFETCHED_BATCHES))


def read_records(
    shards: Sequence[Shard], order: orders.TrainingOrder | None = None, targets: target_records.TargetFiles | None = None
) -> tf.data.Dataset:
    """Serialized records, for the arguments of `make_dataset`.

    Returns:
        tf.data.Dataset of (number in the file, int64; epoch and shard, int64 [2]; record, string; with targets also these,
        string). With an order, of pairs of such a tuple and the position after the record.
    """
    read_ahead = functools.partial(copy_ahead.read_ahead, [shard.path for shard in shards])
    if order is not None:
        return orders.in_order(_reader(shards, targets, order.train_fraction), len(shards), order, read_ahead)
    read = _reader(shards, targets)
    in_order = tf.data.Dataset.range(len(shards))
    in_order = read_ahead(in_order, lambda shard: tf.range(shard, tf.minimum(shard + 1 + FILES_AHEAD, len(shards))))
    return in_order.flat_map(_as_it_is(lambda shard: read(tf.constant(0, tf.int64), shard)))


def _as_it_is(function):
    """A function for a dataset, without AutoGraph, which takes time and has nothing to convert."""
    return tf.autograph.experimental.do_not_convert(function)


def _rows_of(share, rows):
    """The rows of one worker, of each field of a batch."""
    index, count = share
    size, static_size = tf.shape(rows[0])[0], rows[0].shape[0]
    part = slice(size * index // count, size * (index + 1) // count)
    return [tf.ensure_shape(row[part], [static_size and static_size // count, *row.shape[1:]]) for row in rows]


def _reader(shards, targets=None, fraction=1.0):
    """A function (epoch, index of a shard) -> Dataset of the fields of its records, as `read_records` returns them.

    The fields are few, and joined by `zip` alone: each costs a microsecond or two per record, and a function called for
    every record would cost as much as reading it.
    """
    paths = tf.constant([shard.path for shard in shards])
    serialized, numbers_of = _serialized_reader(shards, paths), _number_reader(shards)
    num_targets = tf.constant(target_records.count(targets, shards) if targets else [0])
    excluded = tf.ragged.constant([shard.excluded for shard in shards], tf.int64, ragged_rank=1)

    def read(epoch, shard):
        place = tf.data.Dataset.from_tensors(tf.stack([epoch, shard])).repeat()
        fields = [numbers_of(shard), place, serialized(shard)]
        if targets:
            path = tf.constant(targets.paths)[shard]
            # Counts records when the file is opened; without a buffer, to keep nothing that was read ahead.
            unbuffered = serialized(shard, buffer_size=0)
            target_records.require_as_many(unbuffered, paths[shard], path, num_targets[shard])
            fields.append(tf.data.TFRecordDataset(path))
        records = tf.data.Dataset.zip(tuple(fields))
        if any(shard.excluded for shard in shards):
            numbers = tf.concat([excluded[shard], [tf.int64.max]], axis=0)  # rising
            records = records.filter(lambda number, *_: numbers[tf.searchsorted(numbers, [number])[0]] != number)
        if fraction < 1.0:
            name = tf.strings.split(paths[shard], "/")[-1]
            records = records.filter(lambda number, *_: _is_chosen(name, number, fraction))
        return records

    return read


def _serialized_reader(shards, paths):
    """A function (index of a shard, options of TFRecordDataset) -> Dataset of its serialized records."""
    packed = tf.constant([shard.compression for shard in shards])
    limits = [shard.readable for shard in shards]
    readable = tf.constant([-1 if limit is None else limit for limit in limits], tf.int64)
    held = _held_reader(shards, "records")
    are_copied = any(file_access.is_copied(shard.path) for shard in shards)

    def read(shard, **options):
        if held is not None:
            return tf.data.Dataset.from_tensor_slices(held(shard))
        # TFRecordDataset takes the compression as a Python string, so there is one dataset for each that occurs, and all but
        # the file's own read nothing.
        datasets = [
            _records_of(tf.boolean_mask([paths[shard]], [packed[shard] == compression]), compression, are_copied, **options)
            for compression in sorted({shard.compression for shard in shards})
        ]
        records = functools.reduce(lambda first, other: first.concatenate(other), datasets)
        return records if limits.count(None) == len(limits) else records.take(readable[shard])

    return read


def _records_of(paths, compression, are_copied, **options):
    """`records_of` some paths, string [N], or of copies of these files."""
    if not are_copied:
        return records_of(paths, compression, **options)
    return copy_ahead.local_paths(paths).flat_map(_as_it_is(lambda path: records_of(path, compression, **options)))


def _number_reader(shards):
    """A function (index of a shard) -> Dataset of the numbers of its records, at least as many as there are, int64."""
    held = _held_reader(shards, "numbers")
    if held is None:
        return lambda shard: tf.data.Dataset.range(tf.int64.max)
    return lambda shard: tf.data.Dataset.from_tensor_slices(held(shard))


def _held_reader(shards, field):
    """A function (index of a shard) -> its part of a tensor of `Held`, [N]; None unless all shards have one in memory."""
    held = [shard.held for shard in shards]
    found: list[Any] = [getattr(part, field, None) for part in held]
    if any(tensor is None for tensor in found):
        return None
    tensors = list({id(tensor): tensor for tensor in found}.values())
    which = tf.constant([next(i for i, tensor in enumerate(tensors) if tensor is own) for own in found])
    starts, ends = (tf.constant([getattr(part, name) for part in held], tf.int64) for name in ("start", "end"))

    def read(shard):
        branches = [lambda tensor=tensor: tensor for tensor in tensors]
        records = tensors[0] if len(tensors) == 1 else tf.switch_case(which[shard], branches)
        return records[starts[shard] : ends[shard]]

    return read


def _is_chosen(name, number, fraction):
    """Whether a record of a file belongs to the `fraction` to train on. bool scalar."""
    draw = tf.strings.to_hash_bucket_fast(tf.strings.join([name, ":", tf.strings.as_string(number)]), 1_000_000)
    return draw < round(fraction * 1_000_000)
