"""Checks that must pass for every input. A check raises AssertionError if the input is handled wrongly.

The fuzzer and the property tests share them. An input that is refused correctly passes. Any other exception is a crash.
"""

import gzip

import numpy as np
import pandas as pd
import tensorflow as tf
from google.protobuf.message import DecodeError

from tests import oracles
from youtube8m_distill import config, runs
from youtube8m_distill.data import bad_records, plain_videos
from youtube8m_distill.data.parsing.batch import Records, VideoParser
from youtube8m_distill.export import kaggle
from youtube8m_distill.runs import archive

NUM_CLASSES = 5
SIZES = (6, 3)
BYTES = config.FeatureConfig(names=("rgb", "audio"), sizes=SIZES)
FLOATS = config.FeatureConfig(names=("rgb", "audio"), sizes=SIZES, dtype="float32")
MEANS = config.FeatureConfig(names=("mean_rgb", "mean_audio"), sizes=SIZES, frame_features=False, dtype="float32")
PARSERS = {
    "all": VideoParser(BYTES, NUM_CLASSES, {"teacher": config.FrameView()}),
    "uniform": VideoParser(BYTES, NUM_CLASSES, {"student": config.FrameView(frame_selection="uniform", frames_per_video=4)}),
    "both": VideoParser(
        BYTES,
        NUM_CLASSES,
        {
            "teacher": config.FrameView(frame_selection="first", frames_per_video=9),
            "student": config.FrameView(frame_selection="last", frames_per_video=3),
        },
    ),
    "floats": VideoParser(FLOATS, NUM_CLASSES, {"student": config.FrameView(frame_selection="strided", every_n=7)}),
    "means": VideoParser(MEANS, NUM_CLASSES, {"teacher": None}),
}


# ---- records ---------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """A record is invalid, according to `read_by_hand`."""


class RecordCheck:
    """Parses records with a parser of the package and compares the result with `read_by_hand`.

    An invalid record is parsed immediately, in a batch after a few valid ones. Valid records are collected and parsed in
    batches; if a batch fails, its records are parsed one by one. TensorFlow's parser reads some records that no protocol
    buffer library writes (`_is_odd`) differently, so these may be refused; but any values that are read from them must occur
    in them.

    Args:
        parser: one of PARSERS.
        together: number of valid records in a batch.
    """

    def __init__(self, parser, together=16):
        self.parser, self.together, self.waiting, self.good = parser, together, [], []

    def __call__(self, serialized):
        if _is_odd(serialized):
            self._check_odd(serialized)
            return
        try:
            self.waiting.append((serialized, read_by_hand(serialized, self.parser)))
        except Refused as reason:
            self._assert_refused([*self.good, serialized], str(reason))
        if len(self.waiting) == self.together:
            self.flush()

    def flush(self):
        """Checks the valid records that are still waiting for a complete batch."""
        waiting, self.waiting = self.waiting, []
        try:
            self._assert_read(waiting)
        except AssertionError:
            for one in waiting:
                self._assert_read([one])
            raise
        self.good = [serialized for serialized, _ in waiting[: len(waiting) % 3]]

    def parse(self, serialized):
        """The batch that the package reads from these records, as NumPy arrays. Raises BadRecordError."""
        count = len(serialized)
        with bad_records.naming_bad_records():
            found = self.parser(
                Records(
                    tf.constant(serialized),
                    tf.fill([count], "some/file"),
                    tf.range(count, dtype=tf.int64),
                    tf.zeros([count], tf.int64),
                )
            )
        return tf.nest.map_structure(lambda values: values.numpy(), found)

    def _assert_refused(self, serialized, reason):
        """Asserts that the last of these records is refused with its number."""
        prefix = f"file some/file, record {len(serialized) - 1}: "
        try:
            self.parse(serialized)
        except bad_records.BadRecordError as error:
            assert str(error).startswith(prefix) and len(str(error)) > len(prefix), f"{error}: {reason}: {serialized!r}"
        else:
            raise AssertionError(f"accepted, although it should be refused ({reason}): {serialized!r}")

    def _assert_read(self, waiting):
        if not waiting:
            return
        try:
            found = self.parse([serialized for serialized, _ in waiting])
        except bad_records.BadRecordError as error:
            raise AssertionError(f"refused, although it is valid ({error}): {waiting[-1][0]!r}") from error
        for row, (serialized, expected) in enumerate(waiting):
            one = tf.nest.map_structure(lambda values, row=row: values[row], found)
            _assert_equal(one, expected, serialized)

    def _check_odd(self, serialized):
        try:
            found = self.parse([serialized])
        except bad_records.BadRecordError as error:
            assert str(error), "refused without a message"
            return
        views = [found[role] for role in self.parser.views]
        assert found["video_id"][0] in serialized, found["video_id"]
        for view in views:
            rows = view["frames"][0, : view["num_frames"][0]] if "frames" in view else view["features"]
            for row in rows:
                for part in np.split(row, np.cumsum(SIZES)[:-1]):
                    assert part.tobytes() in serialized, f"{part} is not in {serialized!r}"


def check_plain(serialized, parser, good, path):
    """Checks that the reader without TensorFlow gives for a record what a parser of one role gives, or refuses it, too.

    Args:
        parser: without labels.
        good: a valid record, which comes first in the file.
        path: of a file to write.
    """
    (role, view), check = *parser.views.items(), RecordCheck(parser)
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(good)
        writer.write(serialized)
    try:
        _, found = plain_videos.read_videos(path, parser.features, view, config.Reading())
    except bad_records.BadRecordError as error:
        assert str(error).startswith(f"file {path}, record 1: "), error
        if not _is_odd(serialized):
            check._assert_refused([good, serialized], str(error))
        return
    if not _is_odd(serialized):
        expected = check.parse([good, serialized])
        assert found.video_id == expected["video_id"][1], serialized
        for name, values in expected[role].items():
            assert np.array_equal(found.inputs[name][0], values[1]), f"{name} of {serialized!r}"


def _is_odd(serialized):
    """Whether a protocol buffer library cannot read a message, or would write it with a different number of bytes."""
    try:
        message = tf.train.SequenceExample.FromString(serialized)  # an Example parses as a SequenceExample without frames
    except DecodeError:
        return True
    message.DiscardUnknownFields()
    return message.ByteSize() != len(serialized)


def _assert_equal(found, expected, serialized):
    assert found.keys() == expected.keys(), (found.keys(), expected.keys())
    for name, value in expected.items():
        if isinstance(value, dict):
            _assert_equal(found[name], value, serialized)
        else:
            assert np.array_equal(found[name], value), f"{name}: {found[name]} instead of {value}: {serialized!r}"


def read_by_hand(serialized, parser):
    """The dict that a VideoParser should return for one record, read with the protocol buffer library.

    Raises:
        Refused: if the record is invalid.
    """
    features = parser.features
    message = tf.train.SequenceExample.FromString(serialized)
    context = message.context.feature
    keys = ("id", "video_id", "example/id", "clip/data_path")
    ids = [value for name in keys for value in _values(context, name, "bytes_list")]
    no_floats = "labels" in context and context["labels"] == tf.train.Feature(float_list=tf.train.FloatList())
    labels = [] if no_floats else _values(context, "labels", "int64_list")
    _require(ids and ids[0] and b"\0" not in ids[0], "without an id, or with an id that a CSV cannot contain")
    _require(all(0 <= label < parser.num_classes for label in labels), "with an unknown label")
    _require(len(set(labels)) == len(labels), "with a duplicate label")
    found = {"video_id": ids[0], "labels": oracles.multi_hot(labels, parser.num_classes), "notes": [0, not labels, 0, 0, 0]}
    if not features.frame_features:
        means = [np.asarray(_values(context, name, "float_list"), np.float32) for name in features.names]
        _require([len(mean) for mean in means] == list(features.sizes), "with a feature of the wrong size")
        _require(all(np.isfinite(mean).all() for mean in means), "with a number that is not finite")
        return found | {role: {"features": np.concatenate(means)} for role in parser.views}
    lists = message.feature_lists.feature_list
    frames = {
        name: _frames(lists[name].feature if name in lists else (), size, features.dtype)
        for name, size in zip(features.names, features.sizes)
    }
    [count, *others] = map(len, frames.values())
    _require(count and set(others) <= {count}, "without frames, or with different numbers of them")
    found["stored_frames"], found["notes"][0] = count, count > 300
    return found | {role: _view(frames, view) for role, view in parser.views.items()}


def _require(condition, reason):
    if not condition:
        raise Refused(reason)


def _values(context, name, kind):
    return _of_kind(context[name], kind) if name in context else []


def _of_kind(feature, kind):
    _require(feature.WhichOneof("kind") in (None, kind), "with a feature of the wrong type")
    return list(getattr(feature, kind).value)


def _frames(rows, size, dtype):
    """The stored frames: [frames, size]."""
    if dtype == "uint8":
        stored = [_of_kind(row, "bytes_list") for row in rows]
        _require(all(len(values) == 1 and len(values[0]) == size for values in stored), "with a frame of the wrong size")
        return np.frombuffer(b"".join(values[0] for values in stored), np.uint8).reshape(-1, size)
    stored = [np.asarray(_of_kind(row, "float_list"), np.float32) for row in rows]
    _require(
        all(len(values) == size and np.isfinite(values).all() for values in stored),
        "with a frame of the wrong size or with numbers that are not finite",
    )
    return np.asarray(stored, np.float32).reshape(-1, size)


def _view(frames, view):
    count = min(len(next(iter(frames.values()))), 300)
    indices = oracles.selected_frames(view.frame_selection, count, view.frames_per_video or view.every_n)
    rows, places = oracles.padded_view(frames, indices, view.max_frames)
    return {"frames": rows, "num_frames": len(indices), "frame_indices": places}


# ---- configurations --------------------------------------------------------------------------------------------------


def check_config(text):
    """A text is refused with a ValueError, or it is a RunConfig that can be restored from its own JSON."""
    try:
        found = config.from_json(text)
    except ValueError as error:
        assert str(error), "refused without a message"
        return
    written = config.to_json(found)
    again = config.from_json(written)
    assert again == found and config.to_json(again) == written, f"{again} instead of {found}"


# ---- CSV -------------------------------------------------------------------------------------------------------------

FORMULA = tuple("=+-@\t\r\n")  # some programs read a cell that starts with one of these as a formula
PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def check_csv(folder, batches):
    """Rows are refused with a ValueError, or are read back exactly, with scores of 6 digits.

    Args:
        folder: pathlib.Path to write to.
        batches: list of (video_ids: list of bytes, classes: int [B, k], scores: float [B, k]).
    """
    path = folder / "predictions.csv"
    path.unlink(missing_ok=True)
    try:
        count = kaggle.write_predictions(path, batches)
    except ValueError as error:
        assert str(error) and not list(folder.iterdir()), "refused, but a file was left behind"
        return
    expected = [
        (video_id, list(pairs))
        for video_ids, classes, scores in batches
        for video_id, *pairs in zip(video_ids, classes, scores)
    ]
    assert count == len(expected)
    read = kaggle.read_predictions(path)
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding_errors="surrogateescape")
    assert list(table.columns) == ["VideoId", "LabelConfidencePairs"] and len(table) == len(read.video_ids) == count
    cells = table["VideoId"].tolist()
    for row, (video_id, (classes, scores)) in enumerate(expected):
        assert read.video_ids[row] == video_id, (read.video_ids[row], video_id)
        assert np.array_equal(read.classes[row], classes), (read.classes[row], classes)
        rounded = np.asarray([float("%g" % score) for score in scores], np.float32)
        assert np.array_equal(read.scores[row], rounded), (read.scores[row], rounded)
        cell = cells[row].encode("utf-8", "surrogateescape")
        if set(video_id) <= PLAIN:
            assert cell == video_id
        else:
            assert cell.endswith(video_id) and not cells[row].startswith(FORMULA), (cell, video_id)


# ---- archives --------------------------------------------------------------------------------------------------------


def check_archive(folder, content):
    """A compressed tar file is refused with a ValueError, or is unpacked to a run. Nothing is written elsewhere.

    Args:
        folder: pathlib.Path of an empty folder. It is empty again at the end.
        content: bytes of the tar file before compression.
    """
    path, new = folder / "model.tgz", folder / "in" / "new"
    new.parent.mkdir()
    path.write_bytes(gzip.compress(content, 0))
    try:
        found = archive.unpack(path, new)
    except ValueError as error:
        assert str(error).startswith(str(path)) and not list(new.parent.iterdir()), str(error)
    else:
        expected = {
            "config.json",
            "best",
            "best/progress.json",
            *(f"best/{role}.weights.h5" for role in found.config.trained_roles),
        }
        assert found.config == runs.open_run(new).config and _entries(new) == expected, _entries(new)
    assert {entry.name for entry in folder.iterdir()} == {"model.tgz", "in"}
    _remove(folder)


def _entries(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
