"""Which frames of a video a role sees: functions `video_frames` int32 [B] -> frame indices, int32 [B, T], -1 in padding.

Integers only: in float32, a frame can come out one too low. A video of at most k frames gives each of
them once under every selection but `strided`. To add one: a function here, its name in SELECTIONS and in config.FrameView,
and its counterpart for one video in `plain_selection`.
"""

import typing

import tensorflow as tf

from youtube8m_distill import schema

# Constants of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
GOLDEN_GAMMA, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def strided(video_frames, every_n, longest=schema.MAX_FRAMES):
    """Frames 0, n, 2n, ... below the number of frames. int32 [B], at most `longest` -> int32 [B, ceil(longest / n)]."""
    return _first_of(tf.range(0, longest, every_n)[None], (video_frames + every_n - 1) // every_n)


def uniform(video_frames, k):
    """The beginnings of k equal spans of the video, the papers' F_0, F_j, F_2j, .... int32 [B] -> int32 [B, k]."""
    count = tf.minimum(video_frames, k)
    return _first_of(tf.range(k) * video_frames[:, None] // count[:, None], count)


def centered(video_frames, k):
    """The centers of k equal spans of the video. int32 [B] -> int32 [B, k]."""
    count = tf.minimum(video_frames, k)
    return _first_of((2 * tf.range(k) + 1) * video_frames[:, None] // (2 * count[:, None]), count)


def random(video_frames, k, seed, longest=schema.MAX_FRAMES):
    """At most k distinct frames of each video, in time order, each set of k as likely as any other.

    Every frame gets a number by hashing (seed, frame), and the k frames with the largest numbers are selected. So the same
    seed gives the same frames, and those of a smaller k are among those of a larger one.

    int32 [B], at most `longest`, int, int64 [B, 2] -> int32 [B, k].
    """
    # Without their lowest bit, draws are not negative as int64, which top_k can rank.
    draws = tf.cast(tf.bitwise.right_shift(_draws(seed, longest), tf.constant(1, tf.uint64)), tf.int64)
    exists = tf.range(longest)[None] < video_frames[:, None]
    _, taken = tf.math.top_k(tf.where(exists, draws, -1), k)  # [B, k]
    # Frames that do not exist have the largest indices, so sorting puts them at the end.
    return _first_of(tf.sort(taken, axis=1), tf.minimum(video_frames, k))


def jittered(video_frames, k, seed):
    """A random frame of each of the k equal spans that `uniform` and `centered` take one of.

    int32 [B], int, int64 [B, 2] -> int32 [B, k].
    """
    count = tf.minimum(video_frames, k)
    starts = tf.range(k + 1) * video_frames[:, None] // count[:, None]  # [B, k + 1]
    sizes = starts[:, 1:] - starts[:, :-1]
    draws = tf.cast(tf.bitwise.right_shift(_draws(seed, k), tf.constant(33, tf.uint64)), tf.int32)  # 0 .. 2**31 - 1
    return _first_of(starts[:, :-1] + draws % tf.maximum(sizes, 1), count)


def first(video_frames, k):
    """The k frames at the beginning. int32 [B] -> int32 [B, k]."""
    return _first_of(tf.range(k)[None], video_frames)


def middle(video_frames, k):
    """The k frames around the middle. int32 [B] -> int32 [B, k]."""
    count = tf.minimum(video_frames, k)
    return _first_of((video_frames - count)[:, None] // 2 + tf.range(k), count)


def last(video_frames, k):
    """The k real frames at the end. int32 [B] -> int32 [B, k]."""
    count = tf.minimum(video_frames, k)
    return _first_of((video_frames - count)[:, None] + tf.range(k), count)


def first_middle_last(video_frames, k):
    """A third of k from the beginning, a third from the end, the rest around the middle. int32 [B] -> int32 [B, k]."""
    side = k // 3
    center = k - 2 * side
    length = video_frames[:, None]
    beginning = tf.range(side) + 0 * length  # [B, side]
    wanted = tf.concat([beginning, (length - center) // 2 + tf.range(center), length - side + tf.range(side)], axis=1)
    # In a video of k frames or fewer the three parts overlap: take each frame once instead.
    return _first_of(tf.where(length > k, wanted, tf.range(k)), video_frames)


def _first_of(indices, count):
    """Each row up to its count, then -1. int32 [B or 1, T], int32 [B] -> int32 [B, T]."""
    return tf.where(tf.range(tf.shape(indices)[1]) < count[:, None], indices, -1)


def _draws(seed, count):
    """The first numbers of a random stream for each seed. int64 [B, 2], int -> uint64 [B, count]."""
    first, second = tf.unstack(tf.bitcast(seed, tf.uint64), axis=1)
    stream = _mixed(_mixed(first) + second)[:, None]  # [B, 1]
    return _mixed(stream + tf.cast(tf.range(1, count + 1), tf.uint64) * tf.constant(GOLDEN_GAMMA, tf.uint64))


def _mixed(bits):
    """The mixing function of SplitMix64: every bit of the result depends on every bit of the argument. uint64 -> uint64."""
    for shift, factor in ((30, MIX_1), (27, MIX_2), (31, 1)):
        folded = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint64)))
        bits = folded * tf.constant(factor, tf.uint64)
    return bits


SELECTIONS: dict[str, typing.Any] = {"all": first} | {
    function.__name__: function for function in (strided, uniform, centered, random, first, middle, last, first_middle_last)
}


def select(view, stored_frames, seed, jitter=False):
    """The frames that one role sees of each video: each row ascending and below the number of frames, then -1.

    With `jitter`, a view that takes one frame of each of k equal spans sees `jittered` frames.

    config.FrameView, int32 [B] from 1, int64 [B, 2] (for random draws only) -> int32 [B, view.max_frames].
    """
    choose, longest = SELECTIONS[view.frame_selection], view.max_video_frames
    video_frames = tf.minimum(stored_frames, longest)
    if jitter and view.takes_one_frame_per_span:
        indices = jittered(video_frames, view.max_frames, seed)
    elif choose is random:
        indices = random(video_frames, view.max_frames, seed, longest)
    elif choose is strided:
        indices = strided(video_frames, view.every_n, longest)
    else:
        indices = choose(video_frames, view.max_frames)
    return tf.ensure_shape(indices, [None, view.max_frames])
