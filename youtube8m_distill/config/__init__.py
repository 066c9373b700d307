"""Frozen dataclasses that check themselves, with a strict round trip to JSON. No flags, no TensorFlow.

Only builders and scripts read these; layers, losses and samplers take plain arguments. Messages name the field and
the value; scripts put the flag in front.
"""

from youtube8m_distill.config.data import FEATURE_DTYPES
from youtube8m_distill.config.data import FRAME_SELECTIONS
from youtube8m_distill.config.data import FeatureConfig
from youtube8m_distill.config.data import FrameConfig
from youtube8m_distill.config.families import CLASSIFIERS
from youtube8m_distill.config.families import FAMILIES
from youtube8m_distill.config.families import MIXTURES
from youtube8m_distill.config.families import MODELS
from youtube8m_distill.config.families import VIDEO_LEVEL_MODELS
from youtube8m_distill.config.families import published_settings
from youtube8m_distill.config.families import published_training
from youtube8m_distill.config.network import ACTIVATIONS
from youtube8m_distill.config.network import NOT_OF_THE_SHAPE
from youtube8m_distill.config.network import POOLING_METHODS
from youtube8m_distill.config.network import SETTINGS
from youtube8m_distill.config.network import NetworkConfig
from youtube8m_distill.config.network import differences
from youtube8m_distill.config.network import member_config
from youtube8m_distill.config.run import MODES
from youtube8m_distill.config.run import RunConfig
from youtube8m_distill.config.text import FORMAT
from youtube8m_distill.config.text import from_json
from youtube8m_distill.config.text import to_json
from youtube8m_distill.config.training import INTERMEDIATE_REDUCTIONS
from youtube8m_distill.config.training import MAX_SEED
from youtube8m_distill.config.training import OPTIMIZERS
from youtube8m_distill.config.training import PREDICTION_DISTANCES
from youtube8m_distill.config.training import STUDENT_LOSSES
from youtube8m_distill.config.training import DistillationConfig
from youtube8m_distill.config.training import TrainingConfig
