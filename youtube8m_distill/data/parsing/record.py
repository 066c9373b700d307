"""Parses one serialized record to a dict of tensors, in every layout that the format allows, and reports invalid ones.

Frame-level files hold `tf.train.SequenceExample`s, video-level files `tf.train.Example`s. Only frames that some role sees
are decoded; the others stay strings. Everything is parsed leniently (any number of values) and checked here, so that each
fault has its own message. `batch` uses this only for batches with an unusual record.
"""

import typing

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data import bad_records, frame_selection, seeds


class Record(typing.NamedTuple):
    """A serialized record, with where it came from."""

    serialized: tf.Tensor  # string scalar
    path: tf.Tensor  # string scalar
    number: tf.Tensor  # int64 scalar, its place in the file, from 0
    epoch: tf.Tensor  # int64 scalar


def build_record_parser(features, num_classes, views, seed=0):
    """The function that parses one record.

    Args:
        features, num_classes, views, seed: as of `batch.VideoParser`.
    Returns:
        function Record -> dict like a batch, without the batch dimension. It raises errors for
        `bad_records.naming_bad_records`: no id, an empty id or one with a zero byte, no frames, frames or features of
        another size or type, features with different numbers of frames, numbers that are not finite, labels out of range or
        duplicate labels.
    """

    def parse(record):
        name = bad_records.record_name(record.path, record.number)
        context, stored = _read(record.serialized, name, features)
        labels = context[schema.LABELS_KEY]
        ids = tf.concat([context[key] for key in schema.ID_KEYS], axis=0)
        check = _check_frames if features.frame_features else _check_means
        checks = [*_check_id(ids), *check(stored, features), *_check_labels(labels, num_classes)]
        # Without this dependency the ops below could fail first, with messages of their own.
        with tf.control_dependencies([bad_records.require(name, checks)]):
            video = {schema.VIDEO_ID: ids[0], schema.LABELS: multi_hot(labels, num_classes)}
            if not features.frame_features:
                means = {schema.FEATURES: _join(stored, features)}
                return video | {role: means for role in views}
            stored_frames = tf.cast(stored[features.names[0]].nrows(), tf.int32)
            draw = seeds.frame_seeds(ids[:1], seed, record.epoch[None])
            return (
                video
                | {schema.STORED_FRAMES: stored_frames}
                | {role: _see(stored, features, view, stored_frames, draw) for role, view in views.items()}
            )

    return parse


def _read(serialized, name, features):
    """(context, {name: stored feature}): ids, labels and the requested features, with any number of values.

    A frame-level feature is a RaggedTensor [frames, values in a frame], a video-level one a tensor [values].
    """
    context = {key: tf.io.RaggedFeature(tf.string) for key in schema.ID_KEYS}
    context[schema.LABELS_KEY] = tf.io.RaggedFeature(tf.int64)
    wanted = dict.fromkeys(features.names, tf.io.RaggedFeature(tf.string if features.dtype == "uint8" else tf.float32))
    if features.frame_features:
        return tf.io.parse_single_sequence_example(serialized, context, wanted, example_name=name)
    # An Example is a SequenceExample without frames, byte for byte, and unlike `parse_single_example` this parser names
    # the record in every error.
    context, _ = tf.io.parse_single_sequence_example(serialized, context | wanted, example_name=name)
    return context, {feature: context[feature] for feature in features.names}


def multi_hot(labels, num_classes):
    """int64 [any number], in any order -> uint8 [num_classes], 1 at each label."""
    ones = tf.ones_like(labels, tf.uint8)
    return tf.tensor_scatter_nd_update(tf.zeros([num_classes], tf.uint8), labels[:, None], ones)


def _text(*parts):
    """Joins strings and integer tensors."""
    return tf.strings.join([part if isinstance(part, str) else tf.strings.as_string(part) for part in parts])


def _check_id(ids):
    return [
        (tf.size(ids) > 0, lambda: tf.constant(f"no video id; it should be under {' or '.join(schema.ID_KEYS)}")),
        (tf.reduce_all(tf.strings.length(ids[:1]) > 0), lambda: tf.constant("an empty video id")),
        (tf.reduce_all(without_zero_bytes(ids[:1])), lambda: tf.constant("a zero byte in the video id")),
    ]


def without_zero_bytes(ids):
    """Whether an id has no zero byte, which readers of a CSV would drop. string [B] -> bool [B]."""
    return tf.equal(tf.strings.split(ids, sep="\0").row_lengths(), 1)


def _check_labels(labels, num_classes):
    """Checks that labels are classes, each listed once."""
    outside = (labels < 0) | (labels >= num_classes)
    different, _, counts = tf.unique_with_counts(labels)

    def which_is_outside():
        return _text(
            "label ",
            tf.boolean_mask(labels, outside)[0],
            f" is outside 0 .. {num_classes - 1}; "
            f"num_classes={num_classes} is too small for this data (the 2017 set has 4716, later ones 3862), "
            "or the record is bad",
        )

    def which_is_repeated():
        return _text("label ", tf.boolean_mask(different, counts > 1)[0], " is listed more than once")

    return [(~tf.reduce_any(outside), which_is_outside), (tf.equal(tf.size(different), tf.size(labels)), which_is_repeated)]


def _check_means(stored, features):
    """Checks that each video-level feature has the right size and finite numbers."""
    checks = []
    for name, size in zip(features.names, features.sizes):
        checks += [_check_size(stored[name], name, size), _check_finite(stored[name], name)]
    return checks


def _check_size(values, name, size):
    """Checks that a video-level feature has the right size."""
    found = tf.size(values)
    return tf.equal(found, size), lambda: _text(f"{name!r} has ", found, f" numbers instead of {size}")


def _check_finite(values, name, frame_size=None):
    """Checks that the values of a feature, float32 [any number], are finite; a frame has `frame_size` of them."""
    finite = tf.math.is_finite(values)

    def reason():
        place = tf.argmin(tf.cast(finite, tf.int8))
        if frame_size is None:
            return _text(f"{name!r} holds ", values[place], " in place ", place)
        return _text("frame ", place // frame_size, f" of {name!r} holds ", values[place], " in place ", place % frame_size)

    return tf.reduce_all(finite), reason


def _join(stored, features):
    """Joins all video-level features. float32 [size]."""
    return tf.ensure_shape(tf.concat([stored[name] for name in features.names], axis=0), [features.size])


def _check_frames(stored, features):
    """Checks that there are frames, equally many for each feature, and all of the right size."""
    first, counts = features.names[0], {name: stored[name].nrows() for name in features.names}
    checks = [(counts[first] > 0, lambda: _text(f"no frames under {first!r}"))]
    for name, size in zip(features.names, features.sizes):
        checks.append(_check_count(name, counts[name], first, counts[first]))
        checks.extend(_check_sizes(stored[name], name, size))
    return checks


def _check_count(name, count, first, first_count):
    """Checks that a feature has as many frames as the first one."""
    return (tf.equal(count, first_count), lambda: _text(f"{first!r} has ", first_count, f" frames and {name!r} ", count))


def _check_sizes(frames, name, size):
    """Checks that every frame of one feature, RaggedTensor [frames, values], holds `size` bytes or finite floats."""
    values = frames.row_lengths()

    def wrong(sizes, size, unit):
        def reason():
            frame = tf.argmax(tf.cast(sizes != size, tf.int8))
            return _text("frame ", frame, f" of {name!r} holds ", sizes[frame], f" {unit} instead of {size}")

        return tf.reduce_all(sizes == size), reason

    if frames.dtype != tf.string:
        return [wrong(values, size, "floats"), _check_finite(frames.flat_values, name, size)]
    return [wrong(values, 1, "byte strings"), wrong(tf.strings.length(frames.flat_values), size, "bytes")]


def _see(stored, features, view, stored_frames, draw):
    """What a role sees of a video: decoded frames, padded to `view.max_frames`."""
    video_frames = tf.minimum(stored_frames, schema.MAX_FRAMES)
    indices = frame_selection.select(view, video_frames[None], draw)[0]
    num_frames = tf.math.count_nonzero(indices >= 0, dtype=tf.int32)
    frames = tf.concat(
        [
            _decode(stored[name].flat_values, size, indices[:num_frames])
            for name, size in zip(features.names, features.sizes)
        ],
        axis=1,
    )
    frames = tf.pad(frames, [[0, view.max_frames - num_frames], [0, 0]])
    return {
        schema.FRAMES: tf.ensure_shape(frames, [view.max_frames, features.size]),
        schema.NUM_FRAMES: num_frames,
        schema.FRAME_INDICES: indices,
    }


def _decode(values, size, indices):
    """The frames at `indices` of one feature, [number of indices, size], as uint8 or float32.

    Args:
        values: string [frames], a frame's bytes in each, or float32 [frames * size].
    """
    if values.dtype == tf.string:
        return tf.io.decode_raw(tf.gather(values, indices), tf.uint8)
    return tf.gather(tf.reshape(values, [-1, size]), indices)
