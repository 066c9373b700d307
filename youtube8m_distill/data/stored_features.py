"""What a record holds, and how that fits what a network reads. Imports no TensorFlow.

A record is a `SequenceExample` of protocol buffers, TensorFlow's or that of `plain_records`.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from youtube8m_distill import config, schema
from youtube8m_distill.config.video import FeatureDtype
from youtube8m_distill.data.parsing.layout import Kind, Layout, possible_keys

KINDS = {"bytes_list": "bytes", "float_list": "floats", "int64_list": "integers", None: "nothing"}
NO_EXAMPLE = "neither a SequenceExample nor an Example"
NO_RECORDS = "is not a TFRecord file, or it is cut short in its first record"
IS_VIDEO, EXTRACT = "is a video, not a TFRecord file", "extract its features first, with `yt8m features`"
VIDEO_EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp")
LOOKED_AT = 100  # records in which a feature is looked for that the first record does not have
OFFICIAL = config.Reading()  # how official files are read


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stored feature: `size` numbers of a kind, in each of `num_frames` frames, or once per video (None)."""

    kind: str
    size: int
    num_frames: int | None = None

    def __str__(self):
        frames = "" if self.num_frames is None else f"{self.num_frames} frames of "
        return f"{frames}{self.size} {self.kind}"


def why_no_records(path: str, size: int) -> str:
    """What is wrong with a file whose first bytes begin no record."""
    return IS_VIDEO if path.lower().endswith(VIDEO_EXTENSIONS) else f"({size} bytes) {NO_RECORDS}"


def features_of(record: Any) -> dict[str, Stored]:
    """The features of a SequenceExample, {name: Stored}; a feature of frames is described by its first frame."""
    found = {name: _stored(feature) for name, feature in record.context.feature.items()}
    for name, frames in record.feature_lists.feature_list.items():
        first = _stored(frames.feature[0]) if frames.feature else Stored("nothing", 0)
        found[name] = dataclasses.replace(first, num_frames=len(frames.feature))
    return found


def layout_of(
    path: str, found: Mapping[str, Stored], features: config.FeatureConfig, reading: config.Reading = OFFICIAL
) -> Layout:
    """How the features of a network are stored in a file; frame-level ones also under MediaPipe's names.

    Args:
        path: of a file.
        found: the features of its first record.
    Raises:
        ValueError: if the record does not hold these features: names, sizes, numbers, per frame or per video.
    """
    keys, kinds = find_keys(path, found, features.names, features.frame_features, reading), []
    for key, size in zip(keys, features.sizes):
        stored = found.get(key, Stored("nothing", 0, 0))
        if stored.num_frames == 0:
            # Tells nothing about other records; parsing will report this one.
            kind: Kind = "bytes" if features.dtype == "uint8" else "floats"
        else:
            kind = _kind(path, key, stored, size, reading)
            if not features.frame_features and kind != "floats":
                raise ValueError(f"{path}: {key!r} is stored as {stored}; video-level features must be floats.")
        kinds.append(kind)
    if reading.segment_labels:
        return Layout(tuple(keys), tuple(kinds), schema.LABELS_KEY, reading.pad_missing_features, schema.RATED_KEY)
    return Layout(tuple(keys), tuple(kinds), reading.label_key, reading.pad_missing_features)


def _stored(feature):
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    size = len(values[0]) if kind == "bytes_list" and values else len(values)
    return Stored(KINDS[kind], size)


def has_values(found: Mapping[str, Stored], name: str) -> bool:
    """Whether a feature is stored under one of its names, and is not empty."""
    return any(found[key].size for key in possible_keys(name) if key in found)


def find_keys(
    path: str, found: Mapping[str, Stored], names: Sequence[str], frame_features: bool, reading: config.Reading
) -> list[str]:
    """The names under which features are stored. ValueError if one is missing, or all of them if they may be padded."""
    stored = {}
    for name in names:
        keys = possible_keys(name) if frame_features else (name,)
        stored[name] = next((key for key in keys if _has_level(found, key, frame_features)), None)
    missing = [name for name, key in stored.items() if key is None]
    has_some = len(missing) < len(stored)
    if not missing or has_some and frame_features and reading.pad_missing_features:
        return [stored[name] or name for name in names]
    level, wanted = ("video", "frame")[has_frames(found)], ("video", "frame")[frame_features]
    others, advice = usable(found), ""
    if level != wanted:
        advice = f" The file looks {level}-level: choose a model and features for that."
    elif has_some and frame_features:
        advice = " --pad_missing_features reads zeros instead, in records that lack it."
    elif not has_some and others and has_frames(others) == frame_features:
        advice = f" Name its features: {feature_flags(config_of(others, frame_features, reading))}."
    reason = f"the first record of {path} has no {wanted}-level feature {missing[0]!r}; it holds {listing(found)}."
    raise ValueError(reason + advice)


def _has_level(found, key, frame_features):
    return key in found and (found[key].num_frames is not None) == frame_features


def listing(found: Mapping[str, Stored]) -> str:
    """Stored features in words."""
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
        needs = f"{size} numbers (its feature_sizes)" + (f", which are {expected} bytes of float32" if packed else "")
        raise ValueError(f"{path}: {key!r} holds {stored}, but the network reads {needs}.{advice}")
    return "packed floats" if packed else stored.kind


def float32_advice(size: int) -> str:
    """What to do if a feature of `size` numbers is stored in 4 bytes each."""
    return f"These bytes may be {size} float32 numbers: read them with --feature_dtype=float32."


def has_frames(found: Mapping[str, Stored]) -> bool:
    """Whether any feature is stored per frame."""
    return any(stored.num_frames is not None for stored in found.values())


def usable(stored: Mapping[str, Stored]) -> dict[str, Stored]:
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


def config_of(found: Mapping[str, Stored], per_frame: bool, reading: config.Reading) -> config.FeatureConfig:
    """The FeatureConfig of a network that reads all of these features."""
    packed = reading.feature_dtype == "float32"
    sizes = tuple(feature.size // 4 if packed and feature.kind == "bytes" else feature.size for feature in found.values())
    dtype = dtype_of((feature.kind for feature in found.values()), reading)
    return config.FeatureConfig(names=tuple(found), sizes=sizes, frame_features=per_frame, dtype=dtype)


def dtype_of(kinds: Iterable[str], reading: config.Reading) -> FeatureDtype:
    """The type of the input of a network that reads features of these kinds."""
    return "uint8" if set(kinds) <= {"bytes", "nothing"} and reading.feature_dtype == "uint8" else "float32"
