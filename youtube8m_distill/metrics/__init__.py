"""Metrics: per video, over all videos, and all of them together for an evaluation."""

from youtube8m_distill.metrics.average_precision import average_precision
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.metrics.gap import GlobalAveragePrecision, minibatch_gap
from youtube8m_distill.metrics.mean_average_precision import FullMeanAveragePrecision, MeanAveragePrecision
from youtube8m_distill.metrics.per_video import hit_at_one, perr
from youtube8m_distill.metrics.ranking import Ranking, ranking_from_top
