"""What a student learns from: its teacher's outputs or the mean of several teachers', also as numbers to store."""

from collections.abc import Mapping

import tensorflow as tf
from keras import ops

from youtube8m_distill.families.mixture.network import Network
from youtube8m_distill.schemes.losses import logits_of
from youtube8m_distill.schemes.objectives import Outputs
from youtube8m_distill.schemes.scheme import Batch


def of_teachers(teachers: Mapping[str, Network], batch: Batch, frame_states: bool = False) -> Outputs:
    """What the frozen teachers of a student give for a batch. They run without dropout.

    Args:
        teachers: by role.
        frame_states: whether to return the states after each frame, which only a single teacher has.
    Returns:
        All outputs of a single teacher. Of several, `predictions` alone: the mean of their probabilities, float32
        [batch, num_classes]. It has no logits of its own; `logits_of` gives those of the mean.
    """
    outputs = [network(batch[role], training=False, frame_states=frame_states) for role, network in teachers.items()]
    if len(outputs) == 1:
        return outputs[0]
    return {"predictions": ops.mean(ops.stack([ops.cast(each["predictions"], "float32") for each in outputs]), axis=0)}


def pack(outputs: Outputs, dtype: str = "float16") -> tf.Tensor:
    """The targets E_T and P_T of each video.

    P_T is stored as logits. In float16 they distinguish 0.0001 from 0.000101 and 0.9999 from 0.999899; probabilities
    have no value between 0.9995 and 1.

    Args:
        outputs: of `of_teachers`: `predictions` [batch, num_classes]; `encoding` [batch, D] and `logits` if it has them.
        dtype: of the result.
    Returns:
        `dtype` [batch, D + num_classes]: encoding, then the logits of `logits_of`; D is 0 without an encoding. A number of
        the encoding that is out of the dtype's range becomes infinite.
    """
    encoding = [ops.cast(outputs["encoding"], "float32")] if "encoding" in outputs else []
    return ops.cast(ops.concatenate([*encoding, logits_of(outputs)], axis=-1), dtype)


def unpack(targets: tf.Tensor, num_classes: int) -> dict[str, tf.Tensor]:
    """The inverse of `pack`: `encoding` float32 [batch, D], `logits` and `predictions` float32 [batch, num_classes]."""
    targets = ops.cast(targets, "float32")
    logits = targets[:, -num_classes:]
    return {"encoding": targets[:, :-num_classes], "logits": logits, "predictions": ops.sigmoid(logits)}
