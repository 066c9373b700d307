"""What the records of a file hold, by its first record: compared with what was requested, before training."""

from collections.abc import Sequence

import tensorflow as tf

from youtube8m_distill import config, schema
from youtube8m_distill.config.video import FeatureDtype
from youtube8m_distill.data import tfrecord
from youtube8m_distill.data.parsing.layout import Layout
from youtube8m_distill.data.stored_features import (
    LOOKED_AT,
    NO_EXAMPLE,
    OFFICIAL,
    Stored,
    config_of,
    dtype_of,
    features_of,
    find_keys,
    has_frames,
    has_values,
    layout_of,
    listing,
    usable,
)


def stored_features(shard: tfrecord.Shard) -> dict[str, Stored]:
    """The features in the first record of a file: {name: Stored}. ValueError if it is not a record of the format."""
    return _features_of(tfrecord.first_record(shard), shard)


def _features_of(serialized, shard):
    try:
        # An Example is a SequenceExample without frames, byte for byte, so one parser reads both.
        record = tf.train.SequenceExample.FromString(serialized)
    except Exception as error:  # protobuf's own DecodeError, which TensorFlow does not export
        raise ValueError(
            f"{shard.path}: the first record is {NO_EXAMPLE}; YouTube-8M files hold those ({error})."
        ) from error
    return features_of(record)


def find_layout(
    shards: Sequence[tfrecord.Shard], features: config.FeatureConfig, reading: config.Reading = OFFICIAL
) -> Layout:
    """How the files store these features, by the first record, as `layout_of` finds it. ValueError as there."""
    return layout_of(shards[0].path, _found(shards[0], features.names, reading), features, reading)


def _found(shard, names, reading):
    """The stored features of the first record and, if missing ones are padded, of later ones that the first lacks."""
    found = stored_features(shard)
    if reading.pad_missing_features:
        later = iter(tfrecord.read_serialized(shard))
        for number in range(LOOKED_AT):
            if all(has_values(found, name) for name in names):
                break
            try:
                record = next(later, None)
                if record is None:
                    break
                more = {} if number in shard.excluded else _features_of(record.numpy(), shard)
            except (tf.errors.DataLossError, ValueError):  # reading will report it
                break
            empty = {key for key in more if key not in found or not found[key].size}
            found |= {key: stored for key, stored in more.items() if stored.size and key in empty}
    return found


def all_features(shard: tfrecord.Shard, reading: config.Reading = OFFICIAL) -> config.FeatureConfig:
    """All features of the first record of a file: those of its frames or, if it has none, of the video.

    Of MediaPipe's files, rgb and audio; if missing ones are padded, these two also of later records. ValueError if there
    are none.
    """
    stored = _found(shard, schema.FRAME_FEATURES, reading)
    found = usable(stored)
    if not found:
        reason = f"the first record of {shard.path} has no features: no frame of bytes or floats, and no floats of the video"
        raise ValueError(f"{reason}; it holds {listing(stored)}.")
    return config_of(found, has_frames(found), reading)


def feature_names(serialized: bytes, shard: tfrecord.Shard) -> set[str]:
    """The names of all features of a record, as `all_features` gives them. ValueError if it is not of the format."""
    return set(usable(_features_of(serialized, shard)))


def named_features(shard: tfrecord.Shard, names: Sequence[str], reading: config.Reading = OFFICIAL) -> config.FeatureConfig:
    """These features of the first record of a file or, if missing ones are padded, of later ones.

    ValueError if one is missing.
    """
    found = _found(shard, names, reading)
    per_frame = has_frames(found)
    keys = find_keys(shard.path, found, names, per_frame, OFFICIAL)
    return config_of({name: found[key] for name, key in zip(names, keys)}, per_frame, reading)


def detect_dtype(shards: Sequence[tfrecord.Shard], names: Sequence[str], reading: config.Reading = OFFICIAL) -> FeatureDtype:
    """The type of a network's input that is trained on these frame-level files: "uint8", or "float32" if any are floats.

    ValueError if a feature is missing in the first record.
    """
    path, found = shards[0].path, _found(shards[0], names, reading)
    keys = find_keys(path, found, names, True, reading)
    return dtype_of((found[key].kind for key in keys if key in found), reading)
