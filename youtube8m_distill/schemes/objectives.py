"""What a network minimizes to fit the labels: named terms and their weights."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import tensorflow as tf

from youtube8m_distill.schemes.losses import label_loss

Outputs = Mapping[str, Any]  # of a network; a mixture's `members` are a list of such


class LabelTerms(Protocol):
    """The loss terms that a network computes from its outputs and the labels."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Term -> weight. A training scheme minimizes the weighted sum of these terms."""
        ...

    def __call__(self, outputs: Outputs, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The terms named in `weights`.

        Args:
            outputs: of the network.
            labels: [batch, num_classes], 0 or 1.
        Returns:
            Term -> float32 [batch].
        """
        ...


@dataclasses.dataclass(frozen=True)
class LabelObjective:
    """L_CE alone (CVPR 2019, equation 1): the LabelTerms of every network that is not a mixture."""

    @property
    def weights(self) -> Mapping[str, float]:
        return {"label_loss": 1.0}

    def __call__(self, outputs: Outputs, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"label_loss": label_loss(labels, outputs["predictions"])}


LABELS_ALONE = LabelObjective()
