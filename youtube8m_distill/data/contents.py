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
    keys, kinds = _keys(path, found, features.names, features.frame_features, reading), []
    for key, size in zip(keys, features.sizes):
        stored = found.get(key, Stored("nothing", 0, 0))
        if stored.num_frames == 0:
            # Tells nothing about the other records; parsing will report this one.
            kind: Kind = "bytes" if features.dtype == "uint8" else "floats"
        else:
            kind = _kind(path, key, stored, size, reading)
            if not features.frame_features and kind != "floats":
                raise ValueError(f"{path}: {key!r} is stored as {stored}; video-level features must be floats.")
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


def _keys(path, found, names, frame_features, reading) -> list[str]:
    """The names under which features are stored. ValueError if one is missing, or all of them if they may be padded."""
    stored = {}
    for name in names:
        keys = possible_keys(name) if frame_features else (name,)
        stored[name] = next((key for key in keys if _has_level(found, key, frame_features)), None)
    missing = [name for name, key in stored.items() if key is None]
    has_some = len(missing) < len(stored)
    if not missing or has_some and frame_features and reading.pad_missing_features:
        return [stored[name] or name for name in names]
    level, wanted = ("video", "frame")[_has_frames(found)], ("video", "frame")[frame_features]
    others, advice = _usable(found), ""
    if level != wanted:
        advice = f" The file looks {level}-level: choose a model and features for that."
    elif has_some and frame_features:
        advice = " --pad_missing_features reads zeros instead, in records that lack it."
    elif not has_some and others and _has_frames(others) == frame_features:
        advice = f" Name its features: {feature_flags(_config_of(others, frame_features, reading))}."
    reason = f"the first record of {path} has no {wanted}-level feature {missing[0]!r}; it holds {_listing(found)}."
    raise ValueError(reason + advice)


def _has_level(found, key, frame_features):
    return key in found and (found[key].num_frames is not None) == frame_features


def _listing(found):
    return ", ".join(f"{key} ({stored})" for key, stored in sorted(found.items())) or "no feature at all"


def feature_flags(features: config.FeatureConfig) -> str:
    """The flags that name features, the official ones first."""
    sizes = dict(zip(features.names, features.sizes))
    names = sorted(sizes, key=lambda name: [*schema.FEATURE_SIZES, name].index(name))
    return f"--feature_names={','.join(names)} --feature_sizes={','.join(str(sizes[name]) for name in names)}"


def _kind(path, key, stored, size, reading) -> Kind:
    """How a feature is stored. ValueError unless it holds `size` numbers."""
    if stored.kind not in ("bytes", "floats"):
        raise ValueError(f"{path}: {key!r} is stored as {stored}; features must be bytes or floats.")
    packed = stored.kind == "bytes" and reading.feature_dtype == "float32"
    expected = 4 * size if packed else size
    if stored.size != expected:
        is_float32 = stored.kind == "bytes" and not packed and stored.size == 4 * size
        advice = f" {float32_advice(size)}" if is_float32 else ""
        needs = f"{size} for it" if not packed else f"{size}, which is {expected} bytes of float32"
        raise ValueError(f"{path}: {key!r} holds {stored}, but feature_sizes gives {needs}.{advice}")
    return "packed floats" if packed else stored.kind


def float32_advice(size: int) -> str:
    """What to do if a feature of `size` numbers is stored in 4 bytes each."""
    return f"These bytes may be {size} float32 numbers: read them with --feature_dtype=float32."


def _has_frames(found):
    return any(stored.num_frames is not None for stored in found.values())


def all_features(shard: tfrecord.Shard, reading: config.Reading = OFFICIAL) -> config.FeatureConfig:
    """All features of the first record of a file: those of its frames or, if it has none, of the video.

    Of MediaPipe's files, rgb and audio; if missing ones are padded, these two also of later records. ValueError if there
    are none.
    """
    stored = _found(shard, schema.FRAME_FEATURES, reading)
    found = _usable(stored)
    if not found:
        reason = f"the first record of {shard.path} has no features: no frame of bytes or floats, and no floats of the video"
        raise ValueError(f"{reason}; it holds {_listing(stored)}.")
    return _config_of(found, _has_frames(found), reading)


def feature_names(serialized: bytes, shard: tfrecord.Shard) -> set[str]:
    """The names of all features of a record, as `all_features` gives them. ValueError if it is not of the format."""
    return set(_usable(_features_of(serialized, shard)))


def _usable(stored):
    """Stored features that a network can read, by the name under which it asks for them."""
    mediapipe = {name: possible_keys(name)[1] for name in schema.FRAME_FEATURES if possible_keys(name)[1] in stored}
    if mediapipe:
        return {name: stored[key] for name, key in mediapipe.items()}
    per_frame = any(feature.num_frames for feature in stored.values())
    return {
        name: feature
        for name, feature in sorted(stored.items())
        if feature.kind in ("bytes", "floats") and (feature.num_frames or not per_frame and feature.kind == "floats")
    }


def named_features(shard: tfrecord.Shard, names: Sequence[str], reading: config.Reading = OFFICIAL) -> config.FeatureConfig:
    """These features of the first record of a file or, if missing ones are padded, of later ones.

    ValueError if one is missing.
    """
    found = _found(shard, names, reading)
    per_frame = _has_frames(found)
    keys = _keys(shard.path, found, names, per_frame, OFFICIAL)
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
    keys = _keys(path, found, names, True, reading)
    return _dtype((found[key].kind for key in keys if key in found), reading)


def _dtype(kinds: Iterable[str], reading) -> FeatureDtype:
    return "uint8" if set(kinds) <= {"bytes", "nothing"} and reading.feature_dtype == "uint8" else "float32"
