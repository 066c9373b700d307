"""What must hold for the records of a batch, parsed leniently with any number of values; each fault has its own message.

A check is a pair as `bad_records.require` takes them: whether it holds, bool [B], and a function row -> reason.
"""

# TensorFlow's type stubs lack RaggedTensor's constructors.
# pyright: reportAttributeAccessIssue=false

import re
import typing

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data.parsing import stored_frames

ID_KEYS = schema.ID_KEYS + schema.MEDIAPIPE_ID_KEYS
NUM_CLASSES_OF_2017 = 4716
LONGEST_CONTEXT = 2**16  # bytes at the beginning of a record in which an empty list of labels is looked for


class Labels(typing.NamedTuple):
    """How labels are read."""

    key: str  # their name in the records
    num_classes: int | None  # None if they are not read
    rated_key: str = ""  # name of the rated classes, if only those count

    def context_features(self):
        """What to parse of a record besides its features."""
        wanted = dict.fromkeys(ID_KEYS, tf.io.RaggedFeature(tf.string))
        keys = () if self.num_classes is None else (self.key, self.rated_key) if self.rated_key else (self.key,)
        return wanted | dict.fromkeys(keys, tf.io.RaggedFeature(tf.int64))

    def as_integers(self, serialized):
        """The records, string [B], with an empty list of labels as one of integers, whatever type its writer gave it."""
        if self.num_classes is None:
            return serialized
        key = tf.compat.as_bytes(self.key)
        name = bytes([0x0A, len(key)]) + key  # an entry of the map of features: key, then a feature with an empty list
        empty_floats, empty_integers = (name + bytes([0x12, 2, tag, 0]) for tag in (0x12, 0x1A))

        def corrected(text):
            return tf.strings.regex_replace(text, re.escape(empty_floats), empty_integers, replace_global=False)

        # Most records have none, so only the beginning is searched first: the context comes before the frames.
        beginning = tf.strings.substr(serialized, 0, LONGEST_CONTEXT)
        is_wrong = tf.reduce_any(corrected(beginning) != beginning)
        return tf.cond(is_wrong, lambda: corrected(serialized), lambda: serialized)


class Context(typing.NamedTuple):
    """Ids and labels of a batch, as stored, before they are checked."""

    ids: typing.Any  # RaggedTensor, string [B, values]
    first_ids: tf.Tensor  # string [B]; "" where there is none
    labels: typing.Any = ()  # RaggedTensor, int64 [B, values]; empty if labels are not read, as the next one
    counts: typing.Any = ()  # int32 [B, num_classes], how often each class is a label
    rated: typing.Any = ()  # likewise, how often each class is rated; empty if all classes count

    @property
    def reads_labels(self):
        return tf.is_tensor(self.counts)

    def describe(self):
        """Ids and, if they are read, labels and their weights, uint8 [B, num_classes], by name."""
        found = {schema.VIDEO_ID: self.first_ids}
        for name, counts in ((schema.LABELS, self.counts), (schema.LABEL_WEIGHTS, self.rated)):
            if tf.is_tensor(counts):
                found[name] = tf.cast(counts > 0, tf.uint8)
        return found

    def has_no_labels(self):
        """Whether each video has no labels, bool [B]; None if labels are not read, and for segments, which may have none."""
        return tf.equal(self.labels.row_lengths(), 0) if self.reads_labels and not tf.is_tensor(self.rated) else None


def read_context(stored, labels, paths, numbers):
    """Reads the Context from parsed features, RaggedTensors [B, values] by name.

    A file of a single bare record, such as clip.pb, names the video if the record does not. `paths`: string [B], of the
    files; `numbers`: int64 [B], of the records in them.
    """
    of_file = tf.strings.regex_replace(paths, r".*/|\.[^./]*$", "")
    of_file = tf.where(tf.strings.regex_full_match(paths, r".*\.pb") & tf.equal(numbers, 0), of_file, "")
    of_file = tf.RaggedTensor.from_tensor(of_file[:, None], padding="", row_splits_dtype=tf.int32)
    ids = tf.concat([*(stored[key] for key in ID_KEYS), of_file], axis=1)
    first_ids = ids[:, :1].to_tensor("", shape=[None, 1])[:, 0]
    if labels.num_classes is None:
        return Context(ids, first_ids)
    found, num_classes = stored[labels.key], labels.num_classes
    rated = _counts(stored[labels.rated_key], num_classes) if labels.rated_key else ()
    return Context(ids, first_ids, found, _counts(found, num_classes), rated)


def _counts(found, num_classes):
    """How often each class is in a row of class numbers, RaggedTensor [B, values]. int32 [B, num_classes]."""
    places = tf.cast(found.value_rowids(), tf.int64) * num_classes + found.values
    places = tf.where(_in_range(found, num_classes).values, places, -1)
    num_places = tf.cast(found.nrows(), tf.int64) * num_classes
    counts = tf.math.unsorted_segment_sum(tf.ones_like(places, tf.int32), places, num_places)
    return tf.reshape(counts, [-1, num_classes])


def _in_range(labels, num_classes):
    """Whether each label is a class. RaggedTensor, bool [B, values]."""
    return labels.with_values((labels.values >= 0) & (labels.values < num_classes))


def of_context(context, labels):
    """Checks of ids and labels. An id with a zero byte is invalid: readers of a CSV would drop the byte."""
    first_ids = context.first_ids
    found = [
        (context.ids.row_lengths() > 0, lambda row: [f"no video id; it should be under {' or '.join(schema.ID_KEYS)}"]),
        (tf.strings.length(first_ids) > 0, lambda row: ["an empty video id"]),
        (tf.strings.split(first_ids, sep="\0").row_lengths() == 1, lambda row: ["a zero byte in the video id"]),
    ]
    return found if labels.num_classes is None else found + _of_labels(context.labels, context.counts, labels.num_classes)


def _of_labels(labels, counts, num_classes):
    in_range = _in_range(labels, num_classes)

    def out_of_range(row):
        label = int(labels[row][~in_range[row]][0])
        sizes = f" (the 2017 set has {NUM_CLASSES_OF_2017}, later ones {schema.NUM_CLASSES})"
        too_small = f"num_classes={num_classes} is too small for this data{sizes if label < NUM_CLASSES_OF_2017 else ''}"
        advice = "labels count from 0" if label < 0 else f"{too_small}, or the record is bad"
        return [f"label {label} is outside 0 .. {num_classes - 1}; {advice}"]

    return [
        (tf.reduce_all(in_range, axis=1), out_of_range),
        (
            tf.reduce_all(counts <= 1, axis=1),
            lambda row: ["label ", tf.argmax(tf.cast(counts[row] > 1, tf.int8)), " is listed more than once"],
        ),
    ]


def of_kept_frames(kept, num_stored):
    """Checks that a record names the frames that it holds: one index, of 0 or more, for each; or none at all.

    kept: RaggedTensor, int64 [B, values]; num_stored: int32 [B].
    """
    count, negative = kept.row_lengths(), tf.reduce_any(kept < 0, axis=1)
    key = repr(schema.KEPT_FRAMES_KEY)
    return [
        (
            tf.equal(count, 0) | tf.equal(count, num_stored),
            lambda row: [f"{key} names ", count[row], " frames and the record holds ", num_stored[row]],
        ),
        (~negative, lambda row: [f"{key} names a frame below 0"]),
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


def of_frames(lists, features, layout):
    """Checks of the frames of each feature, RaggedTensors [B, frames, values]: that there are some, equally many for each
    feature, of the right size, and that floats are finite.

    Not for records of the official layout: what is checked here follows from their layout (`wire`).
    """
    first, counts = layout.keys[0], [frames.row_lengths() for frames in lists]

    def of_count(key, count):
        def reason(row):
            advice = "; --pad_missing_features reads what both have, and zeros for what is missing"
            return [f"{first!r} has ", counts[0][row], f" frames and {key!r} ", count[row], advice]

        return count == counts[0], reason

    if layout.pad_missing_features:
        nothing = f"no frames under any of {', '.join(layout.keys)}"
        checks = [(tf.reduce_any([count > 0 for count in counts], axis=0), lambda row: [nothing])]
    else:
        checks = [(counts[0] > 0, lambda row: [f"no frames under {first!r}"])]
        checks += [of_count(key, count) for key, count in zip(layout.keys, counts)]
    for frames, key, size, kind in zip(lists, layout.keys, features.sizes, layout.kinds):
        num_values = frames.with_values(frames.values.row_lengths())  # [B, frames]
        values = frames.merge_dims(1, 2)
        if kind == "floats":
            checks += [_of_sizes(num_values, key, size, "floats"), _of_finite(values, key, size)]
            continue
        num_bytes = values.with_values(tf.strings.length(values.values))
        size_in_bytes = size if kind == "bytes" else 4 * size
        checks += [_of_sizes(num_values, key, 1, "byte strings"), _of_sizes(num_bytes, key, size_in_bytes, "bytes")]
        if kind == "packed floats":
            numbers = tf.reshape(stored_frames.unpacked(values.values, size), [-1])
            checks.append(_of_finite(tf.RaggedTensor.from_row_splits(numbers, values.row_splits * size), key, size))
    return checks


def _of_sizes(sizes, name, size, unit):
    """Checks the sizes of the frames of one feature, int [B, frames]."""
    fits = sizes.with_values(sizes.values == size)

    def reason(row):
        frame = tf.argmin(tf.cast(fits[row], tf.int8))
        return ["frame ", frame, f" of {name!r} holds ", sizes[row][frame], f" {unit} instead of {size}"]

    return tf.reduce_all(fits, axis=1), reason
