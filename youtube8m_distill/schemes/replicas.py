"""How the loss of each video becomes the loss of the global batch, on one replica or on several."""

import tensorflow as tf
from keras import ops

from youtube8m_distill.layers.replicas import num_replicas as num_replicas
from youtube8m_distill.layers.replicas import replica_index as replica_index
from youtube8m_distill.layers.replicas import sum_over_replicas as sum_over_replicas


def mean_over_global_batch(per_video: tf.Tensor) -> tf.Tensor:
    """A mean whose gradient, summed over equally large replicas, is the gradient of the whole batch's mean.

    Args:
        per_video: float [batch].
    Returns:
        A scalar.
    """
    return ops.mean(per_video) / num_replicas()
