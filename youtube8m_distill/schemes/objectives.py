"""What a network minimizes to fit the labels: named terms and their weights.

A mixture in training also teaches its own members: online distillation (MOD 2019, equations 6 and 7).
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from keras import ops

from youtube8m_distill.schemes.losses import label_loss, softened_kl
from youtube8m_distill.settings import require

Outputs = Mapping[str, Any]  # of a network; a mixture's `members` are a list of such


@dataclasses.dataclass(frozen=True)
class LabelObjective:
    """L_CE alone (CVPR 2019, equation 1): for every network that is not a mixture. A subclass may have other terms."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Term -> weight. A training scheme minimizes the weighted sum of these terms."""
        return {"label_loss": 1.0}

    def __call__(self, outputs: Outputs, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The terms named in `weights`, float32 [batch], from a network's outputs and labels [batch, num_classes]."""
        return {"label_loss": label_loss(labels, outputs["predictions"])}


LABELS_ALONE = LabelObjective()


@dataclasses.dataclass(frozen=True)
class OnlineMixtureObjective(LabelObjective):
    """For a mixture: label losses of all its networks, and KL from each mixture to its members.

    L = L_CE(mixture) + sum of L_CE(sub-model) + T^2 sum over (mixture, member) of KL(mixture || member)

    A MOD of 4 x 3 has 1 + 4 + 12 label losses and 4 + 12 divergences. In the release, T^2 is a separate setting.

    Args:
        temperature: T; 0 leaves the divergences out. The paper fine-tunes with 20; its release pretrains with 1.
        stop_mixture_gradient: whether the divergences treat the mixtures as constants. In the release they do not.
    """

    temperature: float
    stop_mixture_gradient: bool = False

    def __post_init__(self) -> None:
        reason = "choose a finite number above 0, or 0 to leave the online distillation loss out."
        require(0 <= self.temperature < math.inf, "temperature", reason, self.temperature)

    @property
    def weights(self) -> Mapping[str, float]:
        labels = {"label_loss": 1.0, "submodel_label_loss": 1.0}
        # T^2 makes up for the division of the logits by T, which shrinks gradients.
        return {**labels, "online_distillation_loss": self.temperature**2} if self.temperature else labels

    def __call__(self, outputs: Outputs, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        edges = _edges(outputs)
        terms = {
            "label_loss": label_loss(labels, outputs["predictions"]),
            "submodel_label_loss": sum(label_loss(labels, member["predictions"]) for _, member in edges),
        }
        if self.temperature:
            terms["online_distillation_loss"] = sum(self._distance(*edge) for edge in edges)
        return terms

    def _distance(self, parent, member):
        logits = ops.stop_gradient(parent["logits"]) if self.stop_mixture_gradient else parent["logits"]
        return softened_kl(logits, member["logits"], self.temperature)


def _edges(outputs):
    """Every pair of a mixture's outputs and the outputs of one of its members, from the root down."""
    below = [(outputs, member) for member in outputs["members"]]
    return below + [edge for member in outputs["members"] if "members" in member for edge in _edges(member)]
