import numpy as np
import pytest

from youtube8m_distill.metrics import calibration
from youtube8m_distill.metrics.calibration import Calibration, fit_calibration
from youtube8m_distill.metrics.logistic_regression import fit_logistic


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def pairs(a, b, count=200_000, seed=0):
    """Scores, and hits that are true with probability sigmoid(a logit(score) + b)."""
    random = np.random.default_rng(seed)
    logits = random.normal(-2, 2, count)
    return sigmoid(logits).astype(np.float32), random.uniform(size=count) < sigmoid(a * logits + b)


@pytest.mark.parametrize("a, b", [(1.0, 0.0), (0.6, -0.5), (2.5, 1.0)])
def test_a_and_b_are_recovered(a, b):
    found = fit_calibration(*pairs(a, b))
    assert found == pytest.approx((a, b, 0), abs=0.05)


def two_networks(a, b, c, count=200_000):
    """Scores of a network, the answers before it, and hits of probability sigmoid(a logit(score) + b + c logit(answer))."""
    random = np.random.default_rng(0)
    logits = random.normal(-2, 2, (2, count))
    scores, before = sigmoid(logits).astype(np.float32)
    return scores, random.uniform(size=count) < sigmoid(a * logits[0] + b + c * logits[1]), before


def test_the_weight_of_the_answers_before_is_recovered():
    assert fit_calibration(*two_networks(0.7, -0.5, 0.3)) == pytest.approx((0.7, -0.5, 0.3), abs=0.05)


@pytest.mark.parametrize("a, c", [(0.7, -0.3), (-0.2, 1.0)])
def test_answers_that_would_count_the_other_way_round_are_left_out(a, c):
    scores, hits, before = two_networks(a, 0.0, c)
    if a < 0:
        with pytest.raises(ValueError, match="its higher probabilities are not more often right"):
            fit_calibration(scores, hits, before)
    else:
        assert fit_calibration(scores, hits, before) == fit_calibration(scores, hits)


def test_the_combined_map_is_the_formula_and_rises_with_both():
    scores, before = (np.meshgrid([0.0, 1e-6, 0.2, 0.5, 0.9, 1.0], [0.0, 0.1, 0.6, 1.0])[axis] for axis in (0, 1))
    found = np.asarray(Calibration(0.5, -1.0, 0.25)(np.float32(scores), np.float32(before)))
    inner = (slice(1, 3), slice(1, 5))
    p, q = scores[inner], before[inner]
    np.testing.assert_allclose(found[inner], sigmoid(0.5 * np.log(p / (1 - p)) - 1 + 0.25 * np.log(q / (1 - q))), rtol=1e-5)
    assert (np.diff(found, axis=0) > 0).all() and (np.diff(found, axis=1) > 0).all()


def test_the_gradient_of_the_likelihood_is_0_at_the_fit():
    scores, hits = pairs(0.7, 0.3, count=500)
    found = fit_calibration(scores.reshape(25, 20), hits.reshape(25, 20))
    true = hits.sum()
    targets = np.where(hits, (true + 1) / (true + 2), 1 / (500 - true + 2))
    logits = np.log(scores.astype(float)) - np.log1p(-scores.astype(float))
    errors = sigmoid(found.a * logits + found.b) - targets
    assert [abs(errors @ logits) / 500, abs(errors.mean())] == pytest.approx([0, 0], abs=1e-5)


def test_the_map_is_the_formula_and_rises():
    scores = np.array([0, 1e-30, 1e-6, 0.2, 0.5, 0.9, 1 - 1e-6, 1], np.float32)
    found = np.asarray(Calibration(0.5, -1.0)(scores))
    np.testing.assert_allclose(found[2:6], sigmoid(0.5 * np.log(scores[2:6] / (1 - scores[2:6])) - 1.0), rtol=1e-5)
    assert (np.diff(found) >= 0).all() and 0 < found[0] and found[-1] < 1
    assert Calibration()(scores) is scores


def test_separable_pairs_have_a_finite_map():
    scores, hits = np.repeat(np.float32([0.1, 0.9]), 50), np.repeat([False, True], 50)
    found = fit_calibration(scores, hits)
    assert 0 < found.a < 10 and abs(found.b) < 10


@pytest.mark.parametrize(
    "hits, words",
    [
        (np.arange(200) < 19, "19 true and 181 false predictions are too few, at least 20 are needed"),
        (np.arange(200) < 181, "181 true and 19 false"),
        (np.arange(200) < 100, "its higher probabilities are not more often right"),
    ],
)
def test_pairs_that_determine_no_rising_map_are_refused(hits, words):
    scores = np.linspace(0.01, 0.99, 200)
    with pytest.raises(ValueError, match=words):
        fit_calibration(scores, hits)


def test_logits_of_certain_predictions_are_finite():
    found = np.asarray(calibration.logits_of(np.float32([0, 1])))
    assert found == pytest.approx([-calibration.LARGEST_LOGIT, calibration.LARGEST_LOGIT], rel=1e-4)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-6), (np.float32, 1e-4)])
def test_a_regression_with_many_inputs_is_at_its_optimum(dtype, tolerance):
    random = np.random.default_rng(0)
    inputs = random.normal(size=(300, 40)).astype(dtype)
    targets = (inputs @ random.normal(size=40) + random.normal(size=300) > 0).astype(float)
    weights, bias = fit_logistic(inputs, targets, l2=0.01)
    errors = sigmoid(inputs @ weights + bias) - targets
    gradient = np.append(errors @ inputs / 300 + 0.01 * weights, errors.mean())
    assert np.abs(gradient).max() < tolerance
