"""The frames of a synthetic video, given its content: a mean here, labels in `prototypes`. Pure numpy.

A frame is   presence(t) * content(shot of t)  +  look of that shot  +  look of the closing fifth  +  noise.
"""

import numpy as np

from youtube8m_distill import schema
from youtube8m_distill.data.quantize import quantize
from youtube8m_distill.data.synthetic import statistics

# What the bytes 0 and 255 stand for.
LOWEST, HIGHEST = schema.DEQUANTIZE_BIAS, schema.DEQUANTIZE_BIAS + 255 * schema.DEQUANTIZE_SCALE


def draw_shots(rng, num_frames):
    """Cuts a video into shots of 1 / SHOT_CHANGE seconds on average. int [num_frames]: the shot of each frame."""
    changes = rng.random(num_frames) < statistics.SHOT_CHANGE
    changes[0] = False
    return np.cumsum(changes)


def _fifths(num_frames):
    return 5 * np.arange(num_frames) // num_frames


def draw_around(rng, shots, shot_variance):
    """What frames show besides the content: looks of shots, looks of the closing fifths, and noise.

    rng, int [num_frames], variance of a shot's look, float32 [1152] -> float32 [num_frames, 1152].
    """
    steps = rng.standard_normal((len(shots) + 1, statistics.SIZE), dtype=np.float32)
    around = steps[1:] + statistics.NEIGHBOR * steps[:-1]  # [T, 1152]
    around *= np.sqrt(statistics.NOISE / (1 + statistics.NEIGHBOR**2))
    looks = rng.standard_normal((shots[-1] + 1, statistics.SIZE), dtype=np.float32) * np.sqrt(shot_variance)
    around += looks[shots]
    fifths = _fifths(len(shots))
    for fifth in (3, 4):
        around[fifths == fifth] += rng.standard_normal(statistics.SIZE, dtype=np.float32) * np.sqrt(statistics.CLOSING)
    return around


def presence(num_frames):
    """Strength of the content in each frame; 1 on average. float32 [num_frames, 1]."""
    weights = statistics.PRESENCE[_fifths(num_frames)]
    return (weights / weights.mean()).astype(np.float32)[:, None]


def codes_with_mean(frames, mean):
    """Quantizes frames so that their bytes have this mean, to half a step divided by the number of frames.

    Frames are shifted until their clipped mean is right; then single bytes are moved by one step to correct rounding. With
    a mean at an end of the range, all frames are that end.

    float32 [num_frames, dim], float [dim], clipped to the range of stored features -> uint8 [num_frames, dim].
    """
    mean = np.clip(mean, LOWEST, HIGHEST)
    frames = frames + (mean - frames.mean(axis=0)).astype(np.float32)
    columns = np.arange(frames.shape[1])
    for _ in range(10):
        part = frames[:, columns]
        missing = mean[columns] - np.clip(part, LOWEST, HIGHEST).mean(axis=0)
        far = np.abs(missing) > schema.DEQUANTIZE_SCALE / 4
        if not far.any():
            break
        columns, part, missing = columns[far], part[:, far], missing[far]
        # Newton's step: a shift moves the mean only by the values inside the range.
        inside = np.mean(np.abs(part) < schema.QUANTIZED_HIGH, axis=0)
        frames[:, columns] += (missing / np.maximum(inside, 0.05)).astype(np.float32)
    total = np.rint((mean - schema.DEQUANTIZE_BIAS) / schema.DEQUANTIZE_SCALE * len(frames)).astype(np.int64)
    return _settle(quantize(frames), total)


def _settle(codes, total):
    """Moves codes by single steps, each at most once a pass, until every column sums to `total`."""
    missing = total - codes.sum(axis=0, dtype=np.int64)
    columns = np.flatnonzero(missing)
    while len(columns):
        part, direction = codes[:, columns], np.sign(missing[columns])
        free = part != np.where(direction > 0, 255, 0)
        moved = free & (np.cumsum(free, axis=0, dtype=np.int16) <= np.abs(missing[columns]))
        codes[:, columns] = part + (direction * moved).astype(np.int16)
        missing[columns] -= direction * moved.sum(axis=0)
        columns = columns[missing[columns] != 0]
    return codes


def around_mean(rng, mean, max_frames=statistics.LONGEST):
    """A video around a mean, float32 [1152], kept as by `codes_with_mean`. uint8 [at most max_frames, 1152]."""
    shots = draw_shots(rng, statistics.draw_length(rng, max_frames))
    frames = presence(len(shots)) * mean + draw_around(rng, shots, statistics.LOOK)
    return codes_with_mean(frames, mean)
