"""The loss of every network that learns from labels: one number per video."""

from keras import ops

EPSILON = 1e-5      # the starter code's


def label_loss(labels, predictions):
    """L_CE: the starter's `CrossEntropyLoss`, *summed* over the classes (Keras' own averages).

    Args:
        labels: uint8, bool or float [batch, num_classes], 0 or 1.
        predictions: float32 [batch, num_classes], 0 .. 1.
    Returns:
        float32 [batch].
    """
    labels = ops.cast(labels, "float32")
    present = labels * ops.log(predictions + EPSILON)
    absent = (1.0 - labels) * ops.log(1.0 - predictions + EPSILON)
    return -ops.sum(present + absent, axis=-1)
