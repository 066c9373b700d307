"""Online distillation: a mixture in training teaches its own members (MOD 2019, equations 6 and 7)."""

import dataclasses
import math
from collections.abc import Mapping

import tensorflow as tf
from keras import ops

from youtube8m_distill.errors import SettingError
from youtube8m_distill.schemes.losses import label_loss
from youtube8m_distill.schemes.objectives import Outputs


def softened_kl(parent_logits: tf.Tensor, member_logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """KL(softmax(z_e / T) || softmax(z_m / T)) over the classes.

    Args:
        parent_logits, member_logits: float32 [batch, num_classes].
        temperature: T, above 0. Unlikely classes count more at a higher temperature.
    Returns:
        float32 [batch].
    """
    # The release adds 1e-8 inside its logarithms. A log-softmax does not need it: it is finite for finite logits, and so
    # is its product with a probability that has underflowed to 0.
    log_p = ops.log_softmax(parent_logits / temperature, axis=-1)
    log_q = ops.log_softmax(member_logits / temperature, axis=-1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


@dataclasses.dataclass(frozen=True)
class OnlineMixtureObjective:
    """The LabelTerms of a mixture: label losses of all its networks, and KL from each mixture to its members.

    L = L_CE(mixture) + sum of L_CE(sub-model) + T^2 sum over (mixture, member) of KL(mixture || member)

    A MOD of 4 x 3 has 1 + 4 + 12 label losses and 4 + 12 divergences. In the release, T^2 is a separate setting.

    Args:
        temperature: T; 0 leaves the divergences out. The paper fine-tunes with 20; its release pretrains with 1.
        stop_mixture_gradient: whether the divergences treat the mixtures as constants. In the release they do not.
    """

    temperature: float
    stop_mixture_gradient: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf:
            raise SettingError(
                "temperature",
                "choose a finite number above 0, or 0 to leave the online distillation loss out.",
                self.temperature,
            )

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
