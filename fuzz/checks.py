"""What must hold of any input whatever: each check takes one, and raises AssertionError where it does not.

The fuzzer and the property tests share them. Inputs that are refused as they should be pass; a crash shows as any other
exception.
"""

import gzip

import numpy as np
import pandas as pd
import tensorflow as tf
from google.protobuf.message import DecodeError

from tests import oracles
from youtube8m_distill import config, runs
from youtube8m_distill.data import bad_records
from youtube8m_distill.data.parsing import batch
from youtube8m_distill.export import kaggle
from youtube8m_distill.runs import archive

NUM_CLASSES = 5
SIZES = (6, 3)
BYTES = config.FeatureConfig(names=("rgb", "audio"), sizes=SIZES)
FLOATS = config.FeatureConfig(names=("rgb", "audio"), sizes=SIZES, dtype="float32")
MEANS = config.FeatureConfig(names=("mean_rgb", "mean_audio"), sizes=SIZES, frame_features=False, dtype="float32")
READINGS = {
    "all": (BYTES, NUM_CLASSES, config.FrameView()),
    "uniform": (BYTES, NUM_CLASSES, config.FrameView(frame_selection="uniform", frames_per_video=4)),
    "both": (
        BYTES,
        NUM_CLASSES,
        {
            "teacher": config.FrameView(frame_selection="first", frames_per_video=9),
            "student": config.FrameView(frame_selection="last", frames_per_video=3),
        },
    ),
    "floats": (FLOATS, NUM_CLASSES, config.FrameView(frame_selection="strided", every_n=7)),
    "means": (MEANS, NUM_CLASSES, None),
}


# ---- records ---------------------------------------------------------------------------------------------------------


class Refused(Exception):
    """Why a record is none, by plain rules."""


class RecordCheck:
    """Gives records to the package's parser and compares with `read_by_hand`.

    Records that are to be refused are tried at once, behind a few good ones; good ones in batches, and alone if anything is
    wrong with their batch. Those that no protocol buffer library writes (`_is_odd`) may be refused whatever they say, since
    TensorFlow's parser reads some of them otherwise; what it takes from them must lie in them literally.

    Args:
        reading: one of READINGS.
        together: how many good records make a batch.
    """

    def __init__(self, reading, together=16):
        self.reading, self.together, self.waiting, self.good = reading, together, [], []
        parse = batch.build_parser(*reading)
        self._parse = tf.function(
            lambda *fields: parse(batch.Records(*fields)),
            autograph=False,
            input_signature=[tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.string, tf.int64, tf.int64)],
        )

    def __call__(self, serialized):
        if _is_odd(serialized):
            self._check_odd(serialized)
            return
        try:
            self.waiting.append((serialized, read_by_hand(serialized, self.reading)))
        except Refused as reason:
            self._assert_refused([*self.good, serialized], str(reason))
        if len(self.waiting) == self.together:
            self.flush()

    def flush(self):
        """Checks the good records that still wait for their batch to be full."""
        waiting, self.waiting = self.waiting, []
        try:
            self._assert_read(waiting)
        except AssertionError:
            for one in waiting:
                self._assert_read([one])
            raise
        self.good = [serialized for serialized, _ in waiting[: len(waiting) % 3]]

    def parse(self, serialized):
        """A batch of what the package reads in these records, as numpy. Raises BadRecordError."""
        count = len(serialized)
        with bad_records.naming_bad_records():
            found = self._parse(
                tf.constant(serialized),
                tf.fill([count], "some/file"),
                tf.range(count, dtype=tf.int64),
                tf.zeros([count], tf.int64),
            )
        return tf.nest.map_structure(lambda values: values.numpy(), found)

    def _assert_refused(self, serialized, reason):
        """That the last one of these records is, by its own number."""
        told = f"file some/file, record {len(serialized) - 1}: "
        try:
            self.parse(serialized)
        except bad_records.BadRecordError as error:
            assert str(error).startswith(told) and len(str(error)) > len(told), f"{error}: {reason}: {serialized!r}"
        else:
            raise AssertionError(f"accepted, though it is {reason}: {serialized!r}")

    def _assert_read(self, waiting):
        if not waiting:
            return
        try:
            found = self.parse([serialized for serialized, _ in waiting])
        except bad_records.BadRecordError as error:
            raise AssertionError(f"refused, {error}: {waiting[-1][0]!r}") from error
        for row, (serialized, expected) in enumerate(waiting):
            one = tf.nest.map_structure(lambda values, row=row: values[row], found)
            _assert_equal(one, expected, serialized)

    def _check_odd(self, serialized):
        try:
            found = self.parse([serialized])
        except bad_records.BadRecordError as error:
            assert str(error), "refused without a word"
            return
        views = [found[role] for role in ("teacher", "student") if role in found] or [found]
        assert found["video_id"][0] in serialized, found["video_id"]
        for view in views:
            rows = view["frames"][0, : view["num_frames"][0]] if "frames" in view else view["features"]
            for row in rows:
                for part in np.split(row, np.cumsum(SIZES)[:-1]):
                    assert part.tobytes() in serialized, f"{part} is not in {serialized!r}"


def _is_odd(serialized):
    """Whether a protocol buffer library would write what it reads here in another number of bytes, or can read nothing."""
    try:
        message = tf.train.SequenceExample.FromString(serialized)  # an Example is one without frames
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


def read_by_hand(serialized, reading):
    """What protocol buffers' own reader finds in a message: a dict as `batch.build_parser` gives it, of one record.

    Raises:
        Refused.
    """
    features, num_classes, views = reading
    message = tf.train.SequenceExample.FromString(serialized)
    context = message.context.feature
    ids = [value for name in ("id", "video_id") for value in _values(context, name, "bytes_list")]
    labels = _values(context, "labels", "int64_list")
    _require(ids and ids[0] and b"\0" not in ids[0], "without id, or with one that no CSV holds")
    _require(all(0 <= label < num_classes for label in labels), "with a label that does not exist")
    _require(len(set(labels)) == len(labels), "with a label twice")
    found = {"video_id": ids[0], "labels": oracles.multi_hot(labels, num_classes)}
    if not features.frame_features:
        means = [np.float32(_values(context, name, "float_list")) for name in features.names]
        _require([len(mean) for mean in means] == list(features.sizes), "with a feature of another size")
        _require(all(np.isfinite(mean).all() for mean in means), "with a number that is none")
        return found | {"features": np.concatenate(means)}
    lists = message.feature_lists.feature_list
    frames = {
        name: _frames(lists[name].feature if name in lists else (), size, features.dtype)
        for name, size in zip(features.names, features.sizes)
    }
    [count, *others] = map(len, frames.values())
    _require(count and set(others) <= {count}, "without frames, or with other numbers of them")
    found["num_stored_frames"] = count
    if isinstance(views, dict):
        return found | {role: _view(frames, view) for role, view in views.items()}
    return found | _view(frames, views)


def _require(condition, reason):
    if not condition:
        raise Refused(reason)


def _values(context, name, kind):
    return _of_kind(context[name], kind) if name in context else []


def _of_kind(feature, kind):
    _require(feature.WhichOneof("kind") in (None, kind), "with a feature of another type")
    return list(getattr(feature, kind).value)


def _frames(rows, size, dtype):
    """[frames, size]"""
    if dtype == "uint8":
        stored = [_of_kind(row, "bytes_list") for row in rows]
        _require(all(len(values) == 1 and len(values[0]) == size for values in stored), "with a frame of another size")
        return np.frombuffer(b"".join(values[0] for values in stored), np.uint8).reshape(-1, size)
    stored = [np.float32(_of_kind(row, "float_list")) for row in rows]
    _require(all(len(values) == size and np.isfinite(values).all() for values in stored), "with a frame of other numbers")
    return np.reshape(np.float32(stored), [-1, size])


def _view(frames, view):
    count = min(len(next(iter(frames.values()))), 300)
    indices = oracles.selected_frames(view.frame_selection, count, view.frames_per_video or view.every_n)
    rows, places = oracles.padded_view(frames, indices, view.max_frames)
    return {"frames": rows, "num_frames": len(indices), "frame_indices": places}


# ---- configurations --------------------------------------------------------------------------------------------------


def check_config(text):
    """A text is a RunConfig that comes back from its own JSON, or it is refused by ValueError."""
    try:
        found = config.from_json(text)
    except ValueError as error:
        assert str(error), "refused without a word"
        return
    written = config.to_json(found)
    again = config.from_json(written)
    assert again == found and config.to_json(again) == written, f"{again} instead of {found}"


# ---- CSV -------------------------------------------------------------------------------------------------------------

FORMULA = tuple("=+-@\t\r\n")  # what makes a formula of a cell that begins with it, in one program or another
PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def check_csv(folder, batches):
    """Rows come back from the file, bit for bit but for the 6 digits of a score, or are refused by ValueError.

    Args:
        folder: pathlib.Path to write in.
        batches: list of (video_ids: list of bytes, classes: int [B, k], scores: float [B, k]).
    """
    path = folder / "predictions.csv"
    path.unlink(missing_ok=True)
    try:
        count = kaggle.write_predictions(path, batches)
    except ValueError as error:
        assert str(error) and not list(folder.iterdir()), "refused, and something was left behind"
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
        rounded = np.float32([float("%g" % score) for score in scores])
        assert np.array_equal(read.scores[row], rounded), (read.scores[row], rounded)
        cell = cells[row].encode("utf-8", "surrogateescape")
        if set(video_id) <= PLAIN:
            assert cell == video_id
        else:
            assert cell.endswith(video_id) and not cells[row].startswith(FORMULA), (cell, video_id)


# ---- archives --------------------------------------------------------------------------------------------------------


def check_archive(folder, content):
    """The bytes of a tar file, compressed, are a run, or are refused by ValueError; nothing is written elsewhere.

    Args:
        folder: pathlib.Path, empty; empty again afterwards.
        content: bytes before compression.
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
