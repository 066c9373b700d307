"""Networks: frames in, encoding and class probabilities out. `keras.ops` only, so any Keras backend runs them."""

from youtube8m_distill.models.batch_normalization import BatchNormalization
from youtube8m_distill.models.builders import CLASSIFIERS
from youtube8m_distill.models.builders import ENCODERS
from youtube8m_distill.models.builders import build_model
from youtube8m_distill.models.context_gating import ContextGating
from youtube8m_distill.models.dbof import DeepBagOfFrames
from youtube8m_distill.models.encoder import Encoder
from youtube8m_distill.models.hierarchical_rnn import HierarchicalRNN
from youtube8m_distill.models.logistic import Logistic
from youtube8m_distill.models.lstm import StackedLSTM
from youtube8m_distill.models.lstm_encoder import LSTMEncoder
from youtube8m_distill.models.mean_pool import MeanPool
from youtube8m_distill.models.moe import MixtureOfExperts
from youtube8m_distill.models.netvlad import NetVLAD
from youtube8m_distill.models.network_mixture import NetworkMixture
from youtube8m_distill.models.nextvlad import NeXtVLAD
from youtube8m_distill.models.original_weights import assign_original_weights
from youtube8m_distill.models.preprocessing import L2Preprocessing
from youtube8m_distill.models.preprocessing import ReverseWhitening
from youtube8m_distill.models.preprocessing import read_eigenvalues
from youtube8m_distill.models.video_classifier import VideoClassifier
