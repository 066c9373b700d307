"""How files store the features that a network reads: names and types, which may differ from those that it is trained on."""

import typing

from youtube8m_distill import schema
from youtube8m_distill.config import FeatureConfig

Kind = typing.Literal["bytes", "floats", "packed floats"]  # one byte string, a list of floats, one byte string of float32


class Layout(typing.NamedTuple):
    """How the features of a FeatureConfig are stored, in its order."""

    keys: tuple[str, ...]  # names in the records
    kinds: tuple[Kind, ...]
    label_key: str = schema.LABELS_KEY
    pad_missing_features: bool = False
    rated_key: str = ""  # of the classes that were rated, in segments (data.segments)


def official_layout(features: FeatureConfig) -> Layout:
    """Features under their own names and in the type that the network reads."""
    kind: Kind = "bytes" if features.dtype == "uint8" else "floats"
    return Layout(features.names, (kind,) * len(features.names))


def possible_keys(name: str) -> tuple[str, ...]:
    """The names under which a frame-level feature may be stored: its own, and MediaPipe's."""
    return name, schema.MEDIAPIPE_KEY.format(name.upper())
