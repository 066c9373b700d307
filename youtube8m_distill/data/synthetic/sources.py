"""Where the videos of a synthetic set come from: class prototypes, or the means of official video-level files.

A source has `count_train_labels()`, which also checks all of its input, and `videos(split, start, stop)`.
"""

import string

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config.synthetic import SPLITS
from youtube8m_distill.data import file_access
from youtube8m_distill.data.segment_classes import read_segment_classes
from youtube8m_distill.data.synthetic import prototypes, records, segments, statistics, videos
from youtube8m_distill.data.tfrecord import with_quick_iterators
from youtube8m_distill.errors import SettingError
from youtube8m_distill.settings import require

_LABELS, _FRAMES, _RATINGS = 0, 1, 2  # a video's streams of random numbers: labels can be drawn without frames

_CHARACTERS = (string.digits + string.ascii_letters).encode()
_NUM_IDS = len(_CHARACTERS) ** 4


def make_source(config):
    """The source that a SyntheticConfig asks for. SettingError if its files match nothing or hold too few records."""
    return PrototypeSource(config) if config.from_video_level is None else MeanSource(config)


def make_id(seed, split, index):
    """A video's id: four characters, unique in the set. bytes."""
    number = index * len(SPLITS) + SPLITS.index(split)
    # 7_368_787 and 62 ** 4 have no common factor, so numbers stay unique while neighboring ids look different.
    number = (number * 7_368_787 + seed * 1_000_003) % _NUM_IDS
    return bytes(_CHARACTERS[number // 62**place % 62] for place in range(4))


def _generator(config, split, index, stream):
    return statistics.generator(config.seed, SPLITS.index(split), index, stream)


class PrototypeSource:
    """Videos about classes, made from the configuration alone."""

    def __init__(self, config):
        self._config = config
        self._prototypes = prototypes.Prototypes(config.seed, config.num_classes, config.segments)
        self._is_rateable = np.ones(config.num_classes, bool)
        if config.rates_official_classes:
            self._is_rateable = np.isin(np.arange(config.num_classes), read_segment_classes())

    def count_train_labels(self):
        """How many train videos have each class. int64 [num_classes]."""
        counts = np.zeros(self._config.num_classes, np.int64)
        for index in range(self._config.num_train_videos):
            counts[self._labels("train", index)[1]] += 1
        return counts

    def videos(self, split, start, stop):
        """Yields Videos start .. stop - 1 of a split."""
        for index in range(start, stop):
            shown, written = self._labels(split, index)
            rng = _generator(self._config, split, index, _FRAMES)
            codes, visible = prototypes.labeled_video(rng, self._prototypes, shown, self._config.max_frames)
            ratings = ()
            if self._config.segments and split == "validate":  # the only split that has ratings in 2019
                rng = _generator(self._config, split, index, _RATINGS)
                ratings = segments.draw_ratings(rng, self._prototypes.classes, shown, written, visible, self._is_rateable)
            labels = None if split == "test" else written
            yield records.Video(make_id(self._config.seed, split, index), labels, codes, ratings)

    def _labels(self, split, index):
        return self._prototypes.classes.draw(_generator(self._config, split, index, _LABELS))


class MeanSource:
    """Videos around the means of official video-level records: the first go to train, the next to validate, then test.

    Videos keep the records' ids and labels, except that test videos have no labels. Files beyond those that are needed are
    not opened.
    """

    def __init__(self, config):
        self._config, self._counts, needed = config, [], sum(config.sizes.values())
        self._paths = sorted(file_access.find(config.from_video_level))
        self._require(self._paths, "matches no file. Quote the pattern in your shell.")
        for path in self._paths:
            if sum(self._counts) < needed:
                self._counts.append(sum(1 for _ in self._serialized(path)))
        found, sizes = sum(self._counts), ", ".join(f"{size} {split}" for split, size in config.sizes.items())
        reason = f"holds {found} records; {needed} were asked for ({sizes}). Ask for fewer, or name more files."
        self._require(found >= needed, reason)

    def count_train_labels(self):
        """How many train videos have each class. int64 [num_classes].

        SettingError if a record that will be used is invalid, has no label or one outside the classes, or a duplicate id.
        """
        counts, seen = np.zeros(self._config.num_classes, np.int64), set()
        for split, size in self._config.sizes.items():
            for video_id, labels, _ in self._means(split, 0, size):
                record = f"the record with id {video_id!r}"
                self._require(video_id not in seen, f"{record} is a duplicate. Name each file once.")
                reason = f"{record} has no labels, which {split} videos need. Name files of another split."
                self._require(labels or split == "test", reason)
                record = f"{record} of {self._config.from_video_level}"
                for label in labels:
                    reason = f"{record} has label {label}. The 2018 set has 3862 classes, the 2017 set 4716."
                    require(0 <= label < self._config.num_classes, "num_classes", reason, self._config.num_classes)
                seen.add(video_id)
                if split == "train":
                    counts[sorted(set(labels))] += 1
        return counts

    def videos(self, split, start, stop):
        """Yields Videos start .. stop - 1 of a split."""
        for index, (video_id, labels, mean) in enumerate(self._means(split, start, stop), start):
            codes = videos.around_mean(_generator(self._config, split, index, _FRAMES), mean, self._config.max_frames)
            yield records.Video(video_id, None if split == "test" else labels, codes)

    def _means(self, split, start, stop):
        """Yields id, labels and mean, float32 [1152], of records start .. stop - 1 of a split."""
        before = sum(list(self._config.sizes.values())[: SPLITS.index(split)])
        start, stop = before + start, before + stop
        for path, count in zip(self._paths, self._counts):
            if start < count and stop > 0:
                first = max(start, 0)
                for number, serialized in enumerate(self._serialized(path, first, min(stop, count)), first):
                    yield self._parse(serialized, f"{path}, record {number}")
            start, stop = start - count, stop - count

    def _serialized(self, path, start=0, stop=-1):
        try:
            records = with_quick_iterators(tf.data.TFRecordDataset(file_access.local_path(path)))
            yield from records.take(stop).skip(start).as_numpy_iterator()
        except tf.errors.OpError as error:
            raise self._error(f"{path} cannot be read as a TFRecord file: {error.message}") from error

    def _parse(self, serialized, where):
        try:
            features = tf.train.Example.FromString(serialized).features.feature
        except Exception as error:  # protobuf's DecodeError, whose import path differs between its versions
            raise self._error(f"{where} is not a tf.train.Example.") from error

        def values(name, kind):
            return getattr(features[name], kind).value if name in features else ()

        parts = [np.array(values(name, "float_list"), np.float32) for name in schema.VIDEO_FEATURES]
        for name, part in zip(schema.VIDEO_FEATURES, parts):
            size, finite = schema.FEATURE_SIZES[name], int(np.isfinite(part).sum())
            reason = (
                f"{where}: {name} must hold {size} finite numbers. Received: {len(part)} numbers, {finite} of them finite. "
                "Are these video-level files?"
            )
            self._require(len(part) == size == finite, reason)
        ids = [value for key in schema.ID_KEYS for value in values(key, "bytes_list")]
        reason = f"{where}: there must be one id, under {' or '.join(schema.ID_KEYS)}. Received: {len(ids)}."
        self._require(len(ids) == 1, reason)
        return ids[0], list(values(schema.LABELS_KEY, "int64_list")), np.concatenate(parts)

    def _require(self, condition, reason):
        if not condition:
            raise self._error(reason)

    def _error(self, reason):
        return SettingError("from_video_level", reason, self._config.from_video_level)
