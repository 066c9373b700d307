"""Serialized records -> a batch of tensors, all records of the batch at once.

Formats: REFERENCE of the field, `tf.train.SequenceExample` for frame-level files and `tf.train.Example` for video-level
ones. Batches whose records are all as the official files have them, without a fault, are read by a few operations on the
whole batch (frames by `frame_blocks`); every other batch goes through `record_parsing`, record by record, which reads
whatever the format allows or says which record is wrong and how. Both give the same.
"""

import functools
import typing

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data import bad_records, frame_selection, seeds
from youtube8m_distill.data.parsing import record, wire
from youtube8m_distill.errors import SettingError


class Records(typing.NamedTuple):
    """Records not yet parsed, with where they came from."""

    serialized: tf.Tensor           # string [B]
    path: tf.Tensor                 # string [B]
    number: tf.Tensor               # int64 [B], places in their files, from 0
    epoch: tf.Tensor                # int64 [B]


def build_parser(features, num_classes, views, seed=0):
    """The function that parses the records of a batch.

    Args:
        features: config.FeatureConfig.
        num_classes: int. Labels must lie in 0 .. num_classes - 1.
        views: config.FrameView, or {role: FrameView}, for frame-level records; None for video-level ones.
        seed: int. `random` frames are a function of (seed, epoch, video id).
    Returns:
        function Records -> dict with `video_id` (string [B]), `labels` (uint8 [B, num_classes], multi-hot) and
        - frame level: `frames` ([B, T, size], uint8 or float32 as stored), `num_frames` (int32 [B]) and
          `frame_indices` (int32 [B, T], -1 in padding), T being the view's max_frames; under each role if roles are
          given; and `num_stored_frames` (int32 [B]), how many the record holds, which may be more than are ever read;
        - video level: `features` (float32 [B, size]).
        It raises what `bad_records.naming_bad_records` reads: no id, an empty one or one with a zero byte, no
        frames, frames or features of another size or type, features with different numbers of frames, numbers that are not
        finite, labels out of range or listed twice.
    Raises:
        ValueError: if views are given for video-level records, or none for frame-level ones.
    """
    if features.frame_features != (views is not None):
        raise SettingError("views", f"with frame_features={features.frame_features}: frame-level records need the "
                         "frames each network sees, video-level ones have none.", views)
    roles = tuple(views.items()) if isinstance(views, dict) else None
    parse_batch = _batch_parser(features, num_classes, roles or views, seed)
    structure = _structure(features, num_classes, views)

    def parse(records):
        batch_size = records.serialized.shape
        return tf.nest.map_structure(lambda values, spec: tf.ensure_shape(values, batch_size + spec.shape),
                                     parse_batch(*records), structure)

    return parse


@functools.lru_cache(maxsize=16)
def _batch_parser(features, num_classes, views, seed):
    """The parser as a tf.function of the fields of Records: traced once, as that takes as long as a small file's reading.

    `views` by role come as a tuple of (role, FrameView), which can be looked up.
    """
    views = dict(views) if isinstance(views, tuple) else views
    parse_record = record.build_record_parser(features, num_classes, views, seed)
    structure = _structure(features, num_classes, views)

    def one_by_one(records):
        # In turn, so that of several bad records the first is told.
        return tf.map_fn(lambda fields: parse_record(record.Record(*fields)), tuple(records),
                         parallel_iterations=1, fn_output_signature=structure)

    def parse_batch(*fields):
        records = Records(*fields)
        if features.dtype == "float32" and features.frame_features:
            return one_by_one(records)
        read = _read_frames if features.frame_features else _read_means
        ordinary, at_once = read(records, features, num_classes, views, seed)
        return tf.cond(ordinary, at_once, lambda: one_by_one(records))

    signature = [tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.string, tf.int64, tf.int64)]
    return tf.function(parse_batch, input_signature=signature, autograph=False)


def _structure(features, num_classes, views):
    """The dict that one record becomes, of tf.TensorSpec."""
    def view_of(view):
        return {schema.FRAMES: tf.TensorSpec([view.max_frames, features.size], features.dtype),
                schema.NUM_FRAMES: tf.TensorSpec([], tf.int32),
                schema.FRAME_INDICES: tf.TensorSpec([view.max_frames], tf.int32)}

    example = {schema.VIDEO_ID: tf.TensorSpec([], tf.string), schema.LABELS: tf.TensorSpec([num_classes], tf.uint8)}
    if not features.frame_features:
        return example | {schema.FEATURES: tf.TensorSpec([features.size], tf.float32)}
    return example | {schema.NUM_STORED_FRAMES: tf.TensorSpec([], tf.int32)} | _of_views(views, view_of)


def _of_views(views, view_of):
    """What `view_of` makes of each network's view, under its role if roles are given."""
    return {role: view_of(view) for role, view in views.items()} if isinstance(views, dict) else view_of(views)


def _each(views):
    return views.values() if isinstance(views, dict) else [views]


def _beginning(view):
    """How many of a video's first frames are all that a network sees; 0 if it sees others."""
    return view.max_frames if view.frame_selection in ("all", "first") else 0


def _read_frames(records, features, num_classes, views, seed):
    """Whether all records are as they should be, and the function that then makes the batch. (bool scalar, function)"""
    blocks = wire.locate(records.serialized, features, beginning=max(map(_beginning, _each(views))))
    stored = _read_context(blocks.context, records, {})
    ordinary = tf.reduce_all(blocks.official) & _are_described(stored, num_classes)
    num_frames = tf.minimum(blocks.num_frames, schema.MAX_FRAMES)

    def at_once():
        example = _description(stored, num_classes) | {schema.NUM_STORED_FRAMES: blocks.num_frames}
        draw = seeds.frame_seeds(example[schema.VIDEO_ID], seed, records.epoch)

        def view_of(view):
            indices = frame_selection.select(view, num_frames, draw)
            count = tf.math.count_nonzero(indices >= 0, axis=1, dtype=tf.int32)
            if _beginning(view):
                frames = blocks.beginning[:, :view.max_frames]
            else:
                frames = wire.cut(records.serialized, blocks, indices, features)
            return {schema.FRAMES: frames, schema.NUM_FRAMES: count, schema.FRAME_INDICES: indices}

        return example | _of_views(views, view_of)

    return ordinary, at_once


def _read_means(records, features, num_classes, *_):
    """The same for video-level records."""
    # An Example is a SequenceExample without frames, byte for byte; and unlike `parse_example` this parser names the
    # record in every complaint.
    stored = _read_context(records.serialized, records,
                           dict.fromkeys(features.names, tf.io.RaggedFeature(tf.float32)))
    sizes = tf.stack([stored[name].row_lengths() for name in features.names], axis=1)       # [B, features]
    ordinary = _are_described(stored, num_classes) & tf.reduce_all(tf.equal(sizes, features.sizes))
    for name in features.names:
        ordinary &= tf.reduce_all(tf.math.is_finite(stored[name].values))

    def at_once():
        means = [tf.reshape(stored[name].values, [-1, size]) for name, size in zip(features.names, features.sizes)]
        return _description(stored, num_classes) | {schema.FEATURES: tf.concat(means, axis=1)}

    return ordinary, at_once


def _read_context(serialized, records, features):
    """{name: RaggedTensor [B, values]} of ids, labels and the given tf.io features."""
    context = dict.fromkeys(schema.ID_KEYS, tf.io.RaggedFeature(tf.string))
    context[schema.LABELS_KEY] = tf.io.RaggedFeature(tf.int64)
    names = bad_records.record_name(records.path, records.number)
    return tf.io.parse_sequence_example(serialized, context | features, example_names=names)[0]


def _ids(stored):
    """RaggedTensor [B, ids]: from either name, as `record_parsing` takes them."""
    return tf.concat([stored[key] for key in schema.ID_KEYS], axis=1)


def _are_described(stored, num_classes):
    """Whether all records have an id, and only labels that exist, each once. bool scalar."""
    labels = stored[schema.LABELS_KEY]
    exist = (labels.values >= 0) & (labels.values < num_classes)
    # A number for each label of each record: those of two records are alike only where some label does not exist.
    different, _ = tf.unique(tf.cast(labels.value_rowids(), tf.int64) * num_classes + labels.values)
    ids = _ids(stored)
    first = ids[:, :1].flat_values
    has_id = tf.reduce_all(ids.row_lengths() > 0) & tf.reduce_all(tf.strings.length(first) > 0)
    return (has_id & tf.reduce_all(record.without_zero_bytes(first)) & tf.reduce_all(exist)
            & tf.equal(tf.size(different), tf.size(labels.values)))


def _description(stored, num_classes):
    """Ids and multi-hot labels of a batch."""
    labels = stored[schema.LABELS_KEY]
    places = tf.stack([tf.cast(labels.value_rowids(), tf.int64), labels.values], axis=1)      # [labels, 2]
    hot = tf.zeros([labels.nrows(), num_classes], tf.uint8)
    return {schema.VIDEO_ID: _ids(stored)[:, :1].flat_values,
            schema.LABELS: tf.tensor_scatter_nd_update(hot, places, tf.ones_like(labels.values, tf.uint8))}
