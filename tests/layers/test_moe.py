import numpy as np
import pytest

from tests import oracles
from youtube8m_distill.layers import moe

ENCODINGS = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def classifier(num_mixtures, num_classes=5, **options):
    layer = moe.MixtureOfExperts(num_classes, num_mixtures, **options)
    layer.build((None, ENCODINGS.shape[-1]))
    return layer


@pytest.mark.parametrize("num_mixtures", [1, 4])
def test_predictions_equal_the_oracle(num_mixtures):
    layer = classifier(num_mixtures)
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    (gates,), (experts, bias) = layer.gates.get_weights(), layer.experts.get_weights()
    expected = [oracles.mixture_of_experts(x, gates, experts, bias, num_mixtures) for x in ENCODINGS]
    np.testing.assert_allclose(layer(ENCODINGS)["predictions"], expected, rtol=1e-5)


@pytest.mark.parametrize("num_mixtures, expected", [(1, 1 / 4), (2, 1 / 3), (4, 2 / 5)])
def test_predictions_for_zero_encodings_are_the_published_initial_value(num_mixtures, expected):
    found = classifier(num_mixtures)(np.zeros((3, 6), np.float32))["predictions"]  # as of a video without frames
    np.testing.assert_allclose(found, np.full((3, 5), expected), rtol=1e-6)


def test_the_initial_loss_is_the_published_one():
    found = np.asarray(classifier(2, 4716)(1e-3 * ENCODINGS)["predictions"])
    np.testing.assert_allclose(found, 1 / 3, atol=1e-3)
    p = found[0].astype(np.float64)
    loss = -(np.log(p[:3] + 1e-5).sum() + np.log(1 - p[3:] + 1e-5).sum())
    assert loss == pytest.approx(1914.25, abs=0.5)  # three labels of 4716; the original's log says 1914.09


def test_gates_have_no_bias_and_expert_biases_start_at_zero():
    layer = classifier(2)
    assert layer.gates.bias is None and not np.any(layer.experts.bias.numpy())
    for kernel, columns in ((layer.gates.kernel, 15), (layer.experts.kernel, 10)):
        limit = np.sqrt(6 / (6 + columns))
        assert 0.8 * limit < np.abs(kernel.numpy()).max() <= limit


def test_the_regularizer_is_half_the_sum_of_squares_of_both_matrices():
    layer = classifier(2)
    layer.set_weights([np.full(weight.shape, 100.0) for weight in layer.weights])
    layer(ENCODINGS)
    assert float(sum(layer.losses)) == pytest.approx(1e-8 / 2 * (6 * 15 + 6 * 10) * 100.0**2)


@pytest.mark.parametrize("num_mixtures, expected", [(2, 6 * 5 * 5), (4, 6 * 5 * 9)])
def test_multiply_adds_count_gates_and_experts(num_mixtures, expected):
    assert classifier(num_mixtures).multiply_adds() == expected


def test_predictions_are_float32_in_every_precision():
    layer = moe.MixtureOfExperts(5, dtype="mixed_bfloat16")
    assert layer(ENCODINGS)["predictions"].dtype == "float32" and layer.gates.kernel.dtype == "float32"
    exact = classifier(2)
    exact.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(ENCODINGS)["predictions"], exact(ENCODINGS)["predictions"])


@pytest.mark.parametrize("remove_diagonal", [False, True])
def test_probability_gating_equals_the_oracle(remove_diagonal):
    layer, plain = classifier(2, probability_gating=True, remove_diagonal=remove_diagonal), classifier(2)
    random = np.random.default_rng(1)
    layer.set_weights([np.abs(random.normal(size=weight.shape)) for weight in layer.weights])
    plain.gates.set_weights(layer.gates.get_weights())
    plain.experts.set_weights(layer.experts.get_weights())
    norm = layer.gating.normalization

    def normalize(gates):
        scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + 1e-3)
        return [(gate - norm.moving_mean.numpy()) * scale + norm.beta.numpy() for gate in gates]

    rows = plain(ENCODINGS)["predictions"].numpy().astype(np.float64)
    expected = oracles.context_gated(rows, layer.gating.kernel.numpy(), normalize, remove_diagonal)
    np.testing.assert_allclose(layer(ENCODINGS)["predictions"], expected, rtol=1e-5)
    assert layer.multiply_adds() == plain.multiply_adds() + 5 * 5


def test_a_layer_is_restored_from_its_config():
    layer = classifier(3, l2=0.5, probability_gating=True, remove_diagonal=True)
    copy = moe.MixtureOfExperts.from_config(layer.get_config())
    assert (copy.num_classes, copy.num_mixtures, copy.l2) == (5, 3, 0.5)
    assert copy.probability_gating and copy.remove_diagonal and not classifier(3).probability_gating
