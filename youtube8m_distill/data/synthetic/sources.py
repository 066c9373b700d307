"""Where the videos of a synthetic set come from: class prototypes, or the means of official video-level files.

A source has `count_train_labels()`, which also checks all of its input, and `videos(split, start, stop)`.
"""

import string

import numpy as np

from youtube8m_distill.config.synthetic import SPLITS
from youtube8m_distill.data.synthetic import prototypes, records, statistics, videos
from youtube8m_distill.settings import require

_LABELS, _FRAMES = 0, 1  # a video's two streams of random numbers: labels can be drawn without frames

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
        self._prototypes = prototypes.Prototypes(config.seed, config.num_classes)

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
            codes = prototypes.labeled_video(rng, self._prototypes, shown, self._config.max_frames)
            yield records.Video(make_id(self._config.seed, split, index), None if split == "test" else written, codes)

    def _labels(self, split, index):
        return self._prototypes.classes.draw(_generator(self._config, split, index, _LABELS))


class MeanSource:
    """Videos around the means of official video-level records: the first go to train, the next to validate, then test.

    Videos keep the records' ids and labels, except that test videos have no labels.
    """

    def __init__(self, config):
        self._config = config
        needed = sum(config.sizes.values())
        self._files = records.VideoLevelFiles(config.from_video_level, needed)
        sizes = ", ".join(f"{size} {split}" for split, size in config.sizes.items())
        reason = f"holds {len(self._files)} records; {needed} were asked for ({sizes}). Ask for fewer, or name more files."
        require(len(self._files) >= needed, "from_video_level", reason, config.from_video_level)

    def count_train_labels(self):
        """How many train videos have each class. int64 [num_classes].

        SettingError if a record that will be used is invalid, has no label or one outside the classes, or a duplicate id.
        """
        counts, seen = np.zeros(self._config.num_classes, np.int64), set()
        for split, size in self._config.sizes.items():
            for mean in self._means(split, 0, size):
                self._check(mean, split, seen)
                seen.add(mean.video_id)
                if split == "train":
                    counts[sorted(set(mean.labels))] += 1
        return counts

    def _check(self, mean, split, seen):
        pattern, where = self._config.from_video_level, f"the record with id {mean.video_id!r}"
        reason = f"{where} is a duplicate. Name each file once."
        require(mean.video_id not in seen, "from_video_level", reason, pattern)
        reason = f"{where} has no labels, which {split} videos need. Name files of another split."
        require(mean.labels is not None or split == "test", "from_video_level", reason, pattern)
        for label in mean.labels or ():
            reason = f"{where} of {pattern} has label {label}. The 2018 set has 3862 classes, the 2017 set 4716."
            require(0 <= label < self._config.num_classes, "num_classes", reason, self._config.num_classes)

    def videos(self, split, start, stop):
        """Yields Videos start .. stop - 1 of a split."""
        for index, mean in enumerate(self._means(split, start, stop), start):
            codes = videos.around_mean(_generator(self._config, split, index, _FRAMES), mean.mean, self._config.max_frames)
            yield records.Video(mean.video_id, None if split == "test" else mean.labels, codes)

    def _means(self, split, start, stop):
        before = sum(list(self._config.sizes.values())[: SPLITS.index(split)])
        return self._files.read(before + start, before + stop)
