"""Frozen settings that check themselves, with a strict round trip to JSON. No flags, no TensorFlow.

Only builders and commands read these; layers, losses and frame selections take plain arguments. Errors name the setting.
"""

from youtube8m_distill.config.json_format import FORMAT as FORMAT
from youtube8m_distill.config.json_format import from_json as from_json
from youtube8m_distill.config.json_format import to_json as to_json
from youtube8m_distill.config.network import CLASSIFIER_MODELS as CLASSIFIER_MODELS
from youtube8m_distill.config.network import FAMILY_OF as FAMILY_OF
from youtube8m_distill.config.network import MODELS as MODELS
from youtube8m_distill.config.network import VIDEO_LEVEL_MODELS as VIDEO_LEVEL_MODELS
from youtube8m_distill.config.network import NetworkConfig as NetworkConfig
from youtube8m_distill.config.network import differences as differences
from youtube8m_distill.config.network import network_config as network_config
from youtube8m_distill.config.run import MODES as MODES
from youtube8m_distill.config.run import RunConfig as RunConfig
from youtube8m_distill.config.training import INTERMEDIATE_REDUCTIONS as INTERMEDIATE_REDUCTIONS
from youtube8m_distill.config.training import MAX_SEED as MAX_SEED
from youtube8m_distill.config.training import OPTIMIZERS as OPTIMIZERS
from youtube8m_distill.config.training import PREDICTION_DISTANCES as PREDICTION_DISTANCES
from youtube8m_distill.config.training import STUDENT_LOSSES as STUDENT_LOSSES
from youtube8m_distill.config.training import DistillationConfig as DistillationConfig
from youtube8m_distill.config.training import TrainingConfig as TrainingConfig
from youtube8m_distill.config.video import FEATURE_DTYPES as FEATURE_DTYPES
from youtube8m_distill.config.video import FRAME_SELECTIONS as FRAME_SELECTIONS
from youtube8m_distill.config.video import FeatureConfig as FeatureConfig
from youtube8m_distill.config.video import FrameView as FrameView
