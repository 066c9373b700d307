"""How a network is trained: the student's objective, the optimizer and the schedule."""

from typing import Literal, get_args

from youtube8m_distill.errors import written
from youtube8m_distill.settings import Names, Settings, require, setting

StudentLoss = Literal["rep", "pred", "ce", "relation", "topk_logit"]
RepresentationScale = Literal["none", "dimension"]
PredictionDistance = Literal["kl", "categorical_kl", "squared"]
Reduction = Literal["mean", "sum"]
LabelLoss = Literal["CrossEntropyLoss", "SoftmaxLoss"]
Optimizer = Literal["AdamOptimizer", "GradientDescentOptimizer", "MomentumOptimizer", "AdagradOptimizer", "RMSPropOptimizer"]
STUDENT_LOSSES, PREDICTION_DISTANCES, REPRESENTATION_SCALES, INTERMEDIATE_REDUCTIONS, OPTIMIZERS = map(
    get_args, (StudentLoss, PredictionDistance, RepresentationScale, Reduction, Optimizer)
)
CVPR_LOSSES = ("rep", "pred", "ce")  # the terms of the CVPR 2019 paper
ENCODING_LOSSES = ("rep", "relation")  # terms that do not reach the classifier
WEIGHT_OF = {  # term -> the setting of its weight
    "rep": "rep_weight",
    "pred": "pred_weight",
    "ce": "ce_weight",
    "relation": "relation_weight",
    "topk_logit": "topk_weight",
}
MAX_SEED = 2**31 - 1  # accepted by NumPy, Python and TensorFlow alike


class DistillationConfig(Settings):
    """What a student minimizes, and what it shares with its teacher."""

    student_loss: Names = setting(
        CVPR_LOSSES,
        "Subset of rep,pred,ce,relation,topk_logit: match the encoding, match the predictions, fit the labels, match the "
        "distances between the encodings of a minibatch, match the logits of the teacher's 20 best classes.",
    )
    rep_weight: float = setting(1.0, "Weight of L_rep, the squared distance of the encodings.", ge=0.0)
    pred_weight: float = setting(1.0, "Weight of L_pred, the distance d of the predictions.", ge=0.0)
    ce_weight: float = setting(1.0, "Weight of L_CE, the cross-entropy with the labels.", ge=0.0)
    relation_weight: float = setting(
        1.0, "Weight of the relation loss; a mean over pairs of videos, small next to sums over classes.", ge=0.0
    )
    topk_weight: float = setting(1.0, "Weight of the loss topk_logit.", ge=0.0)
    topk_temperature: float = setting(2.0, "Temperature T of the standardized logits in topk_logit.", ge=1e-3)
    rep_scale: RepresentationScale = setting(
        "none", "Divide L_rep by nothing, or by the dimension of the encoding: the mean instead of the sum."
    )
    intermediate_weight: float = setting(
        1.0, "Weight of L_rep^I, the squared distance of states after common frames.", ge=0.0
    )
    prediction_distance: PredictionDistance = setting(
        "kl", "Distance d in L_pred: kl of independent Bernoullis, categorical_kl as in the authors' release, or squared."
    )
    match_intermediate: bool = setting(False, "Also match the states after common frames (L_rep^I, H-RNN only).")
    intermediate_reduction: Reduction = setting("mean", "Mean or sum over the common frames; sum is the paper's equation 3.")
    share_classifier: bool = setting(True, "Serial: start from the teacher's classifier. Parallel: one classifier for both.")
    start_from_teacher: bool = setting(
        False, "Serial: the student's encoder starts from the teacher's weights, too. Both need one family and size."
    )
    freeze_classifier: bool = setting(False, "Serial: keep the teacher's classifier as it is, for both networks.")

    def model_post_init(self, context, /):
        terms = self.student_loss
        known = ",".join(STUDENT_LOSSES)
        require(terms, "student_loss", f"is empty; name at least one of {known}.")
        for term in terms:
            require(term in STUDENT_LOSSES, "student_loss", f"{term!r} is unknown; choose among {known}.", terms)
        require(len(set(terms)) == len(terms), "student_loss", "contains duplicates.", terms)
        weights = [WEIGHT_OF[term] for term in terms] + ["intermediate_weight"] * self.match_intermediate
        reason = f"leaves nothing to train: give a term of student_loss={written(terms)} a weight above 0."
        require(any(getattr(self, name) for name in weights), weights[0], reason, 0.0)
        reason = "keeps the teacher's classifier as it is, so it needs share_classifier."
        require(self.share_classifier or not self.freeze_classifier, "freeze_classifier", reason, True)

    @property
    def needs_teacher(self) -> bool:
        """Whether any term compares the student with its teacher; `ce` alone needs labels only."""
        return self.match_intermediate or set(self.student_loss) != {"ce"}

    @property
    def trains_classifier(self) -> bool:
        """Whether any term reaches the classifier; `rep` and `relation` stop at the encoding."""
        return not set(self.student_loss) <= set(ENCODING_LOSSES)


class TrainingConfig(Settings):
    """Optimizer, schedule and bookkeeping of a run. Defaults are the published H-RNN's (CVPR 2019, section 5.2)."""

    batch_size: int = setting(256, "Videos per step, over all GPUs together.", ge=1)
    optimizer: Optimizer = setting("AdamOptimizer", "Optimizer, by its name in TensorFlow 1.")
    label_loss: LabelLoss = setting(
        "CrossEntropyLoss",
        "L_CE: cross-entropy of each class, or SoftmaxLoss, over all classes, for data with one class per video.",
    )
    base_learning_rate: float = setting(0.001, "Learning rate before its decay.", gt=0.0)
    learning_rate_decay: float = setting(0.95, "Factor of the staircase decay; 1 for no decay.", gt=0.0, le=1.0)
    learning_rate_decay_examples: int = setting(4_000_000, "Examples between two decays.", ge=1)
    regularization_penalty: float = setting(2.0, "Factor on the layers' own L2 terms.", ge=0.0)
    clip_gradient_norm: float = setting(1.0, "Largest norm of one variable's gradient; 0 turns clipping off.", ge=0.0)
    ema_decay: float = setting(
        0.0,
        "Validate and save an exponential moving average of the weights with this decay, such as 0.999; 0 for the weights.",
        ge=0.0,
        lt=1.0,
    )
    jitter_frames: bool = setting(
        False,
        "In training, read a random frame of each of the k spans of uniform or centered instead of a fixed one. Validation "
        "and all other commands read the fixed ones.",
    )
    num_epochs: int = setting(5, "Passes over the training videos.", ge=1, may_change=True)
    finetune_epochs: int = setting(
        5, "Epochs of the second stage of a serial run on rep or relation alone.", ge=1, may_change=True
    )
    max_steps: int | None = setting(None, "End the run at this step.", ge=1, may_change=True)
    checkpoint_steps: int | None = setting(None, "Also save every so many steps.", ge=1, may_change=True)
    checkpoint_minutes: float = setting(
        10.0, "Also save when so many minutes have passed since the last checkpoint.", gt=0.0, may_change=True
    )
    validation_steps: int | None = setting(None, "Also validate every so many steps.", ge=1, may_change=True)
    max_to_keep: int = setting(3, "Checkpoints to keep, beside the best.", ge=1, may_change=True)
    seed: int = setting(0, "Seed of weights, data order, frame selection and dropout.", ge=0, le=MAX_SEED)
    mixed_precision: bool = setting(False, "Compute encoders in bfloat16; classifier and losses stay float32.")
    num_readers: int = setting(8, "Record files read at a time; part of the order of the records.", ge=1)
    train_fraction: float = setting(1.0, "Fraction of the training videos to use, the same ones each time.", gt=0.0, le=1.0)
