"""What the records of a file hold, by its first record: compared with what was requested, before training."""

import dataclasses
from collections.abc import Iterable, Sequence

import tensorflow as tf

from youtube8m_distill import config
from youtube8m_distill.config.video import FeatureDtype
from youtube8m_distill.data import tfrecord
from youtube8m_distill.data.bad_records import NO_EXAMPLE

KINDS = {"bytes_list": "bytes", "float_list": "floats", "int64_list": "integers", None: "nothing"}
DTYPES: dict[str, FeatureDtype] = {"bytes": "uint8", "floats": "float32"}


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stored feature: `size` numbers of a kind, in each of `num_frames` frames, or once per video (None)."""

    kind: str
    size: int
    num_frames: int | None = None

    def __str__(self):
        frames = "" if self.num_frames is None else f"{self.num_frames} frames of "
        return f"{frames}{self.size} {self.kind}"


def stored_features(shard: tfrecord.Shard) -> dict[str, Stored]:
    """The features in the first record of a file: {name: Stored}. ValueError if it is not a record of the format."""
    try:
        # An Example is a SequenceExample without frames, byte for byte, so one parser reads both.
        record = tf.train.SequenceExample.FromString(tfrecord.first_record(shard))
    except Exception as error:  # protobuf's own DecodeError, which TensorFlow does not export
        raise ValueError(
            f"{shard.path}: the first record is {NO_EXAMPLE}; YouTube-8M files hold those ({error})."
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


def check_features(shards: Sequence[tfrecord.Shard], features: config.FeatureConfig) -> None:
    """Raises ValueError unless the first record holds these features: names, sizes, type, per frame or per video."""
    path, found = shards[0].path, stored_features(shards[0])
    for name, size in zip(features.names, features.sizes):
        _check_present(path, found, name, features.frame_features)
        stored = found[name]
        if stored.num_frames == 0:
            continue  # tells nothing about the other records; parsing will report this one
        if DTYPES.get(stored.kind) != features.dtype:
            reads = "bytes" if features.dtype == "uint8" else "floats"
            raise ValueError(
                f"{path}: {name!r} is stored as {stored}, and the network reads {reads}; give it files of the type that it "
                "is trained on."
            )
        if stored.size != size:
            raise ValueError(f"{path}: {name!r} holds {stored}, but feature_sizes gives {size} for it.")


def _check_present(path, found, name, frame_features):
    if name in found and (found[name].num_frames is not None) == frame_features:
        return
    is_frame_level = _has_frames(found)
    level, wanted = ("video", "frame")[is_frame_level], ("video", "frame")[frame_features]
    listing = ", ".join(f"{key} ({stored})" for key, stored in sorted(found.items())) or "no feature at all"
    advice = f" The file looks {level}-level: choose a model and features for that." if level != wanted else ""
    raise ValueError(f"{path} has no {wanted}-level feature {name!r}; its first record holds {listing}.{advice}")


def _has_frames(found):
    return any(stored.num_frames is not None for stored in found.values())


def all_features(shard: tfrecord.Shard) -> config.FeatureConfig:
    """All features of the first record of a file: those of its frames or, if it has none, of the video.

    ValueError if there are none, or if some are bytes and others floats.
    """
    stored = sorted(stored_features(shard).items())
    per_frame = any(feature.num_frames for _, feature in stored)
    found = {name: feature for name, feature in stored if feature.num_frames or not per_frame and feature.kind == "floats"}
    if not found:
        raise ValueError(f"{shard.path}: the first record holds no features.")
    dtype = detect_dtype((shard,), found, per_frame)
    sizes = tuple(feature.size for feature in found.values())
    return config.FeatureConfig(names=tuple(found), sizes=sizes, frame_features=per_frame, dtype=dtype)


def detect_dtype(shards: Sequence[tfrecord.Shard], names: Iterable[str], frame_features: bool | None = None) -> FeatureDtype:
    """The type of the named features in the first record: "uint8" (bytes) or "float32".

    `frame_features` says whether to look for them per frame or per video; None for what the file holds. ValueError if one is
    missing or has another type, or if their types differ.
    """
    path, found = shards[0].path, stored_features(shards[0])
    frame_features = _has_frames(found) if frame_features is None else frame_features
    for name in names:
        _check_present(path, found, name, frame_features)
    dtypes: list[FeatureDtype | None] = [DTYPES.get(found[name].kind) for name in names]
    dtype = dtypes[0]
    if dtype is None or set(dtypes) != {dtype}:
        listing = ", ".join(f"{name} ({found[name]})" for name in names)
        raise ValueError(f"{path}: the features must all be bytes or all be floats; the first record holds {listing}.")
    return dtype
