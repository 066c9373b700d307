"""Files to batches: in one fixed order, with nothing left out unsaid."""

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data import order, targets
from youtube8m_distill.data.parsing import batch
from youtube8m_distill.errors import SettingError

# Unparsed frame-level records take 0.2 MB each, so this is a few hundred MB.
SHUFFLE_BUFFER = 1024


def make_dataset(shards, features, num_classes, views, batch_size, *, training, seed=0, num_epochs=1, start=None,
                 num_readers=8, shuffle_buffer=SHUFFLE_BUFFER, with_ids=None, train_fraction=1.0, share=None, targets=None,
                 target_size=None):
    """Batches of parsed videos.

    In training the order is that of `training_order`, a function of (seed, epoch, the files, num_readers, shuffle_buffer)
    and of nothing else. Epochs follow one another before batching, so that a batch may hold the end of one and the
    beginning of the next, and only the last incomplete batch of all is left out; a set smaller than a batch gives none,
    which the caller tells by `sources.count_records(shards, at_most=batch_size)`.
    At evaluation records come in file order, and none is left out: the last batch may be short.

    Args:
        shards: tuple of sources.Shard; what they tell to leave out is left out.
        features: config.FeatureConfig.
        num_classes: int.
        views: which frames each network sees: config.FrameView, or {role: FrameView} for batches nested by role;
            None for video-level features.
        batch_size: int, over all replicas.
        training: bool, see above.
        seed: int, of the order and of `random` frames.
        num_epochs: int, the epoch before which to end; None never ends.
        start: in training, the `position` of a batch: what comes is what the whole run gives after it. The files that were
            open there, at most `num_readers`, are read again, but nothing of what was used is parsed.
        num_readers: int, files read at a time in training.
        shuffle_buffer: int, in records.
        train_fraction: float above 0, at most 1: the share of the records to train on. Which ones follows from their
            file's name and number alone, so a smaller share is part of a larger one.
        with_ids: bool, whether batches hold `video_id`, `shard` and `record`; by default where nothing trains.
        share: (index, count): of every batch only the index-th of `count` runs of rows, for one of several workers that
            together read what a single process reads, in its order. The other rows are not parsed. The runs of a whole
            batch are equal; those of a short last one differ by a row at most and may be empty, so that every worker
            has as many batches.
        targets: tuple of str, a file for each shard with one record of little-endian float16 numbers for each of the
            shard's records, uncompressed. Batches hold them as `targets`.
        target_size: int, how many numbers such a record holds.
    Returns:
        tf.data.Dataset of dicts as `schema` describes them.
    Raises:
        ValueError: if views are given for video-level records, or none for frame-level ones; if batches cannot be
            shared equally; if there is not one file of targets for each shard, or one cannot be what it should.
        While iterating: what `bad_records.naming_bad_records` turns into a BadRecordError.
    """
    _check_share(share, batch_size)
    if targets is not None:
        targets = targets.count(targets, shards, target_size)
    parse = batch.build_parser(features, num_classes, views, seed)
    with_ids = not training if with_ids is None else with_ids
    read = _Reader(shards, targets, train_fraction)

    def example(place, number, where, serialized, *target):
        epoch, shard = tf.unstack(where, axis=1)
        parsed = parse(batch.Records(serialized, tf.gather(read.paths, shard), number, epoch))
        if with_ids:
            parsed |= {schema.SHARD: tf.cast(shard, tf.int32), schema.RECORD: number}
        else:
            del parsed[schema.VIDEO_ID]
        if training:
            position, first_epoch = place
            parsed[schema.POSITION] = tf.repeat(position[None], tf.shape(number)[0], axis=0)
            # With a share, of the first record of the whole batch: every worker must see an epoch end at the same step.
            parsed[schema.EPOCH] = tf.cast(epoch if share is None else tf.fill(tf.shape(epoch), first_epoch), tf.int32)
        if target:
            parsed[schema.TARGETS] = targets.decode(*target, tf.gather(read.targets[0], shard), number, target_size)
        return parsed

    if training:
        records = order.records(read, len(shards), seed, num_epochs, num_readers, shuffle_buffer, start)
    else:
        every_shard = tf.data.Dataset.range(len(shards)).repeat(num_epochs)
        records = every_shard.flat_map(_as_it_is(lambda shard: read(tf.constant(0, tf.int64), shard)))
    # Batched before parsing: a whole batch is read by few operations, and nothing that they give is copied again.
    batches = records.batch(batch_size, drop_remainder=training)
    batches = batches.map(lambda *rows: _with_place(training, share, *rows))
    dataset = batches.map(_as_it_is(example), num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options)


def _as_it_is(function):
    """A function for a dataset in which AutoGraph has nothing to convert, and would take its time to find out."""
    return tf.autograph.experimental.do_not_convert(function)


def _check_share(share, batch_size):
    if share is None:
        return
    index, count = share
    if not 0 <= index < count:
        raise SettingError("share", f"the index must lie in 0 .. {count - 1}.", share)
    if batch_size % count:
        raise SettingError("batch_size", f"with share={share}: {count} workers cannot have equal shares of a "
                         f"batch; choose a multiple of {count}.", batch_size)


def _rows_of(share, fields):
    """The rows of one worker, of each field of a batch."""
    index, count = share
    size = tf.shape(fields[0])[0]
    rows = tuple(field[size * index // count:size * (index + 1) // count] for field in fields)
    whole = fields[0].shape[0]
    return tuple(tf.ensure_shape(field, [whole and whole // count, *field.shape[1:]]) for field in rows)


class _Reader:
    """Reads single files: called with an epoch and the index of a shard, gives a Dataset of the fields of its records.

    A record's fields are its number in the file, int64; epoch and shard, int64 [2]; the record itself, serialized; and
    what is stored beside it, if anything is. They are few, and joined by `zip` alone: each costs a record a microsecond or
    two, and a function of ours called for every single record would cost as much as reading it.

    Args:
        shards: tuple of sources.Shard.
        targets: list of (path, number of records) for each of them, or None.
        fraction: float, the share of the records to give.
    """

    def __init__(self, shards, targets=None, fraction=1.0):
        self.paths = tf.constant([shard.path for shard in shards])
        self.packed = tf.constant([shard.compression for shard in shards])
        self.compressions = sorted({shard.compression for shard in shards})
        self.targets = targets and [tf.constant(column) for column in zip(*targets)]
        self.fraction = fraction
        self.held = [shard.held for shard in shards] if all(shard.held is not None for shard in shards) else []
        self.readable = tf.constant([-1 if shard.readable is None else shard.readable for shard in shards], tf.int64) \
            if any(shard.readable is not None for shard in shards) else None
        self.left_out = tf.ragged.constant([shard.left_out for shard in shards], tf.int64, ragged_rank=1) \
            if any(shard.left_out for shard in shards) else None

    def __call__(self, epoch, shard):
        fields = [tf.data.Dataset.range(tf.int64.max), _always(tf.stack([epoch, shard])), self._serialized(shard)]
        if self.targets is not None:
            path, num_targets = (column[shard] for column in self.targets)
            # The headers of the records alone, when the file is opened: nothing is kept that was read ahead.
            targets.require_as_many(self._serialized(shard, buffer_size=0), self.paths[shard], path, num_targets)
            fields.append(tf.data.TFRecordDataset(path))
        records = tf.data.Dataset.zip(tuple(fields))
        if self.left_out is not None:
            left_out = tf.concat([self.left_out[shard], [tf.int64.max]], axis=0)         # rising
            records = records.filter(
                lambda number, *_: left_out[tf.searchsorted(left_out, number[None])[0]] != number)
        if self.fraction < 1.0:
            path = self.paths[shard]
            records = records.filter(lambda number, *_: _is_chosen(path, number, self.fraction))
        return records

    def _serialized(self, shard, **options):
        """The records of one file. TFRecordDataset wants the compression as a Python string, so there is one dataset for
        each that occurs, and all but the file's own have nothing to read."""
        if self.held:
            records = tf.switch_case(tf.cast(shard, tf.int32), [lambda records=records: records for records in self.held])
            return tf.data.Dataset.from_tensor_slices(records)
        path, packed = self.paths[shard], self.packed[shard]
        datasets = [tf.data.TFRecordDataset(tf.boolean_mask([path], [tf.equal(packed, compression)]), compression, **options)
                    for compression in self.compressions]
        records = datasets[0]
        for other in datasets[1:]:
            records = records.concatenate(other)
        return records if self.readable is None else records.take(self.readable[shard])


def _always(value):
    return tf.data.Dataset.from_tensors(value).repeat()


def _is_chosen(path, number, fraction):
    """Whether a record is among the `fraction` to train on. bool scalar."""
    name = tf.strings.split(path, "/")[-1]
    draw = tf.strings.to_hash_bucket_fast(tf.strings.join([name, ":", tf.strings.as_string(number)]), 1_000_000)
    return draw < round(fraction * 1_000_000)


def _with_place(training, share, *rows):
    """The fields of a batch, or of one worker's share of it, after (position after the batch, epoch of its first record),
    an empty tuple where nothing trains."""
    if training:
        rows, (groups, used) = rows
        place = tf.concat([groups[-1], used[-1:]], axis=0), groups[0, 0]
    else:
        place = ()
    return (place, *(rows if share is None else _rows_of(share, rows)))
