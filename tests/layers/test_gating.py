import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from youtube8m_distill.layers.gating import ContextGating

SIZE = 4
ENCODINGS = np.random.default_rng(0).normal(size=(6, SIZE)).astype(np.float32)


def layer_of(seed=1, **options):
    """A layer whose weights, moving statistics too, are far from their start."""
    layer = ContextGating(**options)
    layer.build((None, SIZE))
    random = np.random.default_rng(seed)
    layer.set_weights([random.uniform(0.3, 2, weight.shape) for weight in layer.weights])
    return layer


def normalizing(layer, training):
    """What the oracle does to the gates: a function from rows to rows, or the bias."""
    if not layer.batch_norm:
        return np.asarray(layer.bias.numpy(), np.float64)
    gamma, beta, mean, variance, _ = (np.asarray(weight.numpy(), np.float64) for weight in layer.normalization.weights)
    statistics = None if training else (mean, variance)
    return lambda rows: oracles.batch_normalized(rows, gamma, beta, statistics)


@pytest.mark.parametrize("batch_norm, remove_diagonal, training", [(False, True, False), (True, False, True)])
def test_gated_encodings_equal_the_oracle(batch_norm, remove_diagonal, training):
    layer = layer_of(batch_norm=batch_norm, remove_diagonal=remove_diagonal)
    expected = oracles.context_gated(
        list(ENCODINGS.astype(np.float64)),
        layer.kernel.numpy().astype(np.float64),
        normalizing(layer, training),
        remove_diagonal,
    )
    np.testing.assert_allclose(layer(ENCODINGS, training=training), expected, rtol=1e-4, atol=1e-6)


def test_gates_read_columns_of_the_kernel():
    layer = layer_of(batch_norm=False)
    kernel = np.zeros((SIZE, SIZE))
    kernel[0, 2] = 100  # entry 0 opens gate 2, and no other way round
    layer.set_weights([kernel, np.zeros(SIZE)])
    np.testing.assert_allclose(layer(np.ones((1, SIZE))), [[0.5, 0.5, 1.0, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("update_statistics", [False, True])
def test_gate_statistics_update_only_if_requested(update_statistics):
    layer = layer_of()
    before = layer.normalization.moving_mean.numpy()
    layer(ENCODINGS, training=True, update_statistics=update_statistics)
    assert np.array_equal(layer.normalization.moving_mean.numpy(), before) != update_statistics


def test_initial_weights_are_normal_with_the_published_spread():
    layer = ContextGating(batch_norm=False)
    layer.build((None, 400))
    for weight in (layer.kernel, layer.bias):
        assert weight.numpy().std() == pytest.approx(1 / np.sqrt(400), rel=0.15)
        assert abs(weight.numpy().mean()) < 0.01
    assert np.abs(layer.kernel.numpy()).max() > 4 / np.sqrt(400)  # a normal, not a uniform start
    assert not np.isclose(layer.bias.numpy(), layer.kernel.numpy()[0]).any()


def test_normalization_replaces_the_bias():
    assert [weight.name for weight in layer_of(batch_norm=False).trainable_weights] == ["kernel", "bias"]
    assert [weight.name for weight in layer_of(batch_norm=True).trainable_weights] == ["kernel", "gamma", "beta"]


def test_multiply_adds_count_the_kernel():
    assert layer_of().multiply_adds() == SIZE * SIZE


@pytest.mark.parametrize("batch_norm, remove_diagonal", [(True, False), (False, True)])
def test_bfloat16_is_near_float32(batch_norm, remove_diagonal):
    options = {"batch_norm": batch_norm, "remove_diagonal": remove_diagonal}
    found = layer_of(dtype="mixed_bfloat16", **options)(ENCODINGS, training=True)
    assert found.dtype == "bfloat16"
    np.testing.assert_allclose(
        tf.cast(found, "float32"), layer_of(**options)(ENCODINGS, training=True), rtol=0.05, atol=0.02
    )


@pytest.mark.parametrize("batch_norm, remove_diagonal", [(True, False), (False, True)])
def test_a_layer_is_restored_from_its_config(batch_norm, remove_diagonal):
    layer = ContextGating(batch_norm, remove_diagonal, dtype="mixed_bfloat16", name="gates")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.batch_norm, copy.remove_diagonal, copy.name) == (batch_norm, remove_diagonal, "gates")
    assert copy.dtype_policy.name == "mixed_bfloat16"
