"""Parses serialized records to a batch of tensors, all records at once, and reports invalid ones (`checks`).

If every record is laid out as in the official files, frames are cut out of the bytes (`wire`). Otherwise TensorFlow parses
the batch, which reads whatever the format allows, and stored frames are converted to the network's type (`stored_frames`).
Both give the same tensors.
"""

import dataclasses
import functools
import typing

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config import FeatureConfig, FrameView
from youtube8m_distill.data import bad_records, frame_selection, seeds
from youtube8m_distill.data.parsing import checks, stored_frames, wire
from youtube8m_distill.data.parsing.layout import Layout, official_layout
from youtube8m_distill.settings import require

# Batches whose longest video has at most so many frames are cut to this length, so that short videos cost little. Few
# lengths, because each is compiled on its own.
SHORT_LENGTHS = (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120)


class Records(typing.NamedTuple):
    """Serialized records and where they came from."""

    serialized: tf.Tensor  # string [B]
    path: tf.Tensor  # string [B]
    number: tf.Tensor  # int64 [B], places in their files, from 0
    epoch: tf.Tensor  # int64 [B]


@dataclasses.dataclass(frozen=True)
class VideoParser:
    """Parses the records of a batch, for every role at once.

    Calling it with Records returns a dict as `schema` describes it, with `video_id`, `labels` and `notes`, one dict per role
    and, at frame level, `stored_frames`. It raises errors for `bad_records.naming_bad_records`: no id, an empty id or one
    with a zero byte, no frames, frames or features of another size or type, features with different numbers of frames,
    numbers that are not finite, labels out of range or duplicate labels. In a batch, ids and labels of all records are
    checked before frames.

    Args:
        features: the same for all roles.
        num_classes: labels must be in 0 .. num_classes - 1.
        views: role -> which frames it sees; None instead of a view for video-level features.
        seed: `random` and jittered frames are a function of (seed, epoch, video id).
        layout: how the files store the features, from `contents.find_layout`; None for official files.
        with_labels: whether to read labels; without them, invalid ones do not matter.
        trim: whether rows that are padding in all videos of a batch are left out, down to one of SHORT_LENGTHS. The length
            of a batch is then unknown before it is read.
        jittered: roles that see a random frame of each span instead of a fixed one, if their views have spans.
        portable: whether the graph of a call works in another process, as a part of a SavedModel. Labels are then not read.
    Raises:
        SettingError: if views are given for video-level records, or none for frame-level ones.
    """

    features: FeatureConfig
    num_classes: int
    views: typing.Mapping[str, FrameView | None]
    seed: int = 0
    layout: Layout | None = None
    with_labels: bool = True
    trim: bool = False
    jittered: tuple[str, ...] = ()
    portable: bool = False

    def __post_init__(self):
        require(self.views, "views", "name at least one role, as in {'teacher': FrameView()}.", self.views)
        for role, view in self.views.items():
            reason = (
                f"{role} has {view} with frame_features={self.features.frame_features}. Frame-level records need a "
                "FrameView for each role, video-level records take None."
            )
            require(self.features.frame_features == (view is not None), "views", reason)
        require(not (self.portable and self.with_labels), "with_labels", "must be false with portable=True.", True)

    def __call__(self, records: Records) -> dict[str, typing.Any]:
        views: typing.Any = tuple(self.views.items())
        layout = self.layout or official_layout(self.features)
        options = self.num_classes, views, layout, self.with_labels, self.trim, self.jittered, self.portable
        parse_batch = _batch_parser(typing.cast(typing.Hashable, self.features), *options)
        parsed = parse_batch(*records, tf.constant(self.seed, tf.int64))
        num_records = records.serialized.shape
        return tf.nest.map_structure(lambda values: tf.ensure_shape(values, num_records + values.shape[1:]), parsed)


@functools.lru_cache(maxsize=16)
def _batch_parser(features, num_classes, views, layout, with_labels, trim, jittered, portable):
    """The parser as a tf.function of the fields of Records and the seed. Cached, because tracing takes seconds.

    `views` are a hashable tuple of (role, view).
    """
    classes = num_classes if with_labels else None
    require_valid = functools.partial(bad_records.require, portable=portable)
    of_frames = functools.partial(_parse_frames, layout=layout, trim=trim, jittered=jittered)
    parse = of_frames if features.frame_features else _parse_means
    fields = [tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.string, tf.int64, tf.int64)]
    return tf.function(
        lambda *given: parse(
            Records(*given[:-1]),
            features,
            dict(views),
            given[-1],
            checks.Labels(layout.label_key, classes, layout.rated_key),
            require_valid,
        ),
        input_signature=[*fields, tf.TensorSpec([], tf.int64)],
        autograph=False,
    )


def _parse_means(records, features, views, _, labels, require_valid):
    names = bad_records.record_name(records.path, records.number)
    # An Example is a SequenceExample without frames, byte for byte, and unlike `parse_example` this parser names the
    # record in every error.
    wanted = labels.context_features() | dict.fromkeys(features.names, tf.io.RaggedFeature(tf.float32))
    stored, *_ = tf.io.parse_sequence_example(labels.as_integers(records.serialized), wanted, example_names=names)
    context = checks.read_context(stored, labels, records.path, records.number)

    def find_checks(context, stored):
        return checks.of_context(context, labels) + checks.of_means(stored, features)

    with tf.control_dependencies([require_valid(names, find_checks, context, stored)]):
        means = [tf.reshape(stored[name].values, [-1, size]) for name, size in zip(features.names, features.sizes)]
        seen = {schema.FEATURES: tf.concat(means, axis=1)}
    return context.describe() | {schema.NOTED: _notes(context)} | {role: seen for role in views}


def _parse_frames(records, features, views, seed, labels, require_valid, layout, trim, jittered):
    names = bad_records.record_name(records.path, records.number)
    blocks: typing.Any = None
    beginnings, longest = records.serialized, min(view.max_video_frames for view in views.values())
    if features.dtype == "uint8" and set(layout.kinds) == {"bytes"}:
        in_file = features.replace(names=layout.keys)
        beginning = max(map(_beginning, views.values()))
        blocks = wire.locate(records.serialized, in_file, beginning, _short_length if trim else None)
        beginnings = tf.where(blocks.official, blocks.context, records.serialized)
    wanted = labels.context_features() | {schema.KEPT_FRAMES_KEY: tf.io.RaggedFeature(tf.int64)}
    stored, *_ = tf.io.parse_sequence_example(labels.as_integers(beginnings), wanted, example_names=names)
    context, kept = checks.read_context(stored, labels, records.path, records.number), stored[schema.KEPT_FRAMES_KEY]
    # The record of a segment is that of its video, so the segment is named, too.
    sources = tf.strings.join([names, ": segment ", context.first_ids]) if labels.rated_key else names

    def official():
        def frames_of(view, indices):
            if _beginning(view):
                return blocks.beginning[:, : view.max_frames]
            return wire.cut(records.serialized, blocks, indices, features)

        return batch_of(blocks.stored_frames, frames_of, _notes(context, blocks.stored_frames > longest))

    def any_layout():
        lists = stored_frames.parse(records.serialized, layout, names)
        find_checks = functools.partial(checks.of_frames, features=features, layout=layout)
        with tf.control_dependencies([require_valid(sources, find_checks, lists)]):
            lengths = stored_frames.lengths(lists, layout)
            notes = _notes(context, lengths.frames > longest, lengths.trimmed, lengths.filled)
            clipped = {}

            def frames_of(view, indices):
                frames, share = stored_frames.gather(lists, indices, features, layout)
                clipped.setdefault("share", share)
                return frames

            batch = batch_of(lengths.frames, frames_of, notes)
            if clipped["share"] is not None:  # of the first role's frames
                batch[schema.NOTED] = tf.concat([notes[:, :-1], clipped["share"][:, None]], axis=1)
            return batch

    def batch_of(stored_frames, frames_of, notes):
        """What a batch holds about frames, with a function (view, indices [B, T]) -> frames [B, T, size]."""
        batch = {schema.STORED_FRAMES: stored_frames, schema.NOTED: notes}
        draw = seeds.frame_seeds(context.first_ids, seed, records.epoch)
        with tf.control_dependencies([require_valid(sources, checks.of_kept_frames, kept, stored_frames)]):
            for role, view in views.items():
                rows = frame_selection.select(view, stored_frames, draw, jitter=role in jittered)
                num_frames = tf.math.count_nonzero(rows >= 0, axis=1, dtype=tf.int32)
                seen = {schema.FRAMES: frames_of(view, rows), schema.NUM_FRAMES: num_frames}
                batch[role] = seen | {schema.FRAME_INDICES: _in_the_video(rows, kept)}
        return batch

    find_checks = functools.partial(checks.of_context, labels=labels)
    with tf.control_dependencies([require_valid(names, find_checks, context)]):
        batch = any_layout() if blocks is None else tf.cond(tf.reduce_all(blocks.official), official, any_layout)
        if trim:
            batch |= {role: _trimmed(batch[role], view.max_frames) for role, view in views.items()}
        return context.describe() | batch


def _in_the_video(rows, kept):
    """Which frames of the videos these rows of the records are. int32 [B, T], -1 in padding.

    `kept` are the frames that a compact record holds, RaggedTensor, int64 [B, values]; no value if it holds all.
    """
    is_compact = (rows >= 0) & (kept.row_lengths() > 0)[:, None]
    places = tf.where(is_compact, kept.row_starts()[:, None] + rows, 0)
    # One value more, to take if no record of the batch has any.
    return tf.where(is_compact, tf.gather(tf.cast(tf.concat([kept.values, [0]], 0), tf.int32), places), rows)


def _notes(context, is_long=None, trimmed=None, filled=None):
    """The `notes` of a batch, with nothing clipped. float32 [B, 5]."""
    nothing = tf.zeros(tf.shape(context.first_ids))
    columns = [is_long, context.has_no_labels(), trimmed, filled, None]
    return tf.stack([nothing if column is None else tf.cast(column, tf.float32) for column in columns], axis=1)


def _short_length(longest, max_length):
    """The first of SHORT_LENGTHS, or `max_length`, that holds the frames of the longest video. int32 scalars."""
    lengths = tf.constant([length for length in SHORT_LENGTHS if length < max_length] + [max_length])
    return lengths[tf.searchsorted(lengths, [longest])[0]]


def _trimmed(seen, max_length):
    """What one role sees, without the rows after the shortest length that holds all real frames."""
    length = _short_length(tf.reduce_max(seen[schema.NUM_FRAMES]), max_length)
    return seen | {name: seen[name][:, :length] for name in (schema.FRAMES, schema.FRAME_INDICES)}


def _beginning(view):
    """The number of first frames that a role sees, if it sees no others; otherwise 0."""
    return view.max_frames if view.frame_selection in ("all", "first") else 0
