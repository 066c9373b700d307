"""A frozen teacher's outputs as one row of numbers a video, for keeping: its encoding, then its logits."""

from keras import ops

# Beyond it nothing is told apart: sigmoid(30) is 1 in float32, sigmoid(-30) is 1e-13, and the losses clip at 1e-5.
LARGEST_LOGIT = 30.0


def pack(outputs, dtype="float16"):
    """The targets E_T and P_T of each video.

    P_T is kept as logits: in float16 these tell 0.0001 from 0.000101 and 0.9999 from 0.999899, where probabilities have
    nothing between 0.9995 and 1.

    Args:
        outputs: of a network: `encoding` float [batch, D], `predictions` float32 [batch, num_classes] in 0 .. 1, and
            `logits` where it has them.
        dtype: of the result.
    Returns:
        `dtype` [batch, D + num_classes]: encoding, then logits within -LARGEST_LOGIT .. LARGEST_LOGIT. A number of the
        encoding that the dtype cannot hold is infinite.
    """
    logits = outputs["logits"] if "logits" in outputs else _logit(outputs["predictions"])
    logits = ops.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)
    return ops.cast(ops.concatenate([ops.cast(outputs["encoding"], "float32"), logits], axis=-1), dtype)


def unpack(targets, num_classes):
    """The teacher's outputs from what `pack` gave.

    Args:
        targets: float [batch, D + num_classes].
        num_classes: int.
    Returns:
        dict with `encoding` float32 [batch, D] and `predictions` float32 [batch, num_classes].
    """
    targets = ops.cast(targets, "float32")
    return {"encoding": targets[:, :-num_classes], "predictions": ops.sigmoid(targets[:, -num_classes:])}


def _logit(p):
    """log(p / (1 - p)), infinite at 0 and 1."""
    return ops.log(p) - ops.log1p(-p)
