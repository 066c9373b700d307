"""What a network minimizes to fit the labels: named terms and their weights."""

import dataclasses
import typing

from youtube8m_distill.schemes.losses import label_loss


@dataclasses.dataclass(frozen=True)
class LabelObjective:
    """L_CE alone (CVPR 2019, equation 1): the objective of every network that is not a mixture.

    Attributes:
        weights: dict term -> float. Whoever trains a network minimizes the weighted sum of these terms.
    """

    weights: typing.ClassVar = {"label_loss": 1.0}

    def __call__(self, outputs, labels):
        """The terms named in `weights`.

        Args:
            outputs: of the network.
            labels: as for `label_loss`.
        Returns:
            dict term -> float32 [batch].
        """
        return {"label_loss": label_loss(labels, outputs["predictions"])}


LABELS_ALONE = LabelObjective()
