"""Network families, one folder each. A new one is added to this list only, which loads neither TensorFlow nor Keras."""

from youtube8m_distill.families.classifiers import CLASSIFIERS as CLASSIFIERS
from youtube8m_distill.families.dbof.settings import DBoFSettings
from youtube8m_distill.families.hrnn.settings import HRNNSettings
from youtube8m_distill.families.lstm.settings import LSTMSettings
from youtube8m_distill.families.mean_pool.settings import MeanPoolSettings
from youtube8m_distill.families.mixture.settings import MixtureSettings, MODSettings
from youtube8m_distill.families.netvlad.settings import NetVLADSettings
from youtube8m_distill.families.nextvlad.settings import NeXtVLADSettings
from youtube8m_distill.families.skip_frame.settings import SkipFrameSettings
from youtube8m_distill.families.transformer.settings import TransformerSettings
from youtube8m_distill.families.video_level.settings import VideoLogisticSettings, VideoMoeSettings

FAMILIES = (
    HRNNSettings,
    NetVLADSettings,
    NeXtVLADSettings,
    MixtureSettings,
    MODSettings,
    DBoFSettings,
    LSTMSettings,
    TransformerSettings,
    MeanPoolSettings,
    SkipFrameSettings,
    VideoLogisticSettings,
    VideoMoeSettings,
)
