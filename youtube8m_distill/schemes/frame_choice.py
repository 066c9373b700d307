"""What a network that chooses its frames minimizes: REINFORCE with a learned baseline and an entropy bonus.

Williams 1992; the rewards are those of SkipFrame (CVPR 2019, slides).
"""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf
from keras import KerasTensor, ops

from youtube8m_distill import schema
from youtube8m_distill.metrics.per_video import rated_only
from youtube8m_distill.schemes.objectives import LabelObjective, Outputs
from youtube8m_distill.schemes.scheme import Batch
from youtube8m_distill.settings import require

REWARDS = ("delayed", "immediate", "gap")
BASELINE_WEIGHT = 0.5  # the usual factor of the squared error in actor-critic losses


@dataclasses.dataclass(frozen=True)
class FrameChoiceObjective(LabelObjective):
    """The label loss of the final predictions, and three terms of the policy, each a sum over a video's decisions.

    policy_loss = -sum_s (R_s - b_s) log p(a_s), with the reward R and the baseline b as constants; baseline_loss = sum_s
    (R_s - b_s)^2, which moves only b; entropy = sum_s H(p_s), which is maximized.

    Args:
        reward: "delayed", the negative label loss at the end, for every decision; "immediate", for each decision the
            decrease of the label loss with the next frame, 0 if the video ends; "gap", the video's average precision over
            its best 20 classes at the end, for every decision.
        entropy_weight: 0 leaves the entropy out.
    """

    reward: str
    entropy_weight: float = 0.01

    def __post_init__(self) -> None:
        require(self.reward in REWARDS, "reward", f"is unknown; choose one of {', '.join(REWARDS)}.", self.reward)

    @property
    def weights(self) -> Mapping[str, float]:
        weights = {"label_loss": 1.0, "policy_loss": 1.0, "baseline_loss": BASELINE_WEIGHT}
        return {**weights, "entropy": -self.entropy_weight} if self.entropy_weight else weights

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, tf.Tensor]:
        terms = {"label_loss": self._label_loss(outputs, batch)}
        decisions = outputs["decisions"]
        made = ops.cast(decisions["is_made"], "float32")  # [B, budget - 1]
        error = ops.stop_gradient(self._rewards(outputs, batch, terms["label_loss"])) - decisions["baseline"]
        terms["policy_loss"] = -ops.sum(made * ops.stop_gradient(error) * decisions["log_probability"], axis=-1)
        terms["baseline_loss"] = ops.sum(made * ops.square(error), axis=-1)
        if self.entropy_weight:
            terms["entropy"] = ops.sum(made * decisions["entropy"], axis=-1)
        return terms

    def _rewards(self, outputs, batch, label_loss):
        """float32 [batch, 1] or [batch, budget - 1]."""
        if self.reward == "delayed":
            return -label_loss[:, None]
        if self.reward == "gap":
            predictions = rated_only(outputs["predictions"], batch.get(schema.LABEL_WEIGHTS))
            return own_average_precision(batch[schema.LABELS], predictions)[:, None]
        if "predictions" not in outputs["decisions"]:  # in evaluation, where nothing is learned
            return ops.zeros_like(label_loss)[:, None]
        after = ops.unstack(outputs["decisions"]["predictions"], axis=1)
        losses = ops.stack([self._label_loss({"predictions": each}, batch) for each in after], axis=1)  # [B, budget]
        return losses[:, :-1] - losses[:, 1:]  # 0 where no frame was read, since the state stays the same


def own_average_precision(labels: KerasTensor, predictions: KerasTensor, top_k: int = schema.TOP_K) -> KerasTensor:
    """Average precision over each video's best `top_k` classes, relative to all its labels; 0 without labels.

    That is GAP of a single video. Arguments as for `metrics.per_video.hit_at_one`; float32 [batch].
    """
    positive = labels > 0
    _, best = ops.top_k(predictions, min(top_k, predictions.shape[-1]))
    hits = ops.cast(ops.take_along_axis(positive, best, axis=-1), "float32")  # [B, k]
    precision = ops.cumsum(hits, axis=-1) / ops.arange(1, hits.shape[-1] + 1, dtype="float32")
    num_labels = ops.sum(ops.cast(positive, "float32"), axis=-1)
    return ops.sum(hits * precision, axis=-1) / ops.maximum(num_labels, 1.0)
