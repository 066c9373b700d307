"""Frames of records of any layout: parsed by TensorFlow, of any storage type, converted to the type that a network reads."""

import typing

import tensorflow as tf

from youtube8m_distill import schema

TENSORFLOW_TYPES = {"bytes": tf.string, "floats": tf.float32, "packed floats": tf.string}
ZERO_BYTE = 127  # the byte that stands for the value nearest to 0


class Lengths(typing.NamedTuple):
    """The numbers of frames of a batch of records."""

    frames: tf.Tensor  # int32 [B], that can be read
    trimmed: tf.Tensor  # bool [B], whether some feature has more
    filled: tf.Tensor  # bool [B], whether a feature has none, and others have some


def parse(serialized, layout, names):
    """The frames of each feature, RaggedTensors [B, frames, values], in the layout's order."""
    lists = {key: tf.io.RaggedFeature(TENSORFLOW_TYPES[kind]) for key, kind in zip(layout.keys, layout.kinds)}
    _, stored, _ = tf.io.parse_sequence_example(serialized, None, lists, example_names=names)
    return [stored[key] for key in layout.keys]


def lengths(lists, layout):
    """The Lengths of checked records."""
    counts = tf.stack([tf.cast(frames.row_lengths(), tf.int32) for frames in lists], axis=1)  # [B, features]
    if not layout.pad_missing_features:
        return Lengths(counts[:, 0], tf.zeros_like(counts[:, 0], tf.bool), tf.zeros_like(counts[:, 0], tf.bool))
    missing = tf.equal(counts, 0)
    shortest = tf.reduce_min(tf.where(missing, tf.int32.max, counts), axis=1)
    trimmed = tf.reduce_any(counts > shortest[:, None], axis=1)
    return Lengths(shortest, trimmed, tf.reduce_any(missing, axis=1))


def gather(lists, indices, features, layout):
    """The frames at `indices`, int [B, T], -1 for padding, of checked records.

    Returns:
        frames, [B, T, features.size] in the features' type, zero in padding; and which share of each video's values was
        clipped to bytes, float32 [B], or None if no feature is stored as floats that become bytes.
    """
    exists, parts, num_clipped = indices >= 0, [], None
    for frames, size, kind in zip(lists, features.sizes, layout.kinds):
        present, values = exists, frames.flat_values  # string [all frames], or float32 [all frames * size]
        if layout.pad_missing_features:
            present = exists & (frames.row_lengths() > 0)[:, None]
            # One frame more, to take if no video of the batch has this feature.
            values = tf.concat([values, tf.zeros([size]) if kind == "floats" else [""]], axis=0)
        places = tf.where(present, frames.row_starts()[:, None] + indices, 0)
        values = _rows(values, places, size, kind)
        if features.dtype == "uint8" and kind != "bytes":
            outside = (values < schema.QUANTIZED_LOW) | (values > schema.QUANTIZED_HIGH)
            count = tf.math.count_nonzero(outside & present[:, :, None], axis=[1, 2], dtype=tf.float32)
            num_clipped = count if num_clipped is None else num_clipped + count
            values = _quantized(values)
        elif features.dtype == "float32" and kind == "bytes":
            values = tf.cast(values, tf.float32) * schema.DEQUANTIZE_SCALE + schema.DEQUANTIZE_BIAS
        if layout.pad_missing_features:
            zero = tf.cast(ZERO_BYTE if features.dtype == "uint8" else 0, values.dtype)
            values = tf.where(present[:, :, None], values, zero)
        parts.append(values)
    frames = tf.concat(parts, axis=2)
    frames = tf.where(exists[:, :, None], frames, tf.zeros([], frames.dtype))
    if num_clipped is None:
        return frames, None
    num_values = tf.math.count_nonzero(exists, axis=1, dtype=tf.float32) * features.size
    return frames, num_clipped / tf.maximum(num_values, 1.0)


def unpacked(strings, size):
    """Little-endian float32 numbers from byte strings. string [...] -> float32 [..., size]."""
    return tf.io.decode_raw(strings, tf.float32, fixed_length=4 * size)


def _rows(values, places, size, kind):
    """The frames of a feature at these places, as numbers: uint8 or float32 [B, T, size]."""
    if kind == "floats":
        return tf.gather(tf.reshape(values, [-1, size]), places)
    frames = tf.gather(values, places)
    return tf.io.decode_raw(frames, tf.uint8, fixed_length=size) if kind == "bytes" else unpacked(frames, size)


def _quantized(values):
    """Bytes of float32 values, as `data.quantize` computes them but for values at the very edge of a step."""
    clipped = tf.clip_by_value(values, schema.QUANTIZED_LOW, schema.QUANTIZED_HIGH)
    return tf.cast((clipped - schema.QUANTIZED_LOW) * (255.0 / (schema.QUANTIZED_HIGH - schema.QUANTIZED_LOW)), tf.uint8)
