"""Videos about classes: each class has a prototype, and a video shows those of its labels.

content of a shot = strength * (sum of the prototypes of the labels seen in it / sqrt(number of labels) + offset)

Offset and strength are the video's own. Each label is visible in some shots only. Prototypes of a group share a part.

With segments, a label is visible in a few runs of shots, and the contexts of all labels are added to the sum in every shot:
they tell that a video has a label, but not when.
"""

import numpy as np

from youtube8m_distill.data.synthetic import segments, statistics, videos

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
        shown = [self.draw_one(rng)]
        group = shown[0] // statistics.GROUP_SIZE
        count = min(rng.geometric(1 / statistics.MEAN_LABELS), statistics.MOST_LABELS, self.num_classes)
        while len(shown) < count:
            label = self._of_group(rng, group) if rng.random() < statistics.SAME_GROUP else self.draw_one(rng)
            if label not in shown:
                shown.append(label)
        written = list(shown)
        for place in np.flatnonzero(rng.random(len(shown)) < statistics.LABEL_NOISE):
            wrong = self.draw_one(rng)
            if wrong not in written and wrong not in shown:
                written[place] = wrong
        return shown, sorted(written)

    def draw_one(self, rng):
        """A class, by its frequency. int."""
        return min(int(np.searchsorted(self._cumulative, rng.random(), side="right")), self.num_classes - 1)

    def _of_group(self, rng, group):
        first, last = group * statistics.GROUP_SIZE, min((group + 1) * statistics.GROUP_SIZE, self.num_classes)
        below = self._cumulative[first - 1] if first else 0.0
        position = below + rng.random() * (self._cumulative[last - 1] - below)
        return min(int(np.searchsorted(self._cumulative, position, side="right")), last - 1)


class Prototypes:
    """What classes look like, as a function of the arguments, scaled to the measured variance between videos."""

    def __init__(self, seed, num_classes, in_spans=False):
        rng = statistics.generator(seed, _WORLD)
        self.classes = Classes(num_classes)
        self.draw_visibility = segments.draw_spans if in_spans else _draw_visibility
        profile = np.sqrt(statistics.BETWEEN)
        groups = rng.standard_normal((-(-num_classes // statistics.GROUP_SIZE), statistics.SIZE), dtype=np.float32)
        own = rng.standard_normal((num_classes, statistics.SIZE), dtype=np.float32)
        shared = groups[np.arange(num_classes) // statistics.GROUP_SIZE]
        share = statistics.GROUP_SHARE
        self.vectors = (np.sqrt(share) * shared + np.sqrt(1 - share) * own) * profile  # [C, 1152]
        self.contexts = np.zeros_like(self.vectors)
        if in_spans:
            own = rng.standard_normal((num_classes, statistics.SIZE), dtype=np.float32)
            self.contexts = np.sqrt(statistics.CONTEXT) * own * profile
        self._scale(rng)

    def _scale(self, rng):
        """Scales and centers the prototypes on a sample of label sets, to explain LABELS_EXPLAIN of the variance."""
        means, toggling = zip(*(self._sample(rng) for _ in range(_SAMPLE)))
        explained, toggling = np.var(means, axis=0), np.mean(toggling, axis=0)
        factor = np.empty(statistics.SIZE, dtype=np.float32)
        for part in statistics.PARTS.values():
            factor[part] = statistics.LABELS_EXPLAIN * statistics.BETWEEN[part].mean() / explained[part].mean()
        self.vectors *= np.sqrt(factor)
        self.contexts *= np.sqrt(factor)
        self.center = np.mean(means, axis=0) * np.sqrt(factor)
        # Changing labels are part of the variance between shots; the looks of shots have the rest.
        self.shot_variance = np.maximum(statistics.LOOK - toggling * factor, 0).astype(np.float32)

    def _sample(self, rng):
        """The labels' part of a video's mean, and the variance that changing labels add within the video."""
        shown, _ = self.classes.draw(rng)
        seen = self.draw_visibility(rng, _TYPICAL_SHOTS, len(shown)).mean(axis=0)
        vectors, contexts = (part[shown] / np.sqrt(np.float32(len(shown))) for part in (self.vectors, self.contexts))
        return seen @ vectors + contexts.sum(axis=0), (seen * (1 - seen)) @ np.square(vectors)


def _draw_visibility(rng, num_shots, num_labels):
    """Which labels a shot shows: each with probability VISIBLE, at least one shot each. float32 [shots, labels]."""
    visible = rng.random((num_shots, num_labels)) < statistics.VISIBLE
    visible[rng.integers(num_shots, size=num_labels), np.arange(num_labels)] = True
    return visible.astype(np.float32)


def labeled_video(rng, prototypes, shown, max_frames=statistics.LONGEST):
    """A video that shows the given classes, at least one.

    Returns:
        codes: uint8 [at most max_frames, 1152].
        visible: bool [num_frames, len(shown)], which of the classes each frame shows.
    """
    shots = videos.draw_shots(rng, statistics.draw_length(rng, max_frames))
    visible = prototypes.draw_visibility(rng, shots[-1] + 1, len(shown))  # [S, n]
    offset = rng.standard_normal(statistics.SIZE, dtype=np.float32) * np.sqrt(statistics.OFFSET) - prototypes.center
    labels = visible @ prototypes.vectors[shown] + prototypes.contexts[shown].sum(axis=0)
    content = labels / np.sqrt(np.float32(len(shown))) + offset  # [S, 1152]
    strength = np.exp(statistics.SPREAD * np.float32(rng.standard_normal()) - statistics.SPREAD**2)
    frames = videos.presence(len(shots)) * (content * strength)[shots]
    frames += videos.draw_around(rng, shots, prototypes.shot_variance)
    # Clipping shrinks means; the bytes keep the mean that was drawn, which has the measured statistics.
    return videos.codes_with_mean(frames, frames.mean(axis=0)), visible[shots] > 0
