"""How good predictions are: per video, ranked over all videos, and everything together for an evaluation."""

from youtube8m_distill.metrics.average_precision import average_precision
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.metrics.gap import GlobalAveragePrecision
from youtube8m_distill.metrics.gap import minibatch_gap
from youtube8m_distill.metrics.mean_average_precision import FullMeanAveragePrecision
from youtube8m_distill.metrics.mean_average_precision import MeanAveragePrecision
from youtube8m_distill.metrics.per_video import hit_at_one
from youtube8m_distill.metrics.per_video import perr
from youtube8m_distill.metrics.ranking import Ranking
from youtube8m_distill.metrics.ranking import rank
from youtube8m_distill.metrics.ranking import ranking_from_top
