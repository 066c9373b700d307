"""How a network is trained: a student's objective, the optimiser, the schedule."""

import dataclasses

from youtube8m_distill.checks import at_least, check_types, no_repeats, one_of, require, within

STUDENT_LOSSES = ("rep", "pred", "ce")
PREDICTION_DISTANCES = ("kl", "categorical_kl", "squared")
INTERMEDIATE_REDUCTIONS = ("mean", "sum")
OPTIMIZERS = ("AdamOptimizer", "GradientDescentOptimizer", "MomentumOptimizer", "AdagradOptimizer", "RMSPropOptimizer")

MAX_SEED = 2 ** 31 - 1              # NumPy, Python and TensorFlow all take it


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """What a student minimises, and what it shares with its teacher."""

    student_loss: tuple[str, ...] = STUDENT_LOSSES
    rep_weight: float = 1.0
    pred_weight: float = 1.0
    ce_weight: float = 1.0
    intermediate_weight: float = 1.0
    prediction_distance: str = "kl"
    match_intermediate: bool = False
    intermediate_reduction: str = "mean"            # sum: the paper's equation 3
    share_classifier: bool = True
    freeze_classifier: bool = False

    def __post_init__(self):
        check_types(self)
        require(self.student_loss, "student_loss is empty; name at least one of rep,pred,ce.")
        for term in self.student_loss:
            one_of("student_loss", term, STUDENT_LOSSES)
        no_repeats("student_loss", self.student_loss)
        one_of("prediction_distance", self.prediction_distance, PREDICTION_DISTANCES)
        one_of("intermediate_reduction", self.intermediate_reduction, INTERMEDIATE_REDUCTIONS)
        at_least(0, self, "rep_weight", "pred_weight", "ce_weight", "intermediate_weight")
        require(self.share_classifier or not self.freeze_classifier,
                "freeze_classifier is set, which keeps the teacher's classifier as it is; it needs share_classifier.")

    @property
    def trains_classifier(self):
        """Whether any term reaches the classifier; `rep` alone stops at the encoding."""
        return "pred" in self.student_loss or "ce" in self.student_loss


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Optimiser, schedule and bookkeeping of a run. Defaults are the published H-RNN's (CVPR 2019, section 5.2)."""

    batch_size: int = 256                           # over all replicas
    optimizer: str = "AdamOptimizer"
    base_learning_rate: float = 0.001
    learning_rate_decay: float = 0.95
    learning_rate_decay_examples: int = 4_000_000
    regularization_penalty: float = 2.0             # a factor on the layers' own 1e-8 terms
    clip_gradient_norm: float = 1.0                 # per variable; 0 turns it off
    num_epochs: int = 5
    finetune_epochs: int = 5                        # second stage of a serial run on `rep` alone
    max_steps: int | None = None
    checkpoint_steps: int | None = None             # None: at the end of each epoch only
    validation_steps: int | None = None             # None: at the end of each epoch only
    max_to_keep: int = 3
    seed: int = 0
    mixed_precision: bool = False
    num_readers: int = 8                            # files read at a time; part of the order of the records
    train_fraction: float = 1.0                     # share of the training videos that are used
    skip_bad_records: bool = False                  # leave them out instead of ending the run
    max_bad_fraction: float = 0.01                  # the greatest share of the records to leave out

    def __post_init__(self):
        check_types(self)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        at_least(1, self, "batch_size", "learning_rate_decay_examples", "num_epochs", "finetune_epochs", "max_to_keep",
                 "num_readers", "max_steps", "checkpoint_steps", "validation_steps")
        at_least(0, self, "regularization_penalty", "clip_gradient_norm")
        within(0, MAX_SEED, self, "seed")
        within(0, 1, self, "max_bad_fraction")
        require(self.base_learning_rate > 0, f"base_learning_rate={self.base_learning_rate}: must be above 0.")
        require(0 < self.learning_rate_decay <= 1,
                f"learning_rate_decay={self.learning_rate_decay}: choose above 0, at most 1 (1: no decay).")
        require(0 < self.train_fraction <= 1, f"train_fraction={self.train_fraction}: choose above 0, at most 1.")
