"""A frozen teacher's outputs as one row of numbers per video, for storage: the encoding, then the logits."""

import tensorflow as tf
from keras import ops

from youtube8m_distill.schemes.losses import logits_of
from youtube8m_distill.schemes.objectives import Outputs


def pack(outputs: Outputs, dtype: str = "float16") -> tf.Tensor:
    """The targets E_T and P_T of each video.

    P_T is stored as logits. In float16 they distinguish 0.0001 from 0.000101 and 0.9999 from 0.999899; probabilities
    have no value between 0.9995 and 1.

    Args:
        outputs: of a network: `encoding` [batch, D], `predictions` [batch, num_classes], and `logits` if it has them.
        dtype: of the result.
    Returns:
        `dtype` [batch, D + num_classes]: encoding, then the logits of `logits_of`. A number of the encoding that is out of
        the dtype's range becomes infinite.
    """
    return ops.cast(ops.concatenate([ops.cast(outputs["encoding"], "float32"), logits_of(outputs)], axis=-1), dtype)


def unpack(targets: tf.Tensor, num_classes: int) -> dict[str, tf.Tensor]:
    """The inverse of `pack`: `encoding` float32 [batch, D], `logits` and `predictions` float32 [batch, num_classes]."""
    targets = ops.cast(targets, "float32")
    logits = targets[:, -num_classes:]
    return {"encoding": targets[:, :-num_classes], "logits": logits, "predictions": ops.sigmoid(logits)}
