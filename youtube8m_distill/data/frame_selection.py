"""Which frames of a video a network sees: functions from the number of frames to the indices of those it gets.

Integers throughout: in float32, frame 21 of 30 would land at 214 of 300 instead of 215. Where a video has no more
frames than are wanted, every selection but `strided` gives each of its frames once; padding is not decided here.
"""

import tensorflow as tf


def all_frames(num_frames):
    """Every frame. int32 scalar -> int32 [num_frames]."""
    return tf.range(num_frames)


def strided(num_frames, every_n):
    """Frames 0, n, 2n, ... below `num_frames`. int32 scalar -> int32 [ceil(num_frames / every_n)]."""
    return tf.range(0, num_frames, every_n)


def uniform(num_frames, k):
    """The centres of k equal spans of the video. int32 scalar -> int32 [min(k, num_frames)]."""
    count = tf.minimum(num_frames, k)
    return (2 * tf.range(count) + 1) * num_frames // (2 * count)


def random(num_frames, k, seed):
    """At most k distinct frames, in time order, each set of k as likely as any other.

    Args:
        num_frames: int32 scalar.
        k: int, how many frames.
        seed: int64 [2]. The same seed gives the same frames, and a smaller k gives some of a larger one's.
    Returns:
        int32 [min(k, num_frames)].
    """
    order = tf.random.experimental.stateless_shuffle(tf.range(num_frames), seed)
    return tf.sort(order[:k])


def first(num_frames, k):
    """The k frames at the beginning. int32 scalar -> int32 [min(k, num_frames)]."""
    return tf.range(tf.minimum(num_frames, k))


def middle(num_frames, k):
    """The k frames around the middle. int32 scalar -> int32 [min(k, num_frames)]."""
    count = tf.minimum(num_frames, k)
    return (num_frames - count) // 2 + tf.range(count)


def last(num_frames, k):
    """The k real frames at the end. int32 scalar -> int32 [min(k, num_frames)]."""
    count = tf.minimum(num_frames, k)
    return num_frames - count + tf.range(count)


def first_middle_last(num_frames, k):
    """A third of k from the beginning, a third from the end, the rest around the middle.

    int32 scalar -> int32 [min(k, num_frames)].
    """
    side = k // 3
    centre = k - 2 * side
    wanted = tf.concat([tf.range(side),
                        (num_frames - centre) // 2 + tf.range(centre),
                        num_frames - side + tf.range(side)], axis=0)
    # In a video of k frames or fewer the three parts overlap: take each frame once instead.
    return tf.where(num_frames > k, wanted, tf.range(k))[:tf.minimum(num_frames, k)]


SELECTIONS = {
    "all": all_frames,
    "strided": strided,
    "uniform": uniform,
    "random": random,
    "first": first,
    "middle": middle,
    "last": last,
    "first_middle_last": first_middle_last,
}


def select(frames, num_frames, seed):
    """The frames one network sees of one video.

    Args:
        frames: config.FrameConfig.
        num_frames: int32 scalar in 1 .. MAX_FRAMES, the frames the video has.
        seed: int64 [2], read by `random` only.
    Returns:
        int32 [at most frames.max_frames], ascending, each below `num_frames`.
    """
    choose = SELECTIONS[frames.frame_selection]
    if choose is all_frames:
        return choose(num_frames)
    if choose is strided:
        return choose(num_frames, frames.every_n)
    if choose is random:
        return choose(num_frames, frames.frames_per_video, seed)
    return choose(num_frames, frames.frames_per_video)
