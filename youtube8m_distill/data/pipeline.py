"""Files to batches: in one fixed order, with nothing left out unsaid."""

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data import parsing

# Unparsed frame-level records take 0.2 MB each, so this is a few hundred MB.
SHUFFLE_BUFFER = 1024


def make_dataset(shards, features, num_classes, views, batch_size, *, training, seed=0, num_epochs=1, first_epoch=0,
                 skip_records=0, num_readers=8, shuffle_buffer=SHUFFLE_BUFFER, with_ids=None, train_fraction=1.0):
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
    Returns:
        tf.data.Dataset of dicts as `schema` describes them.
    Raises:
        ValueError: if views are given for video-level records, or none for frame-level ones.
        While iterating: what `bad_records.naming_bad_records` turns into a BadRecordError.
    """
    parse = parsing.build_parser(features, num_classes, views, seed)
    with_ids = not training if with_ids is None else with_ids

    def example(*fields):
        record = parsing.Record(*fields)
        parsed = parse(record)
        if not with_ids:
            del parsed[schema.VIDEO_ID]
        return parsed | {schema.EPOCH: tf.cast(record.epoch, tf.int32)} if training else parsed

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max if num_epochs is None else num_epochs)
    if training:
        records = epochs.flat_map(lambda epoch: _shuffled_records(shards, seed, epoch, num_readers, shuffle_buffer,
                                                                train_fraction))
    else:
        records = epochs.flat_map(lambda epoch: _records_in_order(shards))
    # Skipped before parsing: what was trained on already need not be decoded again.
    dataset = records.skip(skip_records).map(example, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size, drop_remainder=training).prefetch(tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options)


def _records_in_order(shards):
    """Record fields of all files one after the other. Epoch 0 throughout: evaluation always draws the same frames."""
    files = tf.data.Dataset.from_tensor_slices(_columns(shards))
    compressions = _compressions(shards)
    return files.flat_map(lambda path, packed: _records_of(path, packed, compressions, tf.constant(0, tf.int64)))


def _shuffled_records(shards, seed, epoch, num_readers, shuffle_buffer, fraction):
    """Record fields of one epoch, in an order that depends on nothing but the arguments.

    Runs inside a `flat_map`, as a graph of its own.
    """
    # `shuffle` mixes its seed with the global one, which it takes from this graph: fixed here, or a program that calls
    # tf.random.set_seed (as keras.utils.set_random_seed does) would change the order. Not 0, beside which `shuffle`
    # takes Python numbers only.
    tf.random.set_seed(1)
    draw = parsing.epoch_seed(seed, epoch)
    order = tf.random.experimental.stateless_shuffle(tf.range(len(shards)), tf.stack([draw, 0]))
    compressions = _compressions(shards)
    files = tf.data.Dataset.from_tensor_slices(tuple(tf.gather(column, order) for column in _columns(shards)))
    readers = min(num_readers, len(shards))
    records = files.interleave(lambda path, packed: _records_of(path, packed, compressions, epoch),
                               cycle_length=readers, num_parallel_calls=readers, deterministic=True)
    if fraction < 1.0:
        records = records.filter(lambda serialized, path, number, epoch: _is_chosen(path, number, fraction))
    return records.shuffle(shuffle_buffer, seed=draw, reshuffle_each_iteration=False)


def _is_chosen(path, number, fraction):
    """Whether a record is among the `fraction` to train on. bool scalar."""
    name = tf.strings.split(path, "/")[-1]
    draw = tf.strings.to_hash_bucket_fast(tf.strings.join([name, ":", tf.strings.as_string(number)]), 1_000_000)
    return draw < round(fraction * 1_000_000)


def _columns(shards):
    return tf.constant([shard.path for shard in shards]), tf.constant([shard.compression for shard in shards])


def _compressions(shards):
    return sorted({shard.compression for shard in shards})


def _records_of(path, packed, compressions, epoch):
    """The fields of parsing.Record for each record of one file.

    Args:
        path, packed: string scalars, the file and its compression.
        compressions: list of str, those that occur. TFRecordDataset wants its own as a Python string, so there is one
            dataset for each, and all but the file's own have nothing to read.
    """
    datasets = [tf.data.TFRecordDataset(tf.boolean_mask([path], [tf.equal(packed, compression)]), compression)
                for compression in compressions]
    records = datasets[0]
    for other in datasets[1:]:
        records = records.concatenate(other)
    return records.enumerate().map(lambda number, serialized: (serialized, path, number, epoch))
