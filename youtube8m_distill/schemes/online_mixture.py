"""Online distillation: a mixture in training teaches its own members (MOD 2019, equations 6 and 7)."""

import dataclasses
import math

from keras import ops

from youtube8m_distill.errors import SettingError
from youtube8m_distill.schemes.losses import label_loss


def softened_kl(parent_logits, member_logits, temperature):
    """KL(softmax(z_e / T) || softmax(z_m / T)) over the classes.

    Args:
        parent_logits, member_logits: float32 [batch, num_classes].
        temperature: float, T, above 0. The greater, the more the unlikely classes count.
    Returns:
        float32 [batch].
    """
    # The release adds 1e-8 inside its logarithms. A log-softmax needs no such help: it is finite for finite logits, and
    # so is its product with a probability that has become 0.
    log_p = ops.log_softmax(parent_logits / temperature, axis=-1)
    log_q = ops.log_softmax(member_logits / temperature, axis=-1)
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)


@dataclasses.dataclass(frozen=True)
class OnlineMixtureObjective:
    """Labels for the mixture and for everything in it, and from each mixture down to its members its own predictions.

    L = L_CE(mixture) + sum of L_CE(sub-model) + T^2 sum over (mixture, member) of KL(mixture || member)

    A MOD of 4 x 3 has 1 + 4 + 12 label losses and 4 + 12 divergences. The release writes T^2 as a setting of its own.

    Args:
        temperature: float, T; 0 leaves the divergences out. The paper fine-tunes with 20; its release pretrains with 1.
        stop_mixture_gradient: bool. Whether a mixture is a constant to its members, a teacher only. In the release it is
            not: the divergences move the mixtures too.
    """

    temperature: float
    stop_mixture_gradient: bool = False

    def __post_init__(self):
        if not 0 <= self.temperature < math.inf:
            raise SettingError(
                "temperature",
                "choose a finite number above 0, or 0 to leave the online distillation loss out.",
                self.temperature,
            )

    @property
    def weights(self):
        """dict term -> float."""
        labels = {"label_loss": 1.0, "submodel_label_loss": 1.0}
        # T^2 undoes what dividing the logits by T does to the size of a gradient.
        return {**labels, "online_distillation_loss": self.temperature**2} if self.temperature else labels

    def __call__(self, outputs, labels):
        """The terms named in `weights`.

        Args:
            outputs: of a NetworkMixture.
            labels: [batch, num_classes], 0 or 1.
        Returns:
            dict term -> float32 [batch].
        """
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
    """Every pair of a mixture's outputs and one of its members', from the root down."""
    below = [(outputs, member) for member in outputs["members"]]
    return below + [edge for member in outputs["members"] if "members" in member for edge in _edges(member)]
