"""Which frames networks read: the indices for each video, and a few numbers that describe them.

Source: slides of CVPR 2019, "Comparison of frame-indices picked by different models".
"""

import numpy as np

from youtube8m_distill import runs, schema
from youtube8m_distill.data.bad_records import naming_bad_records
from youtube8m_distill.engine.predictor import Predictor

NOT_READ = -1


class _Decisions:
    """An output function of a Predictor: the indices of the frames that a network has chosen."""

    reads_labels = False

    def __call__(self, outputs, labels, weights=None):
        return {schema.FRAME_INDICES: outputs["decisions"][schema.FRAME_INDICES]}


def read_choices(loaded: runs.LoadedNetwork, shards, k: int):
    """The frames of each video that a network reads in evaluation, in the order of the files.

    Args:
        loaded: a network that chooses its frames, or one that reads those of its FrameView.
        shards: tuple of data.tfrecord.Shard.
        k: the most frames that it reads of a video.
    Returns:
        (int [N, k], increasing indices of frames, then NOT_READ; int [N], the number of frames of each video)
    """
    dataset = loaded.make_dataset(shards, loaded.batch_size, with_labels=False)
    chooses = getattr(loaded.network.encoder, "makes_decisions", False)
    parts, lengths = [], []
    with naming_bad_records(shards):
        batches = (
            Predictor(loaded.network, loaded.role, loaded.predictor.strategy, _Decisions())(dataset) if chooses else dataset
        )
        for batch in batches:
            indices = batch[schema.FRAME_INDICES] if chooses else selected(batch[loaded.role])
            parts.append(np.pad(indices, [(0, 0), (0, k - indices.shape[1])], constant_values=NOT_READ))
            lengths.append(np.minimum(batch[schema.STORED_FRAMES], loaded.config.max_video_frames))
    return np.concatenate(parts), np.concatenate(lengths)


def selected(seen):
    """The frame indices of one role's part of a batch, NOT_READ in rows that pad it. int [B, rows]."""
    indices, num_frames = np.asarray(seen[schema.FRAME_INDICES]), np.asarray(seen[schema.NUM_FRAMES])
    return np.where(np.arange(indices.shape[1]) < num_frames[:, None], indices, NOT_READ)


def describe(indices, video_frames) -> dict:
    """Numbers that describe which frames of some videos were read.

    Args:
        indices: int [N, k], NOT_READ after the last frame that was read.
        video_frames: int [N].
    Returns:
        dict with `num_videos`; the means over the videos `video_frames` and `frames_read`; `reads`, a list with `mean`,
        `deviation`, and `num_videos` of the first, second, ... frame that was read, without those that no video has; and
        `distance`, the mean over videos of `distances_from_uniform`.
    """
    is_read = indices != NOT_READ
    columns = [column[mask] for column, mask in zip(indices.T, is_read.T) if mask.any()]
    return {
        "num_videos": len(indices),
        "video_frames": float(video_frames.mean()),
        "frames_read": float(is_read.sum(axis=1).mean()),
        "reads": [
            {"mean": float(column.mean()), "deviation": float(column.std()), "num_videos": len(column)} for column in columns
        ],
        "distance": float(distances_from_uniform(indices, video_frames).mean()),
    }


def distances_from_uniform(indices, video_frames):
    """How far the frames of each video are from evenly spaced ones: the mean of |i_j - F_j|, in units of their spacing.

    F_j = floor(j n / min(k, n)) is what Uniform-k reads of a video with n frames. Frames that were not read do not count.

    Args:
        indices: int [N, k], as for `describe`.
        video_frames: int [N].
    Returns:
        float [N]; 0 for a video of which nothing was read.
    """
    lengths, k = np.maximum(video_frames, 1)[:, None], indices.shape[1]  # a video without frames would divide by 0
    counts, is_read = np.minimum(lengths, k), indices != NOT_READ
    offsets = np.abs(indices - np.arange(k) * lengths // counts) * counts / lengths
    return (offsets * is_read).sum(axis=1) / np.maximum(is_read.sum(axis=1), 1)
