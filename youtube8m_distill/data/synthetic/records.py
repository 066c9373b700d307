"""Synthetic videos to serialized records of the official layout, and official video-level records to means."""

import collections
import glob

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.data.quantize import dequantize
from youtube8m_distill.data.synthetic import statistics
from youtube8m_distill.errors import SettingError

Video = collections.namedtuple("Video", "video_id labels codes")  # bytes, list or None, uint8 [num_frames, 1152]
Mean = collections.namedtuple("Mean", "video_id labels mean")  # bytes, list or None, float32 [1152]


def frame_level_record(video, id_key):
    """A serialized SequenceExample of a Video. bytes."""
    example = tf.train.SequenceExample()
    _fill_context(example.context, video, id_key)
    for name, part in statistics.PARTS.items():
        frames = example.feature_lists.feature_list[name].feature
        for codes in video.codes[:, part]:
            frames.add().bytes_list.value.append(codes.tobytes())
    return example.SerializeToString(deterministic=True)


def video_level_record(video, id_key):
    """A serialized Example with the means of a Video's dequantized frames. bytes."""
    example = tf.train.Example()
    _fill_context(example.features, video, id_key)
    mean = dequantize(video.codes).mean(axis=0, dtype=np.float64).astype(np.float32)
    for name, part in statistics.PARTS.items():
        example.features.feature[f"mean_{name}"].float_list.value.extend(mean[part])
    return example.SerializeToString(deterministic=True)


def _fill_context(features, video, id_key):
    features.feature[id_key].bytes_list.value.append(video.video_id)
    if video.labels is not None:
        features.feature[schema.LABELS_KEY].int64_list.value.extend(video.labels)


class VideoLevelFiles:
    """Official video-level files (a glob) as one sequence of means. Files beyond the `needed` records are not opened.

    Raises:
        SettingError: if no file matches, a file is no TFRecord file, or a record is not a video-level Example.
    """

    def __init__(self, pattern, needed):
        self._pattern, self._paths, self._counts = pattern, sorted(glob.glob(pattern)), []
        if not self._paths:
            raise self._error("matches no file. Quote the pattern in your shell.")
        for path in self._paths:
            if len(self) < needed:
                self._counts.append(sum(1 for _ in self._serialized(path)))

    def __len__(self):
        return sum(self._counts)

    def read(self, start, stop):
        """Yields the Means of records start .. stop - 1."""
        for path, count in zip(self._paths, self._counts):
            if start < count and stop > 0:
                first = max(start, 0)
                for number, serialized in enumerate(self._serialized(path, first, min(stop, count)), first):
                    yield self._parse(serialized, f"{path}, record {number}")
            start, stop = start - count, stop - count

    def _serialized(self, path, start=0, stop=-1):
        try:
            yield from tf.data.TFRecordDataset(path).take(stop).skip(start).as_numpy_iterator()
        except tf.errors.OpError as error:
            raise self._error(f"{path} cannot be read as a TFRecord file: {error.message}") from error

    def _parse(self, serialized, where):
        try:
            features = tf.train.Example.FromString(serialized).features.feature
        except Exception as error:  # protobuf's DecodeError, whose import path differs between its versions
            raise self._error(f"{where} is not a tf.train.Example.") from error
        parts = [np.array(_values(features, name, "float_list"), np.float32) for name in schema.VIDEO_FEATURES]
        for name, part in zip(schema.VIDEO_FEATURES, parts):
            size, finite = schema.FEATURE_SIZES[name], int(np.isfinite(part).sum())
            if not len(part) == size == finite:
                raise self._error(
                    f"{where}: {name} must hold {size} finite numbers. Received: {len(part)} numbers, {finite} of them "
                    "finite. Are these video-level files?"
                )
        ids = [value for key in schema.ID_KEYS for value in _values(features, key, "bytes_list")]
        if len(ids) != 1:
            raise self._error(f"{where}: there must be one id, under {' or '.join(schema.ID_KEYS)}. Received: {len(ids)}.")
        labels = list(_values(features, schema.LABELS_KEY, "int64_list"))
        return Mean(ids[0], labels or None, np.concatenate(parts))

    def _error(self, reason):
        return SettingError("from_video_level", reason, self._pattern)


def _values(features, name, kind):
    return getattr(features[name], kind).value if name in features else ()
