"""Parses one serialized record to a dict of tensors, in every layout that the format allows, and reports invalid ones.

Everything is parsed leniently (any number of values) and checked here, so that each fault has its own message. Only frames
that some role sees are decoded. `batch` uses this only for batches with an unusual record.
"""

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data import bad_records, frame_selection, seeds

CONTEXT = {**dict.fromkeys(schema.ID_KEYS, tf.io.RaggedFeature(tf.string)), schema.LABELS_KEY: tf.io.RaggedFeature(tf.int64)}


def build_record_parser(features, num_classes, views, seed=0):
    """The function that parses one record.

    Args:
        features, num_classes, views, seed: as of `batch.VideoParser`.
    Returns:
        function of the fields of a `batch.Records`, scalars -> dict like a batch, without the batch dimension. It raises
        errors for `bad_records.naming_bad_records`: no id, an empty id or one with a zero byte, no frames, frames or
        features of another size or type, features with different numbers of frames, numbers that are not finite, labels out
        of range or duplicate labels.
    """

    def parse(serialized, path, number, epoch):
        name = bad_records.record_name(path, number)
        context, stored = _read(serialized, name, features)
        labels = context[schema.LABELS_KEY]
        ids = tf.concat([context[key] for key in schema.ID_KEYS], axis=0)
        check = _check_frames if features.frame_features else _check_means
        checks = [*_check_id(ids), *check(stored, features), *_check_labels(labels, num_classes)]
        # Without this dependency the ops below could fail first, with messages of their own.
        with tf.control_dependencies([bad_records.require(name, checks)]):
            video = {schema.VIDEO_ID: ids[0], schema.LABELS: _multi_hot(labels, num_classes)}
            if not features.frame_features:
                joined = tf.concat([stored[name] for name in features.names], axis=0)
                means = {schema.FEATURES: tf.ensure_shape(joined, [features.size])}
                return video | {role: means for role in views}
            stored_frames = tf.cast(stored[features.names[0]].nrows(), tf.int32)
            draw = seeds.frame_seeds(ids[:1], seed, epoch[None])
            seen = {role: _see(stored, features, view, stored_frames, draw) for role, view in views.items()}
            return video | {schema.STORED_FRAMES: stored_frames} | seen

    return parse


def _read(serialized, name, features):
    """(context, {name: stored feature}): ids, labels and the requested features, with any number of values.

    A frame-level feature is a RaggedTensor [frames, values in a frame], a video-level one a tensor [values].
    """
    wanted = dict.fromkeys(features.names, tf.io.RaggedFeature(tf.string if features.dtype == "uint8" else tf.float32))
    if features.frame_features:
        return tf.io.parse_single_sequence_example(serialized, CONTEXT, wanted, example_name=name)
    # An Example is a SequenceExample without frames, byte for byte, and unlike `parse_single_example` this parser names
    # the record in every error.
    context, _ = tf.io.parse_single_sequence_example(serialized, CONTEXT | wanted, example_name=name)
    return context, context


def _multi_hot(labels, num_classes):
    """int64 [any number], in any order -> uint8 [num_classes], 1 at each label."""
    ones = tf.ones_like(labels, tf.uint8)
    return tf.tensor_scatter_nd_update(tf.zeros([num_classes], tf.uint8), labels[:, None], ones)


def without_zero_bytes(ids):
    """Whether an id has no zero byte, which readers of a CSV would drop. string [B] -> bool [B]."""
    return tf.equal(tf.strings.split(ids, sep="\0").row_lengths(), 1)


def _check_id(ids):
    return [
        (tf.size(ids) > 0, lambda: [f"no video id; it should be under {' or '.join(schema.ID_KEYS)}"]),
        (tf.reduce_all(tf.strings.length(ids[:1]) > 0), lambda: ["an empty video id"]),
        (tf.reduce_all(without_zero_bytes(ids[:1])), lambda: ["a zero byte in the video id"]),
    ]


def _check_labels(labels, num_classes):
    """Checks that labels are classes, each listed once."""
    outside = (labels < 0) | (labels >= num_classes)
    different, _, counts = tf.unique_with_counts(labels)
    advice = (
        f" is outside 0 .. {num_classes - 1}; num_classes={num_classes} is too small for this data (the 2017 set has 4716, "
        "later ones 3862), or the record is bad"
    )
    return [
        (~tf.reduce_any(outside), lambda: ["label ", labels[outside][0], advice]),
        (
            tf.equal(tf.size(different), tf.size(labels)),
            lambda: ["label ", different[counts > 1][0], " is listed more than once"],
        ),
    ]


def _check_means(stored, features):
    """Checks that each video-level feature has the right size and finite numbers."""

    def check_size(name, size):
        found = tf.size(stored[name])
        return found == size, lambda: [f"{name!r} has ", found, f" numbers instead of {size}"]

    checks = []
    for name, size in zip(features.names, features.sizes):
        checks += [check_size(name, size), _check_finite(stored[name], name)]
    return checks


def _check_finite(values, name, frame_size=None):
    """Checks that the values of a feature, float32 [any number], are finite; a frame has `frame_size` of them."""
    finite = tf.math.is_finite(values)

    def reason():
        place = tf.argmin(tf.cast(finite, tf.int8))
        if frame_size is None:
            return [f"{name!r} holds ", values[place], " in place ", place]
        return ["frame ", place // frame_size, f" of {name!r} holds ", values[place], " in place ", place % frame_size]

    return tf.reduce_all(finite), reason


def _check_frames(stored, features):
    """Checks that there are frames, equally many for each feature, and all of the right size."""
    first, counts = features.names[0], {name: stored[name].nrows() for name in features.names}

    def check_count(name):
        return counts[name] == counts[first], lambda: [
            f"{first!r} has ",
            counts[first],
            f" frames and {name!r} ",
            counts[name],
        ]

    checks = [(counts[first] > 0, lambda: [f"no frames under {first!r}"])]
    for name, size in zip(features.names, features.sizes):
        values, frames = stored[name].flat_values, stored[name].row_lengths()
        if features.dtype == "uint8":
            of_frames = (
                _check_sizes(frames, name, 1, "byte strings"),
                _check_sizes(tf.strings.length(values), name, size, "bytes"),
            )
        else:
            of_frames = _check_sizes(frames, name, size, "floats"), _check_finite(values, name, size)
        checks += [check_count(name), *of_frames]
    return checks


def _check_sizes(sizes, name, size, unit):
    """Checks the sizes of the frames of one feature, int [frames]."""

    def reason():
        frame = tf.argmax(tf.cast(sizes != size, tf.int8))
        return ["frame ", frame, f" of {name!r} holds ", sizes[frame], f" {unit} instead of {size}"]

    return tf.reduce_all(sizes == size), reason


def _see(stored, features, view, stored_frames, draw):
    """What a role sees of a video: decoded frames, padded to `view.max_frames`."""
    indices = frame_selection.select(view, tf.minimum(stored_frames, schema.MAX_FRAMES)[None], draw)[0]
    num_frames = tf.math.count_nonzero(indices >= 0, dtype=tf.int32)

    def decode(name, size):
        values = stored[name].flat_values  # string [frames], or float32 [frames * size]
        if features.dtype == "uint8":
            return tf.io.decode_raw(tf.gather(values, indices[:num_frames]), tf.uint8)
        return tf.gather(tf.reshape(values, [-1, size]), indices[:num_frames])

    frames = tf.concat([decode(name, size) for name, size in zip(features.names, features.sizes)], axis=1)
    frames = tf.pad(frames, [[0, view.max_frames - num_frames], [0, 0]])
    return {
        schema.FRAMES: tf.ensure_shape(frames, [view.max_frames, features.size]),
        schema.NUM_FRAMES: num_frames,
        schema.FRAME_INDICES: indices,
    }
