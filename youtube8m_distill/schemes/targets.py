"""A frozen teacher's outputs as one row of numbers per video, for storage: the encoding, then the logits."""

import tensorflow as tf
from keras import ops

from youtube8m_distill.schemes.objectives import Outputs

# Larger logits carry no information: sigmoid(30) is 1 in float32, sigmoid(-30) is 1e-13, and the losses clip at 1e-5.
LARGEST_LOGIT = 30.0


def pack(outputs: Outputs, dtype: str = "float16") -> tf.Tensor:
    """The targets E_T and P_T of each video.

    P_T is stored as logits. In float16 they distinguish 0.0001 from 0.000101 and 0.9999 from 0.999899; probabilities
    have no value between 0.9995 and 1.

    Args:
        outputs: of a network: `encoding` [batch, D], `predictions` [batch, num_classes], and `logits` if it has them.
        dtype: of the result.
    Returns:
        `dtype` [batch, D + num_classes]: encoding, then logits from -LARGEST_LOGIT to LARGEST_LOGIT. A number of the
        encoding that is out of the dtype's range becomes infinite.
    """
    p = outputs["predictions"]
    logits = outputs["logits"] if "logits" in outputs else ops.log(p) - ops.log1p(-p)  # infinite at 0 and 1
    logits = ops.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)
    return ops.cast(ops.concatenate([ops.cast(outputs["encoding"], "float32"), logits], axis=-1), dtype)


def unpack(targets: tf.Tensor, num_classes: int) -> dict[str, tf.Tensor]:
    """The inverse of `pack`: `encoding` float32 [batch, D] and `predictions` float32 [batch, num_classes]."""
    targets = ops.cast(targets, "float32")
    return {"encoding": targets[:, :-num_classes], "predictions": ops.sigmoid(targets[:, -num_classes:])}
