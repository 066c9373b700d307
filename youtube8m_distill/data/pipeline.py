"""Files to batches: in one fixed order, with nothing left out unsaid."""

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data import draws, parsing, stored_targets

# Unparsed frame-level records take 0.2 MB each, so this is a few hundred MB.
SHUFFLE_BUFFER = 1024


def make_dataset(shards, features, num_classes, views, batch_size, *, training, seed=0, num_epochs=1, first_epoch=0,
                 skip_records=0, num_readers=8, shuffle_buffer=SHUFFLE_BUFFER, with_ids=None, train_fraction=1.0,
                 share=None, targets=None, target_size=None):
    """Batches of parsed videos.

    In training the order is a function of (seed, epoch, the files, num_readers, shuffle_buffer) and of nothing else:
    files are shuffled for each epoch, `num_readers` of them are read in turn, and unparsed records pass a shuffle
    buffer. Epochs follow one another before batching, so that a batch may hold the end of one and the beginning of the
    next, and only the last incomplete batch of all is left out; a set smaller than a batch gives none, which the
    caller tells by `sources.count_records(shards, at_most=batch_size)`.
    At evaluation records come in file order, and none is left out: the last batch may be short.

    Args:
        shards: tuple of sources.Shard.
        features: config.FeatureConfig.
        num_classes: int.
        views: which frames each network sees: config.FrameConfig, or {role: FrameConfig} for batches nested by role;
            None for video-level features.
        batch_size: int, over all replicas.
        training: bool, see above.
        seed: int, of the order and of `random` frames.
        num_epochs: int, the epoch before which to end; None never ends.
        first_epoch, skip_records: start in this epoch, after so many of its records (and, beyond its end, of those of
            the next). What comes is what the whole run gives from there on. Skipped records are read, not parsed.
        num_readers: int, files read at a time in training.
        shuffle_buffer: int, in records.
        train_fraction: float above 0, at most 1: the share of the records to train on. Which ones follows from their
            file's name and number alone, so a smaller share is part of a larger one.
        with_ids: bool, whether batches hold `video_id`; by default where nothing trains.
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
        targets = stored_targets.count(targets, shards, target_size)
    parse = parsing.build_parser(features, num_classes, views, seed)
    with_ids = not training if with_ids is None else with_ids

    def example(first_epoch, serialized, path, number, epoch, *target):
        parsed = parse(parsing.Records(serialized, path, number, epoch))
        if not with_ids:
            del parsed[schema.VIDEO_ID]
        if training:
            # With a share, of the first record of the whole batch: every worker must see an epoch end at the same step.
            parsed[schema.EPOCH] = tf.cast(epoch if share is None else tf.fill(tf.shape(epoch), first_epoch), tf.int32)
        if target:
            parsed[schema.TARGETS] = stored_targets.decode(*target, number, target_size)
        return parsed

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max if num_epochs is None else num_epochs)
    if training:
        records = epochs.flat_map(lambda epoch: _shuffled_records(shards, targets, seed, epoch, num_readers,
                                                                shuffle_buffer, train_fraction))
    else:
        records = epochs.flat_map(lambda epoch: _records_in_order(shards, targets))
    # Skipped before parsing: what was trained on already need not be decoded again. Batched before parsing, too: a
    # whole batch is read by few operations, and nothing that they give is copied again.
    batches = records.skip(skip_records).batch(batch_size, drop_remainder=training)
    batches = batches.map(lambda *fields: (fields[3][0], *(fields if share is None else _rows_of(share, fields))))
    # AutoGraph has nothing to convert here, and takes its time to find out.
    example = tf.autograph.experimental.do_not_convert(example)
    dataset = batches.map(example, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options)


def _check_share(share, batch_size):
    if share is None:
        return
    index, count = share
    if not 0 <= index < count:
        raise ValueError(f"share={share}: the index must lie in 0 .. {count - 1}.")
    if batch_size % count:
        raise ValueError(f"batch_size={batch_size} with share={share}: {count} workers cannot have equal shares of a "
                         f"batch; choose a multiple of {count}.")


def _rows_of(share, fields):
    """The rows of one worker, of each field of a batch."""
    index, count = share
    size = tf.shape(fields[0])[0]
    rows = tuple(field[size * index // count:size * (index + 1) // count] for field in fields)
    whole = fields[0].shape[0]
    return tuple(tf.ensure_shape(field, [whole and whole // count]) for field in rows)


def _records_in_order(shards, targets):
    """Record fields of all files one after the other. Epoch 0 throughout: evaluation always draws the same frames."""
    compressions, epoch = _compressions(shards), tf.constant(0, tf.int64)
    files = tf.data.Dataset.from_tensor_slices(_columns(shards, targets))
    return files.flat_map(lambda *file: _records_of(compressions, epoch, *file))


def _shuffled_records(shards, targets, seed, epoch, num_readers, shuffle_buffer, fraction):
    """Record fields of one epoch, in an order that depends on nothing but the arguments.

    Runs inside a `flat_map`, as a graph of its own.
    """
    # `shuffle` mixes its seed with the global one, which it takes from this graph: fixed here, or a program that calls
    # tf.random.set_seed (as keras.utils.set_random_seed does) would change the order. Not 0, beside which `shuffle`
    # takes Python numbers only.
    tf.random.set_seed(1)
    draw = draws.epoch_seed(seed, epoch)
    order = tf.random.experimental.stateless_shuffle(tf.range(len(shards)), tf.stack([draw, 0]))
    compressions = _compressions(shards)
    files = tf.data.Dataset.from_tensor_slices(tuple(tf.gather(column, order) for column in _columns(shards, targets)))
    readers = min(num_readers, len(shards))
    records = files.interleave(lambda *file: _records_of(compressions, epoch, *file),
                               cycle_length=readers, num_parallel_calls=readers, deterministic=True)
    if fraction < 1.0:
        records = records.filter(lambda serialized, path, number, *_: _is_chosen(path, number, fraction))
    return records.shuffle(shuffle_buffer, seed=draw, reshuffle_each_iteration=False)


def _is_chosen(path, number, fraction):
    """Whether a record is among the `fraction` to train on. bool scalar."""
    name = tf.strings.split(path, "/")[-1]
    draw = tf.strings.to_hash_bucket_fast(tf.strings.join([name, ":", tf.strings.as_string(number)]), 1_000_000)
    return draw < round(fraction * 1_000_000)


def _columns(shards, targets):
    """For each file: its path, its compression and, if there are any, the file of its targets and how many those are."""
    columns = [[shard.path for shard in shards], [shard.compression for shard in shards]]
    if targets is not None:
        columns += zip(*targets)
    return tuple(map(tf.constant, columns))


def _compressions(shards):
    return sorted({shard.compression for shard in shards})


def _records_of(compressions, epoch, path, packed, targets_path=None, num_targets=None):
    """The fields of each record of one file: those of parsing.Records; if it has targets, also these and their file.

    Joined by `zip` alone: a function of ours called for every single record would cost as much as reading it.

    Args:
        compressions: list of str, those that occur.
        epoch: int64 scalar.
        path, packed, targets_path: string scalars, the file, its compression and the file of its targets.
        num_targets: int32 scalar, how many records that one holds.
    """
    def serialized(**options):
        return _serialized(compressions, path, packed, **options)

    numbers = tf.data.Dataset.range(tf.int64.max)
    fields = [serialized(), _always(path), numbers, _always(epoch)]
    if targets_path is not None:
        # The headers of the records alone, when the file is opened: nothing is kept that was read ahead.
        stored_targets.require_as_many(serialized(buffer_size=0), path, targets_path, num_targets)
        fields += [tf.data.TFRecordDataset(targets_path), _always(targets_path)]
    return tf.data.Dataset.zip(tuple(fields))


def _always(value):
    return tf.data.Dataset.from_tensors(value).repeat()


def _serialized(compressions, path, packed, **options):
    """The records of one file. TFRecordDataset wants the compression as a Python string, so there is one dataset for
    each that occurs, and all but the file's own have nothing to read."""
    datasets = [tf.data.TFRecordDataset(tf.boolean_mask([path], [tf.equal(packed, compression)]), compression, **options)
                for compression in compressions]
    records = datasets[0]
    for other in datasets[1:]:
        records = records.concatenate(other)
    return records
