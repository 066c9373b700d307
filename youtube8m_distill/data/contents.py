"""What the records of a file hold, read from the first one: checked against what was asked for, before training."""

import dataclasses

import tensorflow as tf

from youtube8m_distill import config
from youtube8m_distill.data import tfrecord

KINDS = {"bytes_list": "bytes", "float_list": "floats", "int64_list": "integers", None: "nothing"}
DTYPES = {"bytes": "uint8", "floats": "float32"}


@dataclasses.dataclass(frozen=True)
class Stored:
    """One feature as a record holds it: `size` numbers of a kind, in each of `num_frames` frames or once (None)."""

    kind: str
    size: int
    num_frames: int | None = None

    def __str__(self):
        frames = "" if self.num_frames is None else f"{self.num_frames} frames of "
        return f"{frames}{self.size} {self.kind}"


def stored_features(shard):
    """The features in the first record of a file: {name: Stored}. ValueError if it is no record of the format."""
    try:
        # An Example is a SequenceExample without frames, byte for byte, so one reading serves both.
        record = tf.train.SequenceExample.FromString(tfrecord.first_record(shard))
    except Exception as error:  # protobuf's own DecodeError, which TensorFlow does not export
        raise ValueError(
            f"{shard.path}: the first record is neither a SequenceExample nor an Example; YouTube-8M "
            f"files hold those ({error})."
        ) from error
    found = {name: _stored(feature) for name, feature in record.context.feature.items()}
    for name, frames in record.feature_lists.feature_list.items():
        found[name] = _stored(frames.feature[0] if frames.feature else tf.train.Feature(), len(frames.feature))
    return found


def _stored(feature, num_frames=None):
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    size = len(values[0]) if kind == "bytes_list" and values else len(values)
    return Stored(KINDS[kind], size, num_frames)


def check_features(shards, features):
    """Sees that the first record holds the features asked for, with their sizes, per frame or once, as bytes or floats.

    Args:
        shards: tuple of tfrecord.Shard.
        features: config.FeatureConfig.
    Raises:
        ValueError: naming the file, what was asked for and what is there.
    """
    path, found = shards[0].path, stored_features(shards[0])
    for name, size in zip(features.names, features.sizes):
        _check_present(path, found, name, features.frame_features)
        stored = found[name]
        if stored.num_frames == 0:
            continue  # says nothing about the file; parsing will report the record
        if DTYPES.get(stored.kind) != features.dtype:
            expected = next(kind for kind, dtype in DTYPES.items() if dtype == features.dtype)
            raise ValueError(
                f"{path}: {name!r} is stored as {stored}, and the network reads {expected}; give it files "
                "of the kind that it is trained on."
            )
        if stored.size != size:
            raise ValueError(f"{path}: {name!r} holds {stored}, but feature_sizes gives {size} for it.")


def _check_present(path, found, name, frame_features):
    if name in found and (found[name].num_frames is not None) == frame_features:
        return
    is_frame_level = any(stored.num_frames is not None for stored in found.values())
    level, wanted = ("video", "frame")[is_frame_level], ("video", "frame")[frame_features]
    listing = ", ".join(f"{key} ({stored})" for key, stored in sorted(found.items())) or "no feature at all"
    advice = (
        "" if is_frame_level == frame_features else f" The file looks {level}-level: choose a model and features for that."
    )
    raise ValueError(f"{path} has no {wanted}-level feature {name!r}; its first record holds {listing}.{advice}")


def frame_features(shard):
    """The frame-level features in the first record of a file, as a config.FeatureConfig of all of them.

    Raises:
        ValueError: if there are none, or if some are bytes and others floats.
    """
    found = {name: stored for name, stored in sorted(stored_features(shard).items()) if stored.num_frames}
    if not found:
        raise ValueError(f"{shard.path}: the first record holds no frames.")
    dtype = detect_dtype([shard], found, frame_features=True)
    return config.FeatureConfig(tuple(found), tuple(stored.size for stored in found.values()), dtype=dtype)


def detect_dtype(shards, names, frame_features=None):
    """Whether the named features are stored as bytes ("uint8") or as floats ("float32"), by the first record.

    Args:
        shards: tuple of tfrecord.Shard.
        names: sequence of str.
        frame_features: bool. Whether they are wanted per frame or once; None for whatever the file holds.
    Raises:
        ValueError: if one is missing, is neither, or if they differ.
    """
    path, found = shards[0].path, stored_features(shards[0])
    if frame_features is None:
        frame_features = any(stored.num_frames is not None for stored in found.values())
    for name in names:
        _check_present(path, found, name, frame_features)
    dtypes = {DTYPES.get(found[name].kind) for name in names}
    if len(dtypes) != 1 or None in dtypes:
        listing = ", ".join(f"{name} ({found[name]})" for name in names)
        raise ValueError(f"{path}: the features must all be bytes or all be floats; the first record holds {listing}.")
    return dtypes.pop()
