"""Learning from labels alone: a teacher, or a baseline on fewer frames."""

from youtube8m_distill import schema
from youtube8m_distill.training.losses import label_loss
from youtube8m_distill.training.step import TrainingScheme


class Supervised(TrainingScheme):
    """One network that minimises L_CE (CVPR 2019, equation 1).

    Args:
        network: VideoClassifier.
        role: under which name it is logged and kept.
        **kwargs: of TrainingScheme, but for `networks` and `loss_weights`.
    """

    def __init__(self, network, role=schema.TEACHER, **kwargs):
        self.role = role
        super().__init__({role: network}, {f"{role}/label_loss": 1.0}, **kwargs)

    def compute_losses(self, batch, training):
        predictions = self.networks[self.role](batch, training=training)["predictions"]
        losses = {f"{self.role}/label_loss": label_loss(batch[schema.LABELS], predictions)}
        return losses, {self.role: predictions}
