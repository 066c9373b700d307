"""The replicas of a training step, as layers see them. TensorFlow is imported only where it is the backend."""

import keras
from keras import KerasTensor, ops


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


def gather_over_replicas(tensors: list[KerasTensor]) -> list[KerasTensor]:
    """The rows of all replicas' tensors, in their order: [batch, ...] to [num_replicas * batch, ...].

    All replicas must hold equally many rows. A row's gradient is the sum of the gradients that it gets on all replicas.
    """
    count = num_replicas()
    if count == 1:
        return tensors
    # A sum in which every replica fills its own rows: its gradient is known for every kind of communication.
    places = [ops.reshape(ops.one_hot(replica_index(), count, dtype=x.dtype), (count, *[1] * x.ndim)) for x in tensors]
    spread = [place * x[None] for place, x in zip(places, tensors, strict=True)]
    return [ops.reshape(x, (-1, *x.shape[2:])) for x in sum_over_replicas(spread)]


def own_rows(gathered: KerasTensor, num_rows: KerasTensor | int) -> KerasTensor:
    """This replica's rows of a result of `gather_over_replicas`, where each replica has `num_rows`."""
    start = ops.cast(replica_index(), "int32") * num_rows
    return gathered[start : start + num_rows]
