"""What must hold for the records of a batch, parsed leniently with any number of values; each fault has its own message.

A check is a pair as `bad_records.require` takes them: whether it holds, bool [B], and a function row -> reason.
"""

import typing

import tensorflow as tf

from youtube8m_distill import schema


class Context(typing.NamedTuple):
    """Ids and labels of a batch, as stored, before they are checked."""

    ids: typing.Any  # RaggedTensor, string [B, values]
    first_ids: tf.Tensor  # string [B]; "" where there is none
    labels: typing.Any  # RaggedTensor, int64 [B, values]
    counts: tf.Tensor  # int32 [B, num_classes], how often each class is a label

    def describe(self):
        """Ids and multi-hot labels, uint8 [B, num_classes], by name."""
        return {schema.VIDEO_ID: self.first_ids, schema.LABELS: tf.cast(self.counts > 0, tf.uint8)}


def read_context(stored, num_classes):
    """Reads the Context from parsed features, RaggedTensors [B, values] by name."""
    ids = tf.concat([stored[key] for key in schema.ID_KEYS], axis=1)
    first_ids = ids[:, :1].to_tensor("", shape=[None, 1])[:, 0]
    labels = stored[schema.LABELS_KEY]
    places = tf.cast(labels.value_rowids(), tf.int64) * num_classes + labels.values
    places = tf.where(_in_range(labels, num_classes).values, places, -1)
    num_places = tf.cast(labels.nrows(), tf.int64) * num_classes
    counts = tf.math.unsorted_segment_sum(tf.ones_like(places, tf.int32), places, num_places)
    return Context(ids, first_ids, labels, tf.reshape(counts, [-1, num_classes]))


def _in_range(labels, num_classes):
    """Whether each label is a class. RaggedTensor, bool [B, values]."""
    return labels.with_values((labels.values >= 0) & (labels.values < num_classes))


def of_context(context, num_classes):
    """Checks of ids and labels. An id with a zero byte is invalid: readers of a CSV would drop the byte."""
    first_ids, labels, counts = context.first_ids, context.labels, context.counts
    in_range = _in_range(labels, num_classes)
    advice = (
        f" is outside 0 .. {num_classes - 1}; num_classes={num_classes} is too small for this data (the 2017 set has 4716, "
        "later ones 3862), or the record is bad"
    )
    return [
        (context.ids.row_lengths() > 0, lambda row: [f"no video id; it should be under {' or '.join(schema.ID_KEYS)}"]),
        (tf.strings.length(first_ids) > 0, lambda row: ["an empty video id"]),
        (tf.strings.split(first_ids, sep="\0").row_lengths() == 1, lambda row: ["a zero byte in the video id"]),
        (tf.reduce_all(in_range, axis=1), lambda row: ["label ", labels[row][~in_range[row]][0], advice]),
        (
            tf.reduce_all(counts <= 1, axis=1),
            lambda row: ["label ", tf.argmax(tf.cast(counts[row] > 1, tf.int8)), " is listed more than once"],
        ),
    ]


def of_means(stored, features):
    """Checks that each video-level feature, RaggedTensor [B, values], has the right size and finite numbers."""

    def of_size(name, size):
        found = stored[name].row_lengths()
        return found == size, lambda row: [f"{name!r} has ", found[row], f" numbers instead of {size}"]

    checks = []
    for name, size in zip(features.names, features.sizes):
        checks += [of_size(name, size), _of_finite(stored[name], name)]
    return checks


def _of_finite(values, name, frame_size=None):
    """Checks that the values of a feature, float32 [B, any number], are finite; a frame has `frame_size` of them."""
    finite = values.with_values(tf.math.is_finite(values.values))

    def reason(row):
        place = tf.argmin(tf.cast(finite[row], tf.int8))
        if frame_size is None:
            return [f"{name!r} holds ", values[row][place], " in place ", place]
        frame, place_in_frame = place // frame_size, place % frame_size
        return ["frame ", frame, f" of {name!r} holds ", values[row][place], " in place ", place_in_frame]

    return tf.reduce_all(finite, axis=1), reason


def of_frames(stored, features):
    """Checks that there are frames, equally many for each feature, RaggedTensor [B, frames, values], of the right size.

    Not for records of the official layout: what is checked here follows from their layout (`wire`).
    """
    first = features.names[0]
    num_frames = stored[first].row_lengths()

    def of_count(name):
        count = stored[name].row_lengths()
        return count == num_frames, lambda row: [f"{first!r} has ", num_frames[row], f" frames and {name!r} ", count[row]]

    checks = [(num_frames > 0, lambda row: [f"no frames under {first!r}"])]
    for name, size in zip(features.names, features.sizes):
        num_values = stored[name].with_values(stored[name].values.row_lengths())  # [B, frames]
        values = stored[name].merge_dims(1, 2)
        checks.append(of_count(name))
        if features.dtype == "uint8":
            num_bytes = values.with_values(tf.strings.length(values.values))
            checks += [_of_sizes(num_values, name, 1, "byte strings"), _of_sizes(num_bytes, name, size, "bytes")]
        else:
            checks += [_of_sizes(num_values, name, size, "floats"), _of_finite(values, name, size)]
    return checks


def _of_sizes(sizes, name, size, unit):
    """Checks the sizes of the frames of one feature, int [B, frames]."""
    fits = sizes.with_values(sizes.values == size)

    def reason(row):
        frame = tf.argmin(tf.cast(fits[row], tf.int8))
        return ["frame ", frame, f" of {name!r} holds ", sizes[row][frame], f" {unit} instead of {size}"]

    return tf.reduce_all(fits, axis=1), reason
