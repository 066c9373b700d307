"""Frozen settings that check themselves, with a strict round trip to JSON. No flags, no TensorFlow."""

from youtube8m_distill.config.cascade import CRITERIA, CascadeOptions, CascadeSettings, FrontierPoint, StageSettings
from youtube8m_distill.config.json_format import FORMAT, from_json, to_json
from youtube8m_distill.config.network import (
    CLASSIFIER_MODELS,
    CLASSIFIER_OF,
    FAMILY_OF,
    MODELS,
    VIDEO_LEVEL_MODELS,
    NetworkConfig,
    can_share_classifier,
    can_share_encoder,
    differences,
    network_config,
)
from youtube8m_distill.config.recipes import RECIPES, TERM_OF, RecipeName, explain
from youtube8m_distill.config.run import MODES, RunConfig
from youtube8m_distill.config.training import (
    CVPR_LOSSES,
    ENCODING_LOSSES,
    INTERMEDIATE_REDUCTIONS,
    MAX_SEED,
    OPTIMIZERS,
    PREDICTION_DISTANCES,
    REPRESENTATION_SCALES,
    STUDENT_LOSSES,
    WEIGHT_OF,
    DistillationConfig,
    TrainingConfig,
)
from youtube8m_distill.config.video import FRAME_SELECTIONS, FeatureConfig, FrameView, Reading
