"""Frozen dataclasses that check themselves, with a strict round trip to JSON. No flags, no TensorFlow.

Only builders and scripts read these; layers, losses and samplers take plain arguments. Messages name the field and
the value; scripts put the flag in front.
"""

from youtube8m_distill.config.data import FEATURE_DTYPES, FRAME_SELECTIONS, FeatureConfig, FrameConfig
from youtube8m_distill.config.families import (
    CLASSIFIERS,
    FAMILIES,
    MIXTURES,
    MODELS,
    VIDEO_LEVEL_MODELS,
    published_settings,
    published_training,
)
from youtube8m_distill.config.network import (
    ACTIVATIONS,
    NOT_OF_THE_SHAPE,
    POOLING_METHODS,
    SETTINGS,
    NetworkConfig,
    differences,
    member_config,
)
from youtube8m_distill.config.run import MODES, RunConfig
from youtube8m_distill.config.text import FORMAT, from_json, to_json
from youtube8m_distill.config.training import (
    INTERMEDIATE_REDUCTIONS,
    MAX_SEED,
    OPTIMIZERS,
    PREDICTION_DISTANCES,
    STUDENT_LOSSES,
    DistillationConfig,
    TrainingConfig,
)
