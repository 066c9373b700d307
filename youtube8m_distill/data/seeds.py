"""Seeds of all random draws of the reader: functions of the run's seed, the epoch and the video alone."""

import tensorflow as tf

EPOCH_BITS = 20  # a million epochs for each seed before two (seed, epoch) pairs meet


def epoch_seed(seed, epoch):
    """A number for each (seed, epoch). int64 scalar."""
    return tf.cast(seed, tf.int64) * 2**EPOCH_BITS + tf.cast(epoch, tf.int64)


def frame_seeds(video_ids, seed, epochs):
    """The seeds of `random` frames. string [B], int, int64 [B] -> int64 [B, 2]."""
    return tf.stack([tf.strings.to_hash_bucket_fast(video_ids, 2**62), epoch_seed(seed, epochs)], axis=1)
