"""Parses serialized records to a batch of tensors, all records of the batch at once.

Frame-level files hold `tf.train.SequenceExample`s, video-level files `tf.train.Example`s. A batch in which every record is
valid and laid out as in the official files is read by a few operations on the whole batch (`wire`). Any other batch goes
through `record`, one record at a time, which reads whatever the format allows and reports invalid records. Both give the
same tensors.
"""

import dataclasses
import functools
import typing

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config import FeatureConfig, FrameView
from youtube8m_distill.data import bad_records, frame_selection, seeds
from youtube8m_distill.data.parsing import record, wire
from youtube8m_distill.settings import require


class Records(typing.NamedTuple):
    """Serialized records and where they came from."""

    serialized: tf.Tensor  # string [B]
    path: tf.Tensor  # string [B]
    number: tf.Tensor  # int64 [B], places in their files, from 0
    epoch: tf.Tensor  # int64 [B]


@dataclasses.dataclass(frozen=True)
class VideoParser:
    """Parses the records of a batch, for every role at once.

    Calling it with Records returns a dict as `schema` describes it, with `video_id` and `labels`, one dict per role and, at
    frame level, `stored_frames`. Invalid records raise as in `record.build_record_parser`.

    Args:
        features: the same for all roles.
        num_classes: labels must be in 0 .. num_classes - 1.
        views: role -> which frames it sees; None instead of a view for video-level features.
        seed: `random` frames are a function of (seed, epoch, video id).
    Raises:
        SettingError: if views are given for video-level records, or none for frame-level ones.
    """

    features: FeatureConfig
    num_classes: int
    views: typing.Mapping[str, FrameView | None]
    seed: int = 0

    def __post_init__(self):
        require(self.views, "views", "name at least one role, as in {'teacher': FrameView()}.", self.views)
        for role, view in self.views.items():
            reason = (
                f"{role} has {view} with frame_features={self.features.frame_features}. Frame-level records need a "
                "FrameView for each role, video-level records take None."
            )
            require(self.features.frame_features == (view is not None), "views", reason)

    def __call__(self, records: Records) -> dict[str, typing.Any]:
        views: typing.Any = tuple(self.views.items())
        parse_batch = _batch_parser(typing.cast(typing.Hashable, self.features), self.num_classes, views, self.seed)
        batch_size = records.serialized.shape
        return tf.nest.map_structure(
            lambda values, spec: tf.ensure_shape(values, batch_size + spec.shape),
            parse_batch(*records),
            _structure(self.features, self.num_classes, self.views),
        )


@functools.lru_cache(maxsize=16)
def _batch_parser(features, num_classes, views, seed):
    """The parser as a tf.function of the fields of Records. Cached, because tracing takes as long as reading a small file.

    `views` are a hashable tuple of (role, view).
    """
    views = dict(views)
    parse_record = record.build_record_parser(features, num_classes, views, seed)
    structure = _structure(features, num_classes, views)
    read = _read_frames if features.frame_features else _read_means

    def one_by_one(records):
        # In order, so that of several invalid records the first is reported.
        return tf.map_fn(
            lambda fields: parse_record(*fields), tuple(records), parallel_iterations=1, fn_output_signature=structure
        )

    def parse_batch(*fields):
        records = Records(*fields)
        if features.dtype == "float32" and features.frame_features:
            return one_by_one(records)
        ordinary, at_once = read(records, features, num_classes, views, seed)
        return tf.cond(ordinary, at_once, lambda: one_by_one(records))

    signature = [tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.string, tf.int64, tf.int64)]
    return tf.function(parse_batch, input_signature=signature, autograph=False)


def _structure(features, num_classes, views):
    """The dict of one record, of tf.TensorSpec."""
    video = {schema.VIDEO_ID: tf.TensorSpec([], tf.string), schema.LABELS: tf.TensorSpec([num_classes], tf.uint8)}
    if not features.frame_features:
        return video | {role: {schema.FEATURES: tf.TensorSpec([features.size], tf.float32)} for role in views}
    seen = {
        role: {
            schema.FRAMES: tf.TensorSpec([view.max_frames, features.size], features.dtype),
            schema.NUM_FRAMES: tf.TensorSpec([], tf.int32),
            schema.FRAME_INDICES: tf.TensorSpec([view.max_frames], tf.int32),
        }
        for role, view in views.items()
    }
    return video | {schema.STORED_FRAMES: tf.TensorSpec([], tf.int32)} | seen


def _beginning(view):
    """The number of first frames that a role sees, if it sees no others; otherwise 0."""
    return view.max_frames if view.frame_selection in ("all", "first") else 0


def _read_frames(records, features, num_classes, views, seed):
    """Whether all records are ordinary (bool scalar), and a function that then returns the batch."""
    blocks = wire.locate(records.serialized, features, beginning=max(map(_beginning, views.values())))
    stored = _read_context(blocks.context, records)
    ordinary = tf.reduce_all(blocks.official) & _are_described(stored, num_classes)
    video_frames = tf.minimum(blocks.stored_frames, schema.MAX_FRAMES)

    def at_once():
        video = _description(stored, num_classes) | {schema.STORED_FRAMES: blocks.stored_frames}
        draw = seeds.frame_seeds(video[schema.VIDEO_ID], seed, records.epoch)

        def see(view):
            indices = frame_selection.select(view, video_frames, draw)
            if _beginning(view):
                frames = blocks.beginning[:, : view.max_frames]
            else:
                frames = wire.cut(records.serialized, blocks, indices, features)
            num_frames = tf.math.count_nonzero(indices >= 0, axis=1, dtype=tf.int32)
            return {schema.FRAMES: frames, schema.NUM_FRAMES: num_frames, schema.FRAME_INDICES: indices}

        return video | {role: see(view) for role, view in views.items()}

    return ordinary, at_once


def _read_means(records, features, num_classes, views, _):
    """The same for video-level records."""
    # An Example is a SequenceExample without frames, byte for byte, and unlike `parse_example` this parser names the
    # record in every error.
    stored = _read_context(records.serialized, records, dict.fromkeys(features.names, tf.io.RaggedFeature(tf.float32)))
    means = [stored[name] for name in features.names]
    ordinary = _are_described(stored, num_classes)
    for values, size in zip(means, features.sizes):
        ordinary &= tf.reduce_all(values.row_lengths() == size) & tf.reduce_all(tf.math.is_finite(values.values))

    def at_once():
        parts = [tf.reshape(values.values, [-1, size]) for values, size in zip(means, features.sizes)]
        seen = {schema.FEATURES: tf.concat(parts, axis=1)}
        return _description(stored, num_classes) | {role: seen for role in views}

    return ordinary, at_once


def _read_context(serialized, records, features=()):
    """{name: RaggedTensor [B, values]} of ids, labels and the given tf.io features."""
    names = bad_records.record_name(records.path, records.number)
    return tf.io.parse_sequence_example(serialized, record.CONTEXT | dict(features), example_names=names)[0]


def _ids(stored):
    """Ids under either name, as `record` reads them. RaggedTensor [B, ids]."""
    return tf.concat([stored[key] for key in schema.ID_KEYS], axis=1)


def _are_described(stored, num_classes):
    """Whether all records have a valid id, and valid labels without duplicates. bool scalar."""
    ids, labels = _ids(stored), stored[schema.LABELS_KEY]
    first = ids[:, :1].flat_values
    # A number for each (record, label). Two records can share one only if some label is invalid.
    different, _ = tf.unique(tf.cast(labels.value_rowids(), tf.int64) * num_classes + labels.values)
    return (
        tf.reduce_all(ids.row_lengths() > 0)
        & tf.reduce_all(tf.strings.length(first) > 0)
        & tf.reduce_all(record.without_zero_bytes(first))
        & tf.reduce_all((labels.values >= 0) & (labels.values < num_classes))
        & tf.equal(tf.size(different), tf.size(labels.values))
    )


def _description(stored, num_classes):
    """Ids and multi-hot labels of a batch."""
    labels = stored[schema.LABELS_KEY]
    places = tf.stack([tf.cast(labels.value_rowids(), tf.int64), labels.values], axis=1)  # [labels, 2]
    hot = tf.zeros([labels.nrows(), num_classes], tf.uint8)
    return {
        schema.VIDEO_ID: _ids(stored)[:, :1].flat_values,
        schema.LABELS: tf.tensor_scatter_nd_update(hot, places, tf.ones_like(labels.values, tf.uint8)),
    }
