"""Recipes: named sets of values for all settings of a training, each value with its source.

A recipe consists of the defaults of the settings and of the values in which it differs from them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from youtube8m_distill.config.network import FAMILY_OF, NetworkConfig, network_config
from youtube8m_distill.config.training import CVPR_LOSSES, DistillationConfig, TrainingConfig
from youtube8m_distill.config.video import FrameView
from youtube8m_distill.errors import written
from youtube8m_distill.settings import require

RecipeName = Literal["default", "cvpr2019", "release", "starter", "mod_pretrain", "mod_finetune", "best"]

HRNN, NETVLAD, NEXTVLAD = "HierarchicalLstmModel", "NetVLADModelLF", "NeXtVLADModel"
MOD_MODELS = (NEXTVLAD, "MixNeXtVladModel", "MODNeXtVladModel")
STARTER_MODELS = ("LogisticModel", "MoeModel", "FrameLevelLogisticModel", "DbofModel", "LstmModel")
CVPR = "CVPR 2019"
EQUATIONS = f"{CVPR}: its equations have no weights"
STARTER = "starter code"
RELEASE = "release of CVPR 2019"
MOD, MOD_RELEASE = "MOD 2019, section 4.2", "release of MOD 2019"
OURS = "ours"
BEST = f"{OURS}, measured on AudioSet: docs/results/best-recipe.md"
BLOCK, CLASSIFIER_FLAG = "frames_per_block", "video_level_classifier_model"
NOT_RECIPE = (
    "max_steps",
    "checkpoint_steps",
    "checkpoint_minutes",
    "validation_steps",
    "max_to_keep",
    "seed",
    "mixed_precision",
    "num_readers",
)
TERM_OF = {
    "rep_weight": "rep",
    "rep_scale": "rep",
    "pred_weight": "pred",
    "prediction_distance": "pred",
    "ce_weight": "ce",
    "relation_weight": "relation",
    "topk_weight": "topk_logit",
    "topk_temperature": "topk_logit",
}


class Value(NamedTuple):
    """A value and where it comes from."""

    value: Any
    source: str


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a recipe changes in the defaults, by name of setting."""

    about: str
    models: tuple[str, ...] = tuple(FAMILY_OF)  # families that it describes
    modes: tuple[str, ...] = ("teacher", "serial", "parallel")
    student_frames: Mapping[str, Value] = dataclasses.field(default_factory=dict)  # fields of the student's FrameView
    network: Mapping[str, Value] = dataclasses.field(default_factory=dict)  # as `network_config` takes them
    training: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    distillation: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    blocks: tuple[Value, Value] | None = None  # how many blocks an H-RNN has: with all frames, with some
    sums_predictions: str = ""  # the source, if L_pred is summed over the batch

    @property
    def student_loss(self) -> tuple[str, ...]:
        """The terms of a student for which none are named."""
        found = self.distillation.get("student_loss")
        return CVPR_LOSSES if found is None else found.value

    def check(self, name: str, model: str, mode: str) -> None:
        """Raises SettingError if the recipe does not describe such a network, or no such training."""
        reason = f"describes {', '.join(self.models)}; choose one of them, or another recipe than {name}."
        require(model in self.models, "recipe", reason, name)
        reason = f"does not describe --mode={mode}, only {', '.join(self.modes)}."
        require(mode in self.modes, "recipe", reason, name)

    def of_network(self, model: str, view: FrameView | None) -> dict[str, Value]:
        """The values for a network of a family that sees these frames. Settings that the family lacks are left out."""
        family = FAMILY_OF[model]
        others = {name for kind in FAMILY_OF.values() for name in kind.model_fields} - set(family.model_fields)
        found = {name: value for name, value in self.network.items() if name not in others}
        if self.blocks is None or view is None:
            return found
        count, source = self.blocks[0 if view.sees_all_frames else 1]
        return {**found, BLOCK: Value(-(-view.max_frames // count), source)}

    def of_distillation(self, student_loss: Sequence[str], batch_size: int) -> dict[str, Value]:
        """The values for distillation by these terms, with this batch size."""
        values = dict(self.distillation)
        if self.sums_predictions:
            values["pred_weight"] = Value(float(batch_size), self.sums_predictions)
        return {name: value for name, value in values.items() if TERM_OF.get(name, student_loss[0]) in student_loss}


RECIPES: dict[str, Recipe] = {
    "default": Recipe("The published settings of each family, and our choices where sources differ or say nothing."),
    "cvpr2019": Recipe(
        "As written in the CVPR 2019 paper: logistic classifier, sum over the common frames in equation 3.",
        models=(HRNN, NETVLAD, NEXTVLAD),
        network={CLASSIFIER_FLAG: Value("LogisticModel", f"{CVPR}, section 4: a sigmoid for each class (equation 1)")},
        distillation={"intermediate_reduction": Value("sum", f"{CVPR}, equation 3")},
    ),
    "release": Recipe(
        "As in the authors' released code: 20 blocks of 15 frames, 5 blocks for a student, L_pred summed over the batch.",
        models=(HRNN,),
        student_frames={
            "frame_selection": Value("strided", f"{RELEASE}: every n-th frame"),
            "every_n": Value(10, f"{RELEASE}: its scripts"),
        },
        network={"dropout": Value(0.0, f"{RELEASE}: none")},
        training={"learning_rate_decay": Value(1.0, f"{RELEASE}: the default of its flag, no decay")},
        distillation={
            "rep_weight": Value(2.0, f"{RELEASE}: added twice"),
            "prediction_distance": Value("categorical_kl", f"{RELEASE}: of normalized predictions"),
            "share_classifier": Value(False, f"{RELEASE}: two classifiers"),
        },
        blocks=(Value(20, f"{RELEASE}: 20 blocks of 300 frames"), Value(5, f"{RELEASE}: 5 blocks")),
        sums_predictions=f"{RELEASE}: summed over the batch, so the batch size",
    ),
    "best": Recipe(
        "Our choice for serial students: start from the whole teacher, match its predictions, read other frames each epoch.",
        models=tuple(model for model, family in FAMILY_OF.items() if not family.is_video_level),
        modes=("serial",),
        training={"jitter_frames": Value(True, BEST)},
        distillation={"student_loss": Value(("pred", "ce"), BEST), "start_from_teacher": Value(True, BEST)},
    ),
    "starter": Recipe(
        "The flag defaults of the YouTube-8M starter code.",
        models=STARTER_MODELS,
        modes=("teacher",),
        training={"batch_size": Value(1024, f"{STARTER}: batch_size")},
    ),
    "mod_pretrain": Recipe(
        "As the MOD paper's release trains on whole videos: batches of 80, T = 1.",
        models=MOD_MODELS,
        network={
            "dropout": Value(0.5, MOD_RELEASE),
            "gating_reduction": Value(16, MOD_RELEASE),
            "cl_temperature": Value(1.0, MOD_RELEASE),
            "l2_penalty": Value(1e-5, MOD_RELEASE),
        },
        training={
            "batch_size": Value(80, f"{MOD} and its release"),
            "base_learning_rate": Value(0.0002, MOD_RELEASE),
            "learning_rate_decay": Value(0.8, MOD_RELEASE),
            "learning_rate_decay_examples": Value(2_500_000, MOD_RELEASE),
            "num_epochs": Value(15, MOD_RELEASE),
        },
    ),
    "mod_finetune": Recipe(
        "As the MOD paper fine-tunes on segments: batches of 512, dropout 0.75, T = 20. For --segment_labels.",
        models=MOD_MODELS,
        network={
            "dropout": Value(0.75, MOD),
            "gating_reduction": Value(16, MOD_RELEASE),
            "cl_temperature": Value(20.0, f"{MOD_RELEASE} and Table 2"),
            "l2_penalty": Value(1e-4, MOD),
        },
        training={
            "batch_size": Value(512, MOD),
            "base_learning_rate": Value(0.0002, MOD),
            "learning_rate_decay": Value(0.8, MOD),
            "learning_rate_decay_examples": Value(1_000_000, MOD),
            "num_epochs": Value(10, MOD),
        },
    ),
}

# Sources of defaults that do not come from the family's publication.
SOURCES = {
    "frame_selection": f"{CVPR}, section 4: F_0, F_j, F_2j",
    "frames_per_video": f"{CVPR}, section 5: the largest k",
    "max_video_frames": f"{STARTER}: it reads 300",
    "finetune_epochs": f"{OURS}; {CVPR} does not tell",
    "train_fraction": f"{CVPR}, Table 2 varies it",
    "student_loss": f"{CVPR}, section 4 (e)",
    **dict.fromkeys(("rep_weight", "pred_weight", "ce_weight", "intermediate_weight"), EQUATIONS),
    **dict.fromkeys(("relation_weight", "topk_weight"), f"{OURS}, as the other weights; not a term of {CVPR}"),
    "topk_temperature": "logit standardization (Sun et al., CVPR 2024), section 5",
    "rep_scale": f"{CVPR}, equation 2",
    "prediction_distance": f"{OURS}; {CVPR}, section 4 allows any, such as KL or squared error",
    "match_intermediate": f"{CVPR}, section 6.5: no gain",
    "intermediate_reduction": f"{OURS}: a sum would grow with k",
    "share_classifier": f"{CVPR}, section 4: shared output layer",
    "freeze_classifier": f"{CVPR}, section 4 (a): fine-tuned with the student",
}
OF_HRNN = {
    CLASSIFIER_FLAG: RELEASE,
    "moe_num_mixtures": RELEASE,
    "moe_l2": RELEASE,
    "moe_prob_gating": RELEASE,
    "l2_penalty": STARTER,
    BLOCK: f"{CVPR}, section 5: 20, a student 5 or 3",
    "learning_rate_decay_examples": f"{STARTER}; {CVPR} does not tell",
    "clip_gradient_norm": f"{STARTER} and {RELEASE}",
    "regularization_penalty": f"{CVPR}, section 5; as in the release, a factor on the classifier's L2 terms",
}


class Line(NamedTuple):
    """A setting of a run: the value that is used, and its source."""

    name: str
    value: Any
    source: str

    def __str__(self):
        return f"{self.name}={written(self.value)}: {self.source}"


def explain(
    name: str, network: NetworkConfig, training: TrainingConfig, distillation: DistillationConfig | None
) -> list[Line]:
    """Every setting of a run with the source of its value in a recipe, or with what the recipe has instead.

    Args:
        name: of the recipe.
        network: the network that the run is about: the student, if there is one.
    """
    recipe, family = RECIPES[name], network.family
    published = network_config(
        family.model, view=network.view, features=network.features, classifier=network.classifier.model
    )
    used = {CLASSIFIER_FLAG: network.classifier.model, **network.settings(), **training.values()}
    default = {
        CLASSIFIER_FLAG: family.published_classifier,
        **published.settings(),
        **TrainingConfig(**family.training).values(),
    }
    differing = {**recipe.of_network(network.model, network.view), **recipe.training}
    if distillation is not None and network.view is not None:
        student = FrameView() if family.chooses_frames else FrameView(frame_selection="uniform", frames_per_video=30)
        used |= {**network.view.values(), **distillation.values()}
        default |= {**student.values(), **DistillationConfig().values()}
        differing |= {**recipe.student_frames, **recipe.of_distillation(distillation.student_loss, training.batch_size)}
    sources = {**SOURCES, **(OF_HRNN if family.model == HRNN else {})}
    if family.chooses_frames:
        sources["frame_selection"] = family.source
    lines = []
    for setting, value in used.items():
        expected = differing.get(setting) or Value(default[setting], sources.get(setting, family.source))
        other = f"not from the recipe, which has {written(expected.value)}"
        if setting not in NOT_RECIPE and value is not None:
            lines.append(Line(setting, value, expected.source if value == expected.value else other))
    return lines
