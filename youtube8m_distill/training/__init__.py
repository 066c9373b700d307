"""Training from labels, and everything that any scheme needs: step, loop, checkpoints, prediction."""

from youtube8m_distill.training.checkpoints import Checkpoints
from youtube8m_distill.training.losses import label_loss
from youtube8m_distill.training.objectives import LabelObjective
from youtube8m_distill.training.optimizers import build_optimizer
from youtube8m_distill.training.predict import PredictedBatch
from youtube8m_distill.training.predict import Predictor
from youtube8m_distill.training.predict import evaluate
from youtube8m_distill.training.progress import Progress
from youtube8m_distill.training.step import TrainingScheme
from youtube8m_distill.training.strategy import make_strategy
from youtube8m_distill.training.supervised import Supervised
