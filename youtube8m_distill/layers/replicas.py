"""The replicas of a training step, as layers see them. TensorFlow is imported only where it is the backend."""

import keras
from keras import KerasTensor


def num_replicas() -> int:
    """Number of replicas over all machines."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_index() -> KerasTensor | int:
    """Index of the replica that runs this code, from 0 over all machines. An int64 scalar, or 0 where there is only one."""
    if num_replicas() == 1:
        return 0
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return tf.cast(0 if context is None else context.replica_id_in_sync_group, tf.int64)


def sum_over_replicas(tensors: list[KerasTensor]) -> list[KerasTensor]:
    """The same tensors, each summed over all replicas. Gradients pass through the sum."""
    if num_replicas() == 1:
        return tensors
    import tensorflow as tf

    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)
