"""What the records of a file hold, by its first record: compared with what was requested, before training."""

import dataclasses
from collections.abc import Iterable, Sequence

import tensorflow as tf

from youtube8m_distill import config, schema
from youtube8m_distill.config.video import FeatureDtype
from youtube8m_distill.data import tfrecord
from youtube8m_distill.data.bad_records import NO_EXAMPLE
from youtube8m_distill.data.parsing.layout import Kind, Layout, possible_keys

KINDS = {"bytes_list": "bytes", "float_list": "floats", "int64_list": "integers", None: "nothing"}
OFFICIAL = config.Reading()  # how official files are read
LOOKED_AT = 100  # records in which a feature is looked for that the first record does not have


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
    return _features_of(tfrecord.first_record(shard), shard)


def _features_of(serialized, shard):
    try:
        # An Example is a SequenceExample without frames, byte for byte, so one parser reads both.
        record = tf.train.SequenceExample.FromString(serialized)
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


def find_layout(
    shards: Sequence[tfrecord.Shard], features: config.FeatureConfig, reading: config.Reading = OFFICIAL
) -> Layout:
    """How the files store these features, by the first record; frame-level ones also under MediaPipe's names.

    Raises:
        ValueError: if the record does not hold these features: names, sizes, numbers, per frame or per video.
    """
    path, found = shards[0].path, _found(shards[0], features.names, reading)
    keys, kinds = [], []
    for name, size in zip(features.names, features.sizes):
        key = _key(path, found, name, features.frame_features, reading)
        stored = found.get(key, Stored("nothing", 0, 0))
        if stored.num_frames == 0:
            # Tells nothing about the other records; parsing will report this one.
            kind: Kind = "bytes" if features.dtype == "uint8" else "floats"
        else:
            kind = _kind(path, key, stored, size, reading)
            if not features.frame_features and kind != "floats":
                raise ValueError(f"{path}: {key!r} is stored as {stored}; video-level features must be floats.")
        keys.append(key)
        kinds.append(kind)
    if reading.segment_labels:
        return Layout(tuple(keys), tuple(kinds), schema.LABELS_KEY, reading.pad_missing_features, schema.RATED_KEY)
    return Layout(tuple(keys), tuple(kinds), reading.label_key, reading.pad_missing_features)


def _found(shard, names, reading):
    """The stored features of the first record and, if missing ones are padded, of later ones that the first lacks."""
    found = stored_features(shard)
    if reading.pad_missing_features:
        later = iter(tfrecord.read_serialized(shard))
        for number in range(LOOKED_AT):
            if all(_has_some(found, name) for name in names):
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


def _has_some(found, name):
    return any(found[key].size for key in possible_keys(name) if key in found)


def _key(path, found, name, frame_features, reading):
    """The name under which a feature is stored."""
    for key in possible_keys(name) if frame_features else (name,):
        if key in found and (found[key].num_frames is not None) == frame_features:
            return key
    is_frame_level = _has_frames(found)
    if reading.pad_missing_features and frame_features and is_frame_level:
        return name
    level, wanted = ("video", "frame")[is_frame_level], ("video", "frame")[frame_features]
    listing = ", ".join(f"{key} ({stored})" for key, stored in sorted(found.items())) or "no feature at all"
    advice = f" The file looks {level}-level: choose a model and features for that." if level != wanted else ""
    if level == wanted == "frame":
        advice = " --pad_missing_features reads zeros instead, in records that lack it."
    raise ValueError(f"{path} has no {wanted}-level feature {name!r}; its first record holds {listing}.{advice}")


def _kind(path, key, stored, size, reading) -> Kind:
    """How a feature is stored. ValueError unless it holds `size` numbers."""
    if stored.kind not in ("bytes", "floats"):
        raise ValueError(f"{path}: {key!r} is stored as {stored}; features must be bytes or floats.")
    packed = stored.kind == "bytes" and reading.feature_dtype == "float32"
    expected = 4 * size if packed else size
    if stored.size != expected:
        is_float32 = stored.kind == "bytes" and not packed and stored.size == 4 * size
        advice = f" These bytes may be {size} float32 numbers: read them with --feature_dtype=float32." if is_float32 else ""
        needs = f"{size} for it" if not packed else f"{size}, which is {expected} bytes of float32"
        raise ValueError(f"{path}: {key!r} holds {stored}, but feature_sizes gives {needs}.{advice}")
    return "packed floats" if packed else stored.kind


def _has_frames(found):
    return any(stored.num_frames is not None for stored in found.values())


def all_features(shard: tfrecord.Shard, reading: config.Reading = OFFICIAL) -> config.FeatureConfig:
    """All features of the first record of a file: those of its frames or, if it has none, of the video.

    Of MediaPipe's files, rgb and audio. ValueError if there are none.
    """
    stored = stored_features(shard)
    mediapipe = {name: possible_keys(name)[1] for name in schema.FRAME_FEATURES if possible_keys(name)[1] in stored}
    if mediapipe:
        return _config_of({name: stored[key] for name, key in mediapipe.items()}, True, reading)
    per_frame = any(feature.num_frames for feature in stored.values())
    found = {
        name: feature
        for name, feature in sorted(stored.items())
        if feature.kind in ("bytes", "floats") and (feature.num_frames or not per_frame and feature.kind == "floats")
    }
    if not found:
        raise ValueError(f"{shard.path}: the first record holds no features.")
    return _config_of(found, per_frame, reading)


def named_features(shard: tfrecord.Shard, names: Sequence[str], reading: config.Reading = OFFICIAL) -> config.FeatureConfig:
    """These features of the first record of a file. ValueError if one is missing."""
    found = stored_features(shard)
    per_frame = _has_frames(found)
    keys = [_key(shard.path, found, name, per_frame, OFFICIAL) for name in names]
    return _config_of({name: found[key] for name, key in zip(names, keys)}, per_frame, reading)


def _config_of(found, per_frame, reading):
    packed = reading.feature_dtype == "float32"
    sizes = tuple(feature.size // 4 if packed and feature.kind == "bytes" else feature.size for feature in found.values())
    dtype = _dtype((feature.kind for feature in found.values()), reading)
    return config.FeatureConfig(names=tuple(found), sizes=sizes, frame_features=per_frame, dtype=dtype)


def detect_dtype(shards: Sequence[tfrecord.Shard], names: Sequence[str], reading: config.Reading = OFFICIAL) -> FeatureDtype:
    """The type of a network's input that is trained on these frame-level files: "uint8", or "float32" if any are floats.

    ValueError if a feature is missing in the first record.
    """
    path, found = shards[0].path, _found(shards[0], names, reading)
    keys = [_key(path, found, name, True, reading) for name in names]
    return _dtype((found[key].kind for key in keys if key in found), reading)


def _dtype(kinds: Iterable[str], reading) -> FeatureDtype:
    return "uint8" if set(kinds) <= {"bytes", "nothing"} and reading.feature_dtype == "uint8" else "float32"
