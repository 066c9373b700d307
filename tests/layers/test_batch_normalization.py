import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from youtube8m_distill.layers import replicas
from youtube8m_distill.layers.batch_normalization import BatchNormalization

SIZE = 3
NAMES = ["gamma", "beta", "moving_mean", "moving_variance", "num_updates"]


def layer_of(seed=0, **options):
    """A layer whose weights are far from their start."""
    layer = BatchNormalization(**options)
    layer.build((None, None, SIZE))
    random = np.random.default_rng(seed)
    for weight in (layer.gamma, layer.beta, layer.moving_mean):
        weight.assign(random.normal(size=SIZE))
    layer.moving_variance.assign(random.uniform(0.5, 2, SIZE))
    return layer


def frames_of(shape=(4, 5), seed=1):
    return np.random.default_rng(seed).normal(2, 3, (*shape, SIZE)).astype(np.float32)


def mask_of(shape=(4, 5), seed=2):
    mask = np.random.default_rng(seed).random(shape) < 0.5
    assert 1 < mask.sum() < mask.size - 1
    return mask


def as_float64(variable):
    return np.asarray(variable.numpy(), np.float64)


def normalized(layer, rows, statistics=None):
    return oracles.batch_normalized(
        list(np.asarray(rows, np.float64)), as_float64(layer.gamma), as_float64(layer.beta), statistics, layer.epsilon
    )


def state(layer):
    return [weight.numpy() for weight in (layer.moving_mean, layer.moving_variance, layer.num_updates)]


@pytest.mark.parametrize("shape, epsilon", [((4, 5), 1e-3), ((2, 3, 4), 0.5), ((9,), 1e-3)])
def test_training_normalizes_with_the_statistics_of_the_real_rows(shape, epsilon):
    layer, x, mask = layer_of(epsilon=epsilon), frames_of(shape), mask_of(shape)
    found = np.asarray(layer(x, mask=mask, training=True))
    assert found.shape == x.shape
    np.testing.assert_allclose(found[mask], normalized(layer, x[mask]), rtol=1e-4, atol=1e-5)


def test_the_variance_stays_exact_for_large_means_and_without_a_mask():
    x = frames_of() + 3000
    layer = layer_of()
    found = np.asarray(layer(x, training=True)).reshape(-1, SIZE)
    np.testing.assert_allclose(found, normalized(layer, x.reshape(-1, SIZE)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("garbage", [1e4, np.nan])
def test_padding_affects_neither_outputs_nor_statistics_nor_gradients(garbage):
    def outcome(x):
        layer, mask = layer_of(), mask_of()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.boolean_mask(layer(x, mask=mask, training=True), mask) ** 3)
        return [np.asarray(value) for value in (loss, *tape.gradient(loss, layer.trainable_variables), *state(layer))]

    x = frames_of()
    for found, expected in zip(outcome(np.where(mask_of()[..., None], x, np.float32(garbage))), outcome(x)):
        np.testing.assert_array_equal(found, expected)


def test_gradients_include_the_statistics():
    layer, x, mask = layer_of(), frames_of(), mask_of()
    weights = np.random.default_rng(3).normal(size=x[mask].shape)

    def loss(variables):
        return np.sum(weights * np.array(normalized(layer, variables[0])))

    with tf.GradientTape() as tape:
        tensor = tf.constant(x)
        tape.watch(tensor)
        value = tf.reduce_sum(weights * tf.boolean_mask(layer(tensor, mask=mask, training=True), mask))
    (expected,) = oracles.numerical_gradients(loss, [x[mask].astype(np.float64)])
    np.testing.assert_allclose(tape.gradient(value, tensor).numpy()[mask], expected, rtol=1e-3, atol=1e-4)


def test_evaluation_uses_the_moving_statistics_and_does_not_change_them():
    layer, x, mask = layer_of(), frames_of(), mask_of()
    before = state(layer)
    found = np.asarray(layer(x, mask=mask))
    moving = as_float64(layer.moving_mean), as_float64(layer.moving_variance)
    np.testing.assert_allclose(found[mask], normalized(layer, x[mask], moving), rtol=1e-4)
    np.testing.assert_array_equal(np.asarray(layer(x))[mask], found[mask])
    for a, b in zip(state(layer), before):
        np.testing.assert_array_equal(a, b)


# The schedule of the first updates ends at the fourth with a momentum of 0.3.
@pytest.mark.parametrize("momentum", [0.999, 0.3])
def test_moving_statistics_follow_their_schedule(momentum):
    layer, mask = layer_of(momentum=momentum), mask_of()
    start = as_float64(layer.moving_mean), as_float64(layer.moving_variance)
    batches = [frames_of(seed=seed) for seed in range(5)]
    for x in batches:
        layer(x, mask=mask, training=True)
    statistics = zip(*(oracles.batch_statistics(list(x[mask].astype(np.float64))) for x in batches))
    for moving, first, values in zip((layer.moving_mean, layer.moving_variance), start, statistics):
        np.testing.assert_allclose(moving.numpy(), oracles.moved_statistic(values, first, momentum), rtol=1e-5)
    assert layer.num_updates.numpy() == 5


def test_the_momentum_limits_late_updates():
    layer = layer_of(momentum=0.9)
    layer.num_updates.assign(1000)
    before, x = as_float64(layer.moving_mean), frames_of()
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.9 * before + 0.1 * x.mean(axis=(0, 1)), rtol=1e-5)


def test_default_momentum_and_epsilon_are_slims():
    assert (BatchNormalization().momentum, BatchNormalization().epsilon) == (0.999, 1e-3)


def test_update_statistics_false_keeps_the_moving_statistics():
    layer, x = layer_of(), frames_of()
    before = state(layer)
    found = layer(x, training=True, update_statistics=False)
    for a, b in zip(state(layer), before):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(found, layer(x, training=True))
    assert not np.array_equal(state(layer)[0], before[0])


def test_a_frozen_layer_uses_the_moving_statistics():
    layer, x = layer_of(), frames_of()
    before, expected = state(layer), layer(x)
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), expected)
    for a, b in zip(state(layer), before):
        np.testing.assert_array_equal(a, b)


def test_a_batch_without_real_rows_is_finite_and_updates_nothing():
    layer, x = layer_of(), tf.constant(frames_of())
    before = state(layer)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = layer(x, mask=np.zeros((4, 5), bool), training=True)
        loss = tf.reduce_sum(found)
    for value in (found, *tape.gradient(loss, [x, *layer.trainable_variables])):
        assert np.isfinite(value).all()
    for a, b in zip(state(layer), before):
        np.testing.assert_array_equal(a, b)


def test_a_single_real_row_becomes_beta():
    layer, mask = layer_of(), np.zeros((4, 5), bool)
    mask[2, 1] = True
    found = np.asarray(layer(frames_of(), mask=mask, training=True))
    np.testing.assert_allclose(found[2, 1], layer.beta.numpy(), rtol=1e-5)


def test_in_bfloat16_weights_and_statistics_are_float32():
    layer, exact, mask = layer_of(dtype="mixed_bfloat16"), layer_of(), mask_of()
    x = np.asarray(tf.cast(tf.cast(frames_of() + 100, tf.bfloat16), tf.float32))
    found = layer(x, mask=mask, training=True)
    assert found.dtype == "bfloat16" and {weight.dtype for weight in layer.weights} == {"float32"}
    expected = np.asarray(exact(x, mask=mask, training=True))
    np.testing.assert_allclose(np.asarray(tf.cast(found, tf.float32))[mask], expected[mask], rtol=2**-8)
    for a, b in zip(state(layer), state(exact)):
        np.testing.assert_array_equal(a, b)


def test_a_graph_equals_eager_calls():
    eager, compiled, mask = layer_of(), layer_of(), mask_of()
    step = tf.function(lambda x: compiled(x, mask=mask, training=True))
    for seed in range(3):
        x = frames_of(seed=seed)
        np.testing.assert_allclose(step(x), eager(x, mask=mask, training=True), rtol=1e-5)
    for a, b in zip(state(compiled), state(eager)):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_sums_are_shared_with_the_other_replicas(monkeypatch):
    layer, x = layer_of(), frames_of()
    alone = np.asarray(layer(x, training=True, update_statistics=False))
    monkeypatch.setattr(replicas, "sum_over_replicas", lambda tensors: [2 * tensor for tensor in tensors])  # equal rows
    np.testing.assert_allclose(layer(x, training=True), alone, rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(replicas, "sum_over_replicas", lambda tensors: [tensor + 1 for tensor in tensors])
    assert np.abs(np.asarray(layer(x, training=True)) - alone).max() > 0.01


def test_weights_have_the_usual_names_and_initial_values():
    layer = BatchNormalization()
    layer.build((None, SIZE))
    assert [weight.name for weight in layer.trainable_weights] == NAMES[:2]
    assert [weight.name for weight in layer.non_trainable_weights] == NAMES[2:]
    assert [weight.numpy().tolist() for weight in layer.weights] == [[1.0] * 3, [0.0] * 3, [0.0] * 3, [1.0] * 3, 0.0]


def test_weights_and_statistics_are_saved_and_restored(tmp_path):
    def model(layer):
        return keras.Sequential([keras.Input((None, SIZE)), layer])

    layer = layer_of()
    layer(frames_of(), training=True)
    model(layer).save_weights(tmp_path / "saved.weights.h5")
    other = model(layer_of(seed=5))
    other.load_weights(tmp_path / "saved.weights.h5")
    for a, b in zip(other.layers[0].get_weights(), layer.get_weights()):
        np.testing.assert_array_equal(a, b)
    model(layer).save(tmp_path / "saved.keras")
    loaded = keras.saving.load_model(tmp_path / "saved.keras")
    np.testing.assert_array_equal(loaded(frames_of()), layer(frames_of()))


def test_a_layer_is_restored_from_its_config():
    layer = BatchNormalization(0.7, 0.2, dtype="mixed_bfloat16", name="normal")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.momentum, copy.epsilon, copy.name, copy.dtype_policy.name) == (0.7, 0.2, "normal", "mixed_bfloat16")
