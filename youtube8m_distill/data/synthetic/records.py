"""Synthetic videos to serialized records of the official layout."""

import collections

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.config.synthetic import SEGMENT_FRAMES
from youtube8m_distill.data.quantize import dequantize
from youtube8m_distill.data.synthetic import statistics

# bytes, list or None, uint8 [num_frames, 1152], list of segments.Rating
Video = collections.namedtuple("Video", "video_id labels codes ratings", defaults=[()])


def frame_level_record(video, id_key):
    """A serialized SequenceExample of a Video. bytes."""
    example = tf.train.SequenceExample()
    _fill_context(example.context, video, id_key)
    if video.ratings:
        _fill_ratings(example.context, video.ratings)
    for name, part in statistics.PARTS.items():
        frames = example.feature_lists.feature_list[name].feature
        for codes in video.codes[:, part]:
            frames.add().bytes_list.value.append(codes.tobytes())
    return example.SerializeToString(deterministic=True)


def video_level_record(video, id_key):
    """A serialized Example with the means of a Video's dequantized frames. bytes."""
    example = tf.train.Example()
    _fill_context(example.features, video, id_key)
    mean = dequantize(video.codes).mean(axis=0, dtype=np.float64).astype(np.float32)
    for name, part in statistics.PARTS.items():
        example.features.feature[f"mean_{name}"].float_list.value.extend(mean[part])
    return example.SerializeToString(deterministic=True)


def _fill_context(features, video, id_key):
    features.feature[id_key].bytes_list.value.append(video.video_id)
    if video.labels is not None:
        features.feature[schema.LABELS_KEY].int64_list.value.extend(video.labels)


def _fill_ratings(features, ratings):
    starts, labels, scores = zip(*ratings)
    ends = [start + SEGMENT_FRAMES for start in starts]
    for key, values in zip(schema.SEGMENT_KEYS, (labels, starts, ends)):
        features.feature[key].int64_list.value.extend(values)
    features.feature[schema.SEGMENT_KEYS[-1]].float_list.value.extend(scores)
