"""Training on labels alone: a teacher, or a baseline on fewer frames."""

from typing import Any

import tensorflow as tf

from youtube8m_distill import schema
from youtube8m_distill.families.mixture.network import Network
from youtube8m_distill.schemes.objectives import LABELS_ALONE, LabelObjective
from youtube8m_distill.schemes.scheme import Batch, Losses, TrainingScheme, by_role


class Supervised(TrainingScheme):
    """One network that minimizes its label terms: L_CE (CVPR 2019, equation 1), or those of a mixture.

    >>> Supervised(build_model(network_config("FrameLevelLogisticModel", num_classes=5)), "student").loss_weights
    {'student/label_loss': 1.0}

    Args:
        network: VideoClassifier or NetworkMixture.
        role: the name under which the network is logged and saved, and the key of its frames in a batch.
        objective: LabelObjective, or OnlineMixtureObjective for a mixture.
    """

    def __init__(
        self, network: Network, role: str = schema.TEACHER, objective: LabelObjective = LABELS_ALONE, **kwargs: Any
    ) -> None:
        self.role, self.objective = role, objective
        super().__init__({role: network}, by_role(role, objective.weights), **kwargs)

    def compute_losses(self, batch: Batch, training: bool) -> tuple[Losses, dict[str, tf.Tensor]]:
        outputs = self.networks[self.role](batch[self.role], training=training)
        terms = self.objective(outputs, batch)
        return by_role(self.role, terms), {self.role: outputs["predictions"]}
