"""Videos about classes: each class has a prototype, and a video shows those of its labels.

content of a shot = strength * (sum of the prototypes of the labels seen in it / sqrt(number of labels) + offset)

Offset and strength are the video's own. Each label is visible in some shots only. Prototypes of a group share a part.
"""

import numpy as np

from youtube8m_distill.data.synthetic import statistics, videos

_WORLD = 1_000_000_007  # no (split, index) of a video starts with this number
_SAMPLE = 1000  # label sets from which the scale of the prototypes is computed
_TYPICAL_SHOTS = round(statistics.MEAN_LENGTH * statistics.SHOT_CHANGE)


class Classes:
    """Which classes a video has: Zipf frequencies, groups that occur together, noise."""

    def __init__(self, num_classes):
        self.num_classes = num_classes
        frequencies = 1.0 / np.arange(1, num_classes + 1)
        self._cumulative = np.cumsum(frequencies / frequencies.sum())

    def draw(self, rng):
        """The labels that a video shows (in the order drawn), and those stored for it (sorted), equally many. int lists."""
        shown = [self._any(rng)]
        group = shown[0] // statistics.GROUP_SIZE
        count = min(rng.geometric(1 / statistics.MEAN_LABELS), statistics.MOST_LABELS, self.num_classes)
        while len(shown) < count:
            label = self._of_group(rng, group) if rng.random() < statistics.SAME_GROUP else self._any(rng)
            if label not in shown:
                shown.append(label)
        written = list(shown)
        for place in np.flatnonzero(rng.random(len(shown)) < statistics.LABEL_NOISE):
            wrong = self._any(rng)
            if wrong not in written and wrong not in shown:
                written[place] = wrong
        return shown, sorted(written)

    def _any(self, rng):
        return min(int(np.searchsorted(self._cumulative, rng.random(), side="right")), self.num_classes - 1)

    def _of_group(self, rng, group):
        first, last = group * statistics.GROUP_SIZE, min((group + 1) * statistics.GROUP_SIZE, self.num_classes)
        below = self._cumulative[first - 1] if first else 0.0
        position = below + rng.random() * (self._cumulative[last - 1] - below)
        return min(int(np.searchsorted(self._cumulative, position, side="right")), last - 1)


class Prototypes:
    """What classes look like, as a function of (seed, num_classes), scaled to the measured variance between videos."""

    def __init__(self, seed, num_classes):
        rng = statistics.generator(seed, _WORLD)
        self.classes = Classes(num_classes)
        profile = np.sqrt(statistics.BETWEEN)
        groups = rng.standard_normal((-(-num_classes // statistics.GROUP_SIZE), statistics.SIZE), dtype=np.float32)
        own = rng.standard_normal((num_classes, statistics.SIZE), dtype=np.float32)
        shared = groups[np.arange(num_classes) // statistics.GROUP_SIZE]
        share = statistics.GROUP_SHARE
        self.vectors = (np.sqrt(share) * shared + np.sqrt(1 - share) * own) * profile  # [C, 1152]
        self._scale(rng)

    def _scale(self, rng):
        """Scales and centers the prototypes on a sample of label sets, to explain LABELS_EXPLAIN of the variance."""
        means, toggling = zip(*(self._sample(rng) for _ in range(_SAMPLE)))
        explained, toggling = np.var(means, axis=0), np.mean(toggling, axis=0)
        factor = np.empty(statistics.SIZE, dtype=np.float32)
        for part in statistics.PARTS.values():
            factor[part] = statistics.LABELS_EXPLAIN * statistics.BETWEEN[part].mean() / explained[part].mean()
        self.vectors *= np.sqrt(factor)
        self.center = np.mean(means, axis=0) * np.sqrt(factor)
        # Changing labels are part of the variance between shots; the looks of shots have the rest.
        self.shot_variance = np.maximum(statistics.LOOK - toggling * factor, 0).astype(np.float32)

    def _sample(self, rng):
        """The labels' part of a video's mean, and the variance that changing labels add within the video."""
        shown, _ = self.classes.draw(rng)
        seen = _draw_visibility(rng, _TYPICAL_SHOTS, len(shown)).mean(axis=0)
        vectors = self.vectors[shown] / np.sqrt(np.float32(len(shown)))
        return seen @ vectors, (seen * (1 - seen)) @ np.square(vectors)


def _draw_visibility(rng, num_shots, num_labels):
    """Which labels a shot shows: each with probability VISIBLE, at least one shot each. float32 [shots, labels]."""
    visible = rng.random((num_shots, num_labels)) < statistics.VISIBLE
    visible[rng.integers(num_shots, size=num_labels), np.arange(num_labels)] = True
    return visible.astype(np.float32)


def labeled_video(rng, prototypes, shown, max_frames=statistics.LONGEST):
    """The frames of a video that shows the given classes, at least one. uint8 [at most max_frames, 1152]."""
    shots = videos.draw_shots(rng, statistics.draw_length(rng, max_frames))
    visible = _draw_visibility(rng, shots[-1] + 1, len(shown))  # [S, n]
    offset = rng.standard_normal(statistics.SIZE, dtype=np.float32) * np.sqrt(statistics.OFFSET) - prototypes.center
    content = visible @ prototypes.vectors[shown] / np.sqrt(np.float32(len(shown))) + offset  # [S, 1152]
    strength = np.exp(statistics.SPREAD * np.float32(rng.standard_normal()) - statistics.SPREAD**2)
    frames = videos.presence(len(shots)) * (content * strength)[shots]
    frames += videos.draw_around(rng, shots, prototypes.shot_variance)
    # Clipping shrinks means; the bytes keep the mean that was drawn, which has the measured statistics.
    return videos.codes_with_mean(frames, frames.mean(axis=0))
