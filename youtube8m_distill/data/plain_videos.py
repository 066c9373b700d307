"""Reads videos one by one without TensorFlow, as a network sees them: what `parsing.batch` gives for the same records."""

import itertools
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from youtube8m_distill import schema
from youtube8m_distill.config import FeatureConfig, FrameView, Reading
from youtube8m_distill.data import plain_selection
from youtube8m_distill.data.plain_records import read_records
from youtube8m_distill.data.quantize import dequantize
from youtube8m_distill.data.stored_features import LOOKED_AT, features_of, has_values, layout_of
from youtube8m_distill.errors import BadRecordError

FIELDS = {"bytes": "bytes_list", "floats": "float_list", "packed floats": "bytes_list"}


class Video(NamedTuple):
    """What a network sees of a video, as a batch of one."""

    video_id: bytes
    inputs: dict[str, np.ndarray]  # by the names of `schema`
    notes: np.ndarray  # float32 [1, 5]


def read_videos(path: str, features: FeatureConfig, view: FrameView | None, reading: Reading) -> Iterator[Video]:
    """Yields the videos in a local file, in its order.

    Args:
        view: of the network, not random; None at video level.
    Raises:
        OSError, ValueError: if the file cannot be read, or does not hold these features.
        BadRecordError: with file and record, if a record cannot be used.
    """
    layout = _find_layout(path, features, reading)
    for number, record in enumerate(read_records(path)):
        where = f"file {path}, record {number}"
        video_id = _video_id(record, where, path if number == 0 else "")
        if view is None:
            means = [_mean(record, key, size, where) for key, size in zip(layout.keys, features.sizes)]
            yield Video(video_id, {schema.FEATURES: np.concatenate(means)[None]}, _notes())
        else:
            yield Video(video_id, *_frames(record, features, view, layout, where))


def _find_layout(path, features, reading):
    """How the file stores the features, by its first record and, if missing ones are padded, by later ones."""
    found = {}
    for record in itertools.islice(read_records(path), LOOKED_AT if reading.pad_missing_features else 1):
        more = features_of(record)
        found |= {key: stored for key, stored in more.items() if key not in found or not found[key].size}
        if all(has_values(found, name) for name in features.names):
            break
    return layout_of(path, found, features, reading)


def _video_id(record, where, path):
    """The id in a record or, of a file such as clip.pb, in its name. `path` is "" for later records of a file."""
    ids = [value for key in schema.ID_KEYS + schema.MEDIAPIPE_ID_KEYS for value in _context(record, key, "bytes", where)]
    if path.endswith(".pb"):
        ids.append(os.fsencode(pathlib.Path(path).stem))
    _require(ids, where, f"no video id; it should be under {' or '.join(schema.ID_KEYS)}")
    _require(ids[0], where, "an empty video id")
    _require(b"\0" not in ids[0], where, "a zero byte in the video id")
    return ids[0]


def _context(record, key, kind, where):
    """The values of a feature of the whole video; none if it is missing."""
    return _list(record.context.feature[key], key, kind, where) if key in record.context.feature else []


def _list(feature, key, kind, where):
    """The values in a feature. BadRecordError if they are of another kind."""
    field = "int64_list" if kind == "integers" else FIELDS[kind]
    _require(feature.WhichOneof("kind") in (field, None), where, f"{key!r} is not stored as {kind.split()[-1]}")
    return getattr(feature, field).value


def _mean(record, key, size, where):
    """A feature of video-level files, float32 [size]."""
    mean = np.array(_context(record, key, "floats", where), np.float32)
    _require(len(mean) == size, where, f"{key!r} has {len(mean)} numbers instead of {size}")
    _require_finite(mean, where, repr(key))
    return mean


def _frames(record, features, view, layout, where):
    """The inputs of a frame-level network, and the notes."""
    lists = [_decoded(record, *feature, where) for feature in zip(layout.keys, layout.kinds, features.sizes)]
    counts = [len(frames) for frames in lists]
    stored_frames, trimmed = _num_frames(counts, layout, where)
    rows = plain_selection.select(view, stored_frames)
    parts, clipped = [], 0
    for frames, size in zip(lists, features.sizes):
        # A missing feature is read as zeros, in bytes as the byte of 0.0.
        chosen = frames[rows] if len(frames) else np.zeros((len(rows), size), np.float32)
        converted, num_clipped = _converted(chosen, features.dtype)
        parts.append(converted)
        clipped += num_clipped
    seen, indices = np.zeros((view.max_frames, features.size), features.dtype), np.full(view.max_frames, -1, np.int32)
    seen[: len(rows)] = np.concatenate(parts, axis=1)
    indices[: len(rows)] = _in_the_video(record, rows, stored_frames, where)
    inputs = {schema.FRAMES: seen, schema.NUM_FRAMES: np.int32(len(rows)), schema.FRAME_INDICES: indices}
    share = clipped / (len(rows) * features.size)
    notes = _notes(stored_frames > view.max_video_frames, trimmed, 0 in counts, share)
    return {name: np.asarray(values)[None] for name, values in inputs.items()}, notes


def _decoded(record, key, kind, size, where):
    """All frames of a feature, uint8 or float32 [frames, size]."""
    lists = record.feature_lists.feature_list
    frames = [_frame(f, key, kind, size, where, i) for i, f in enumerate(lists[key].feature if key in lists else ())]
    return np.stack(frames) if frames else np.zeros((0, size), np.float32)


def _frame(feature, key, kind, size, where, number):
    values, name = _list(feature, key, kind, where), f"frame {number} of {key!r}"
    if kind == "floats":
        _require(len(values) == size, where, f"{name} holds {len(values)} floats instead of {size}")
        frame = np.array(values, np.float32)
    else:
        _require(len(values) == 1, where, f"{name} holds {len(values)} byte strings instead of 1")
        num_bytes = size if kind == "bytes" else 4 * size
        _require(len(values[0]) == num_bytes, where, f"{name} holds {len(values[0])} bytes instead of {num_bytes}")
        frame = np.frombuffer(values[0], np.uint8 if kind == "bytes" else "<f4")
    _require_finite(frame, where, name)
    return frame


def _num_frames(counts, layout, where):
    """How many frames of a record can be read, and whether some feature has more."""
    first, *others = layout.keys
    if layout.pad_missing_features:
        _require(any(counts), where, f"no frames under any of {', '.join(layout.keys)}")
        shortest = min(count for count in counts if count)
        return shortest, max(counts) > shortest
    _require(counts[0], where, f"no frames under {first!r}")
    for key, count in zip(others, counts[1:]):
        advice = "; --pad_missing_features reads what both have, and zeros for what is missing"
        _require(count == counts[0], where, f"{first!r} has {counts[0]} frames and {key!r} {count}{advice}")
    return counts[0], False


def _converted(frames, dtype):
    """Frames in the type that the network reads, and how many numbers were clipped for it."""
    if dtype == "float32":
        return (dequantize(frames) if frames.dtype == np.uint8 else frames), 0
    if frames.dtype == np.uint8:
        return frames, 0
    # In float32, as `parsing.stored_frames` computes, so that both give the same bytes.
    clipped = np.clip(frames, schema.QUANTIZED_LOW, schema.QUANTIZED_HIGH)
    steps = (clipped - schema.QUANTIZED_LOW) * (255.0 / (schema.QUANTIZED_HIGH - schema.QUANTIZED_LOW))
    return steps.astype(np.uint8), np.count_nonzero(clipped != frames)


def _in_the_video(record, rows, stored_frames, where):
    """Which frames of the video these rows of the record are: others in compact files."""
    key = schema.KEPT_FRAMES_KEY
    kept = np.array(_context(record, key, "integers", where), np.int64)
    reason = f"{key!r} names {len(kept)} frames and the record holds {stored_frames}"
    _require(len(kept) in (0, stored_frames), where, reason)
    _require(not (kept < 0).any(), where, f"{key!r} names a frame below 0")
    return kept[rows] if len(kept) else rows


def _notes(is_long=False, trimmed=False, filled=False, clipped=0.0):
    return np.array([[is_long, False, trimmed, filled, clipped]], np.float32)


def _require_finite(values, where, name):
    finite = np.isfinite(values)
    if not finite.all():
        place = int(np.argmin(finite))
        raise BadRecordError(f"{where}: {name} holds {values[place]} in place {place}")


def _require(condition, where, reason):
    if not condition:
        raise BadRecordError(f"{where}: {reason}")
