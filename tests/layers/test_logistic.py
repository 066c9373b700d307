import numpy as np
import pytest

from tests import oracles
from youtube8m_distill.layers import logistic

ENCODINGS = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def classifier(num_classes=5):
    layer = logistic.Logistic(num_classes)
    layer.build((None, ENCODINGS.shape[-1]))
    return layer


def test_predictions_equal_the_oracle():
    layer = classifier()
    random = np.random.default_rng(1)
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    expected = [oracles.logistic(x, *layer.get_weights()) for x in ENCODINGS]
    found = layer(ENCODINGS)
    np.testing.assert_allclose(found["predictions"], expected, rtol=1e-5)
    np.testing.assert_allclose(oracles.sigmoid(found["logits"].numpy()), expected, rtol=1e-5)


def test_initial_weights_are_glorot_uniform_and_biases_zero():
    weights, bias = classifier(300).get_weights()
    limit = np.sqrt(6 / (6 + 300))
    assert 0.95 * limit < np.abs(weights).max() <= limit
    assert not np.any(bias)


def test_the_regularizer_is_half_the_sum_of_squared_weights_without_biases():
    layer = classifier()
    layer.set_weights([np.full((6, 5), 100.0), np.full(5, 1e6)])
    layer(ENCODINGS)
    assert float(sum(layer.losses)) == pytest.approx(1e-8 / 2 * 30 * 100.0**2)


def test_multiply_adds_are_encoding_size_times_classes():
    assert classifier().multiply_adds() == 6 * 5


@pytest.mark.parametrize("dtype", ["mixed_bfloat16"])
def test_predictions_are_float32_in_every_precision(dtype):
    layer = logistic.Logistic(5, dtype=dtype)
    assert layer(ENCODINGS)["predictions"].dtype == "float32" and layer.logits.kernel.dtype == "float32"
    exact = classifier()
    exact.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(ENCODINGS)["predictions"], exact(ENCODINGS)["predictions"])
