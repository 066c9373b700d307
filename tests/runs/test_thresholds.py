import itertools
import math

import numpy as np
import pytest

from tests import oracles
from youtube8m_distill.runs import thresholds
from youtube8m_distill.runs.thresholds import StageResults, cheapest, point_of, trace_frontier

COSTS = 1.0, 5.0, 20.0


def random_stages(count=60, num_stages=3, k=4, seed=0):
    """Results of networks that get better, whose confidence tells something about their hits; and the number of labels."""
    random = np.random.default_rng(seed)
    truth, stages = random.uniform(size=(count, k)) < 0.4, []
    for index in range(num_stages):
        noise = random.normal(0, 2.0 / (1 + 2 * index), (count, k)) * random.uniform(0, 2, (count, 1))
        scores = 1 / (1 + np.exp(-(2.0 * truth - 1 + noise)))
        confidence = np.abs(scores - 0.5).mean(axis=1)
        frames = np.full(count, 10 * (index + 1))
        stages.append(StageResults(scores.astype(np.float32), truth, confidence, frames, np.full(count, COSTS[index])))
    return stages, int(truth.sum())


def test_a_point_is_what_counting_by_hand_gives():
    stages, num_labels = random_stages()
    limits = [float(np.quantile(stage.confidence, 0.6)) for stage in stages[:2]]
    found = point_of(stages, num_labels, limits)
    scores, hits, frames, cost, videos = [], [], 0, 0.0, [0, 0, 0]
    for video in range(60):
        for index, stage in enumerate(stages):
            frames, cost = frames + stage.num_frames[video], cost + stage.multiply_adds[video]
            if index == 2 or stage.confidence[video] >= limits[index]:
                break
        videos[index] += 1
        scores.append(stages[index].scores[video])
        hits.append(stages[index].hits[video])
    order = np.argsort(-np.ravel(scores))
    precision = np.cumsum(np.ravel(hits)[order]) / np.arange(1, 241)
    assert found.gap == pytest.approx(precision[np.ravel(hits)[order]].sum() / num_labels)
    assert found.mean_frames == pytest.approx(frames / 60) and found.mean_multiply_adds == pytest.approx(cost / 60)
    assert found.videos == tuple(videos) and min(videos) > 0


def test_the_path_leads_from_the_last_network_to_the_first():
    stages, num_labels = random_stages()
    path = trace_frontier(stages, num_labels, steps=20)
    assert path[0].thresholds == (math.inf, math.inf) and path[0].videos == (0, 0, 60)
    assert path[-1].videos == (60, 0, 0) and path[-1].mean_multiply_adds == 1.0
    costs = [point.mean_multiply_adds for point in path]
    assert costs == sorted(costs, reverse=True) and len(set(costs)) == len(costs)
    for one, other in itertools.pairwise(path):
        assert sum(a != b for a, b in zip(one.thresholds, other.thresholds)) == 1


def exhaustive(stages, num_labels, min_gap):
    """The fewest multiply-adds of any thresholds that keep this GAP."""
    choices = [[*np.unique(stage.confidence), math.inf] for stage in stages[:-1]]
    choices = [limits[:: max(1, len(limits) // 40)] for limits in choices]
    points = (point_of(stages, num_labels, limits) for limits in itertools.product(*choices))
    return min(point.mean_multiply_adds for point in points if point.gap >= min_gap)


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
def test_with_two_networks_no_thresholds_are_cheaper(loss):
    for seed in range(5):
        stages, num_labels = random_stages(count=40, num_stages=2, seed=seed)
        path = trace_frontier(stages, num_labels, steps=40)
        found = cheapest(path, path[0].gap - loss)
        assert found.gap >= path[0].gap - loss
        assert found.mean_multiply_adds == exhaustive(stages, num_labels, path[0].gap - loss)


@pytest.mark.parametrize("loss", [0.01, 0.05])
def test_with_three_networks_the_search_is_close_to_the_exhaustive_one(loss):
    ratios = []
    for seed in range(3):
        stages, num_labels = random_stages(count=200, seed=seed)
        path = trace_frontier(stages, num_labels)
        found = cheapest(path, path[0].gap - loss)
        ratios.append(found.mean_multiply_adds / exhaustive(stages, num_labels, path[0].gap - loss))
    assert max(ratios) < 1.1, ratios


def test_equal_confidences_are_answered_together():
    stages, num_labels = random_stages(num_stages=2)
    stages[0] = stages[0]._replace(confidence=np.repeat([0.1, 0.9], 30))
    assert [point.videos for point in trace_frontier(stages, num_labels)] == [(0, 60), (30, 30), (60, 0)]


def test_the_default_spacing_is_one_percent_of_the_videos():
    stages, num_labels = random_stages(count=1000, num_stages=2)
    path = trace_frontier(stages, num_labels)
    assert len(path) == thresholds.STEPS + 1 and path[1].videos == (10, 990)


def test_gap_of_a_single_network_is_that_of_the_metric():
    stages, num_labels = random_stages(num_stages=2)
    truth = stages[0].hits
    assert point_of(stages, num_labels, [-1.0]).gap == pytest.approx(oracles.gap(truth, stages[0].scores, 4), rel=1e-6)
