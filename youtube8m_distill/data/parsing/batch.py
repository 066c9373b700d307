"""Parses serialized records to a batch of tensors, all records at once, and reports invalid ones (`checks`).

If every record is laid out as in the official files, frames are cut out of the bytes (`wire`). Otherwise TensorFlow parses
the batch, which reads whatever the format allows. Both give the same tensors.
"""

import dataclasses
import functools
import typing

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config import FeatureConfig, FrameView
from youtube8m_distill.data import bad_records, frame_selection, seeds
from youtube8m_distill.data.parsing import checks, wire
from youtube8m_distill.settings import require

CONTEXT = {**dict.fromkeys(schema.ID_KEYS, tf.io.RaggedFeature(tf.string)), schema.LABELS_KEY: tf.io.RaggedFeature(tf.int64)}


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
    frame level, `stored_frames`. It raises errors for `bad_records.naming_bad_records`: no id, an empty id or one with a
    zero byte, no frames, frames or features of another size or type, features with different numbers of frames, numbers
    that are not finite, labels out of range or duplicate labels. In a batch, ids and labels of all records are checked
    before frames.

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
        parse_batch = _batch_parser(typing.cast(typing.Hashable, self.features), self.num_classes, views)
        parsed = parse_batch(*records, tf.constant(self.seed, tf.int64))
        num_records = records.serialized.shape
        return tf.nest.map_structure(lambda values: tf.ensure_shape(values, num_records + values.shape[1:]), parsed)


@functools.lru_cache(maxsize=16)
def _batch_parser(features, num_classes, views):
    """The parser as a tf.function of the fields of Records and the seed. Cached, because tracing takes seconds.

    `views` are a hashable tuple of (role, view).
    """
    parse = _parse_frames if features.frame_features else _parse_means
    fields = [tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.string, tf.int64, tf.int64)]
    return tf.function(
        lambda *given: parse(Records(*given[:-1]), features, num_classes, dict(views), given[-1]),
        input_signature=[*fields, tf.TensorSpec([], tf.int64)],
        autograph=False,
    )


def _parse_means(records, features, num_classes, views, _):
    names = bad_records.record_name(records.path, records.number)
    # An Example is a SequenceExample without frames, byte for byte, and unlike `parse_example` this parser names the
    # record in every error.
    wanted = CONTEXT | dict.fromkeys(features.names, tf.io.RaggedFeature(tf.float32))
    stored, *_ = tf.io.parse_sequence_example(records.serialized, wanted, example_names=names)
    context = checks.read_context(stored, num_classes)

    def find_checks(context, stored):
        return checks.of_context(context, num_classes) + checks.of_means(stored, features)

    with tf.control_dependencies([bad_records.require(names, find_checks, context, stored)]):
        means = [tf.reshape(stored[name].values, [-1, size]) for name, size in zip(features.names, features.sizes)]
        seen = {schema.FEATURES: tf.concat(means, axis=1)}
    return context.describe() | {role: seen for role in views}


def _parse_frames(records, features, num_classes, views, seed):
    names, beginnings = bad_records.record_name(records.path, records.number), records.serialized
    blocks: typing.Any = None
    if features.dtype == "uint8":
        blocks = wire.locate(records.serialized, features, beginning=max(map(_beginning, views.values())))
        beginnings = tf.where(blocks.official, blocks.context, records.serialized)
    stored, *_ = tf.io.parse_sequence_example(beginnings, CONTEXT, example_names=names)
    context = checks.read_context(stored, num_classes)

    def official():
        def frames_of(view, indices):
            if _beginning(view):
                return blocks.beginning[:, : view.max_frames]
            return wire.cut(records.serialized, blocks, indices, features)

        return batch_of(blocks.stored_frames, frames_of)

    def any_layout():
        kind = tf.string if features.dtype == "uint8" else tf.float32
        lists = dict.fromkeys(features.names, tf.io.RaggedFeature(kind))
        _, stored, _ = tf.io.parse_sequence_example(records.serialized, None, lists, example_names=names)
        stored_frames = stored[features.names[0]].row_lengths()
        find_checks = functools.partial(checks.of_frames, features=features)
        with tf.control_dependencies([bad_records.require(names, find_checks, stored)]):
            return batch_of(stored_frames, lambda view, indices: _gather(stored, indices, features))

    def batch_of(stored_frames, frames_of):
        """What a batch holds about frames, with a function (view, indices [B, T]) -> frames [B, T, size]."""
        batch = {schema.STORED_FRAMES: stored_frames}
        draw = seeds.frame_seeds(context.first_ids, seed, records.epoch)
        for role, view in views.items():
            indices = frame_selection.select(view, tf.minimum(stored_frames, schema.MAX_FRAMES), draw)
            num_frames = tf.math.count_nonzero(indices >= 0, axis=1, dtype=tf.int32)
            frames = frames_of(view, indices)
            batch[role] = {schema.FRAMES: frames, schema.NUM_FRAMES: num_frames, schema.FRAME_INDICES: indices}
        return batch

    find_checks = functools.partial(checks.of_context, num_classes=num_classes)
    with tf.control_dependencies([bad_records.require(names, find_checks, context)]):
        batch = any_layout() if blocks is None else tf.cond(tf.reduce_all(blocks.official), official, any_layout)
        return context.describe() | batch


def _beginning(view):
    """The number of first frames that a role sees, if it sees no others; otherwise 0."""
    return view.max_frames if view.frame_selection in ("all", "first") else 0


def _gather(stored, indices, features):
    """The frames at `indices`, int [B, T], -1 for padding, of checked features, RaggedTensors [B, frames, values]."""
    exists, parts = indices >= 0, []
    for name, size in zip(features.names, features.sizes):
        values = stored[name].flat_values  # string [all frames], or float32 [all frames * size]
        places = tf.where(exists, stored[name].row_starts()[:, None] + indices, 0)
        if features.dtype == "uint8":
            parts.append(tf.io.decode_raw(tf.gather(values, places), tf.uint8, fixed_length=size))
        else:
            parts.append(tf.gather(tf.reshape(values, [-1, size]), places))
    frames = tf.concat(parts, axis=2)
    return tf.where(exists[:, :, None], frames, tf.zeros([], frames.dtype))
