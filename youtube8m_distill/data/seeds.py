"""Seeds of all random draws of the reader: functions of the run's seed, the epoch and the video alone."""

import hashlib

import tensorflow as tf

EPOCH_BITS = 20  # a million epochs for each seed before two (seed, epoch) pairs meet
FIRST_DERIVED = 2**31  # larger than any seed of a run


def stage_seed(seed: int, stage: int) -> int:
    """The seed of a stage of a training: the run's own for stage 0, otherwise one that no run and no other stage has."""
    if not stage:
        return seed
    digest = hashlib.blake2b(f"{seed} {stage}".encode(), digest_size=5).digest()
    return FIRST_DERIVED + int.from_bytes(digest, "big")  # below 2**41, so `epoch_seed` fits in 64 bits


def epoch_seed(seed, epoch):
    """A number for each (seed, epoch). int64 scalar."""
    return tf.cast(seed, tf.int64) * 2**EPOCH_BITS + tf.cast(epoch, tf.int64)


def frame_seeds(video_ids, seed, epochs):
    """The seeds of `random` frames. string [B], int, int64 [B] -> int64 [B, 2]."""
    return tf.stack([tf.strings.to_hash_bucket_fast(video_ids, 2**62), epoch_seed(seed, epochs)], axis=1)
