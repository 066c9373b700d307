"""The constants of synthetic videos, and where each comes from.

"Measured": statistics of some 5,900 real videos of the 2018 validation set, or of one frame-level video of 170 frames.
"Solved": follows from several of those. "Chosen": no measurement behind it. All were fixed before any training, except
CONTEXT.
"""

import dataclasses
import math

import numpy as np

from youtube8m_distill.config.synthetic import MAX_FRAMES

LONGEST = MAX_FRAMES
QUANTILES = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.71, 1 - 1 / 5978, 1.0)
LENGTHS = (1, 121, 129, 140, 175, 232, 300, 300, LONGEST)  # measured, at these quantiles; 29 % have the full 300

MEAN_LABELS, MOST_LABELS = 3.0, 19  # measured; the geometric distribution between fits both
GROUP_SIZE = 8  # chosen: classes that occur together, neighbors in frequency
SAME_GROUP = 0.7  # chosen: probability that a further label is in the group of the first
GROUP_SHARE = 0.3  # chosen: how much of a prototype's variance its group shares
LABEL_NOISE = 0.1  # chosen: probability that an unrelated class replaces a label: one missing, one wrong
LABELS_EXPLAIN = 0.5  # chosen, by symmetry: share of the variance between videos that labels explain
VISIBLE = 0.5  # chosen, by symmetry: a label is visible in half of the shots (at least in one)

# With segments:
MOST_SPANS = 3  # chosen: a label is visible in one to three spans
CONTEXT = 0.5  # chosen: variance of what all frames of a video show of a label, relative to its prototype's. With 0, linear
# classifiers trained on videos ranked segments as well as those trained on segments
RATED_SEGMENTS = 5  # documented for 2019, on average
RATED_LABEL = 0.5  # chosen: probability that a label is rated in a rated segment (at least one is)
RATED_OTHER = 0.1  # chosen: probability that a class that the video does not have is rated, too

MEAN_LENGTH = 229.8  # measured
SHOT_CHANGE = 0.2  # a second. Autocorrelation from lag 5 to 10: 0.14, 0.04 in rgb, 0.20, 0.08 in audio
# (measured), so 1 - (0.04/0.14)^(1/5) = 0.22 and 1 - (0.08/0.20)^(1/5) = 0.17
PRESENCE = np.array([1.0, 1.0, 1.0, 0.75, 0.5])  # chosen, by fifth of the video: its end is least informative


@dataclasses.dataclass(frozen=True)
class FeatureStatistics:
    """How one feature varies between and within videos. Variances are per dimension."""

    size: int
    mean_norm: float  # measured: norm of a video's mean, on average
    first: float  # measured: variance between videos in the first (PCA) dimensions
    last: float  # measured: the same in the last one
    fall: float  # solved: from first to last like exp(-d / (fall * size)), for the measured average
    within: float  # measured: variance of frames around their video's mean
    clipping: float  # solved: factor on `within` that makes up for clipping to -2 .. 2
    shot: float  # solved: share of `within` that is the look of a shot
    closing: float  # solved: variance of the looks of the fourth and of the last fifth
    neighbor: float  # solved: weight of the previous second's noise in this one's

    def __post_init__(self):
        assert np.min(self.noise) > 0 and np.min(self.offset) > 0, "the other parts leave no variance for noise and offset"

    @property
    def between(self):
        """Variance between videos. float64 [size]."""
        return self.last + (self.first - self.last) * np.exp(-np.arange(self.size) / (self.fall * self.size))

    @property
    def look(self):
        """Variance of the looks of shots, before clipping."""
        return self.shot * self.within * self.clipping

    @property
    def noise(self):
        """Variance of the noise: the variance within videos minus all other parts. float64 [size]."""
        fading = np.var(PRESENCE / PRESENCE.mean()) * self.between
        return (1 - self.shot) * self.within * self.clipping - 2 * 0.2 * (1 - 0.2) * self.closing - fading

    @property
    def offset(self):
        """Variance of a video's own offset: that between videos minus labels, averaged looks and noise. float64 [size]."""
        shots = self.look * (2 - SHOT_CHANGE) / SHOT_CHANGE / MEAN_LENGTH  # sum of its autocorrelations
        noise = self.noise * (1 + self.neighbor) ** 2 / (1 + self.neighbor**2) / MEAN_LENGTH
        return (1 - LABELS_EXPLAIN) * self.between - shots - noise - 2 * 0.2**2 * self.closing

    @property
    def spread(self):
        """Standard deviation of the log of a video's strength, from the mean and the mean square of the norms."""
        return np.sqrt(np.log(self.size * self.between.mean() / self.mean_norm**2))


RGB = FeatureStatistics(
    1024, mean_norm=13.7, first=0.66, last=0.16, fall=0.1, within=0.94, clipping=1.21, shot=0.34, closing=0.14, neighbor=0.18
)
AUDIO = FeatureStatistics(
    128, mean_norm=7.5, first=0.47, last=0.47, fall=1.0, within=0.85, clipping=1.31, shot=0.54, closing=0.1, neighbor=0.08
)
SIZE = RGB.size + AUDIO.size
PARTS = {"rgb": slice(0, 1024), "audio": slice(1024, 1152)}


def per_dimension(name):
    """A number of each feature, for every dimension of a frame: rgb, then audio. float32 [1152]."""
    parts = [np.broadcast_to(getattr(feature, name), feature.size) for feature in (RGB, AUDIO)]
    return np.concatenate(parts).astype(np.float32)


BETWEEN, LOOK, NOISE, CLOSING, NEIGHBOR, OFFSET, SPREAD = map(
    per_dimension, ("between", "look", "noise", "closing", "neighbor", "offset", "spread")
)


def generator(*key):
    """A random generator that depends only on the key (whole numbers from 0)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def draw_length(rng, max_frames=LONGEST):
    """Draws the number of frames of a video, distributed as measured, at most `max_frames`. int."""
    return min(math.ceil(np.interp(rng.random(), QUANTILES, LENGTHS)), max_frames)
