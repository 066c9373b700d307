"""Records of the official layout, from arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from youtube8m_distill import schema


def serialized_record(video_id: bytes, features: Mapping[str, np.ndarray], labels: Sequence[int] | None) -> bytes:
    """A serialized SequenceExample of a video.

    Args:
        features: name -> array [frames, size]; uint8 is stored as bytes, float32 as floats.
        labels: numbers of classes; None leaves them out.
    """
    example = tf.train.SequenceExample()
    context = example.context.feature
    context[schema.ID_KEYS[0]].bytes_list.value.append(video_id)
    if labels is not None:
        context[schema.LABELS_KEY].int64_list.value.extend(labels)
    for name, frames in features.items():
        stored = example.feature_lists.feature_list[name].feature
        for frame in frames:
            if frames.dtype == np.uint8:
                stored.add().bytes_list.value.append(frame.tobytes())
            else:
                stored.add().float_list.value.extend(frame)
    return example.SerializeToString(deterministic=True)
