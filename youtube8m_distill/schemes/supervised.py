"""Learning from labels alone: a teacher, or a baseline on fewer frames."""

from youtube8m_distill import schema
from youtube8m_distill.schemes.objectives import LABELS_ALONE
from youtube8m_distill.schemes.scheme import TrainingScheme


class Supervised(TrainingScheme):
    """One network that minimizes its label objective: L_CE (CVPR 2019, equation 1), or a mixture's.

    Args:
        network: VideoClassifier or NetworkMixture.
        role: under which name it is logged and kept.
        objective: LabelObjective, or OnlineMixtureObjective for a mixture.
        **kwargs: of TrainingScheme, but for `networks` and `loss_weights`.
    """

    def __init__(self, network, role=schema.TEACHER, objective=LABELS_ALONE, **kwargs):
        self.role = role
        self.objective = objective
        weights = {f"{role}/{term}": weight for term, weight in objective.weights.items()}
        super().__init__({role: network}, weights, **kwargs)

    def compute_losses(self, batch, training):
        outputs = self.networks[self.role](batch[self.role], training=training)
        terms = self.objective(outputs, batch[schema.LABELS])
        losses = {f"{self.role}/{term}": value for term, value in terms.items()}
        return losses, {self.role: outputs["predictions"]}
