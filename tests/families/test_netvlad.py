import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from youtube8m_distill.families.netvlad.encoder import NetVLAD, NetVLADPooling

SIZES = (6, 3)
COUNTS = (5, 3, 1, 0)  # all rows, some, one, none
ROWS = 5


def encoder_of(sizes=SIZES, num_clusters=4, hidden_size=5, seed=1, **options):
    """An encoder whose weights, moving statistics too, are far from their start."""
    layer = NetVLAD(sizes, num_clusters, hidden_size, **options)
    layer.build((None, None, sum(sizes)))
    random = np.random.default_rng(seed)
    for weight in layer.weights:
        positive = weight.name in ("gamma", "moving_variance", "num_updates")
        weight.assign(random.uniform(0.5, 1.5, weight.shape) if positive else random.normal(0, 0.7, weight.shape))
    return layer


def frames_of(size=9, counts=COUNTS, rows=ROWS, seed=0):
    return np.random.default_rng(seed).normal(size=(len(counts), rows, size)).astype(np.float32)


def numbers(variable):
    return np.asarray(variable.numpy(), np.float64)


def normalizing(layer, bias, training):
    """What the oracle does to rows: a function where `layer` is batch normalization, else the bias of the layer `bias`."""
    if layer is None:
        return numbers(bias.bias)
    gamma, beta, mean, variance, _ = (numbers(weight) for weight in layer.weights)
    return lambda rows: oracles.batch_normalized(rows, gamma, beta, None if training else (mean, variance))


def oracle_weights(layer, training):
    """The weights of an encoder as `oracles.netvlad` takes them."""
    features = []
    for pooling in layer.poolings:
        kernel = numbers(pooling.assign.kernel)
        normalize = normalizing(getattr(pooling, "normalization", None), pooling.assign, training)
        features.append((kernel, normalize, numbers(pooling.centers) if pooling.subtract_centers else 0 * kernel))
    gates, gating = None, layer.gating
    if gating is not None:
        normalize = normalizing(gating.normalization if gating.batch_norm else None, gating, training)
        gates = numbers(gating.kernel), normalize
    frames = layer.frame_normalization
    return {
        "frames": normalizing(frames, None, training) if frames is not None else lambda rows: rows,
        "features": features,
        "hidden": numbers(layer.hidden.kernel),
        "gates": gates,
        "hidden_normalize": normalizing(layer.hidden_normalization, layer.hidden, training),
    }


def assert_as_the_oracle(layer, frames, counts, training):
    weights = oracle_weights(layer, training)
    videos = [list(video[:count].astype(np.float64)) for video, count in zip(frames, counts)]
    remove_diagonal = layer.gating is not None and layer.gating.remove_diagonal
    expected = oracles.netvlad(videos, layer.feature_sizes, weights, layer.relu, remove_diagonal)
    found = layer(frames, np.array(counts), training=training)
    assert found.shape == (len(counts), layer.encoding_size)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options, training",
    [
        ({}, False),
        ({"relu": True}, True),
        ({"batch_norm": False, "relu": True}, False),
        ({"gating": False}, True),
        ({"gating_remove_diagonal": True, "sizes": (6,)}, True),
        ({"batch_norm": False, "gating_remove_diagonal": True}, False),
        ({"subtract_centers": False, "sizes": (4, 3, 2), "num_clusters": 7}, True),
    ],
    ids=str,
)
def test_encodings_equal_the_oracle(options, training):
    layer = encoder_of(**options)
    assert_as_the_oracle(layer, frames_of(sum(layer.feature_sizes)), COUNTS, training)


@pytest.mark.parametrize("counts, rows, training", [((1,), 1, False), ((3, 0, 0, 2, 1, 3), 4, True)])
def test_encodings_of_any_length_equal_the_oracle(counts, rows, training):
    assert_as_the_oracle(encoder_of(), frames_of(counts=counts, rows=rows), counts, training)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_relu_stops_at_6(batch_norm):
    layer = encoder_of(relu=True, batch_norm=batch_norm, gating=False)
    (layer.hidden_normalization.beta if batch_norm else layer.hidden.bias).assign([20, 20, 20, 20, -20])
    np.testing.assert_array_equal(layer(frames_of(), np.array(COUNTS)), [[6, 6, 6, 6, 0]] * len(COUNTS))


@pytest.mark.parametrize("option", ["relu", "batch_norm", "gating", "gating_remove_diagonal", "subtract_centers"])
def test_every_option_changes_the_encoding(option):
    changed = {option: option in ("relu", "gating_remove_diagonal")}
    found, usual = (layer(frames_of(), np.array(COUNTS)) for layer in (encoder_of(**changed), encoder_of()))
    assert np.abs(found - usual).max() > 0.01


@pytest.mark.parametrize("batch_norm, training", [(False, False), (True, True)])
def test_padding_affects_neither_outputs_nor_gradients_nor_statistics(batch_norm, training):
    def outcome(frames):
        layer = encoder_of(batch_norm=batch_norm)
        with tf.GradientTape() as tape:
            encoding = layer(frames, np.array(COUNTS), training=training)
            loss = tf.reduce_sum(encoding**2)
        trained = tape.gradient(loss, layer.trainable_variables)
        return [np.asarray(value) for value in (encoding, *trained, *layer.non_trainable_weights)]

    frames = frames_of()
    real = np.arange(ROWS)[None, :, None] < np.array(COUNTS)[:, None, None]
    longer = np.pad(np.where(real, frames, 9), [[0, 0], [0, 3], [0, 0]], constant_values=-70)
    for found, expected in zip(outcome(longer), outcome(frames)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options, counts", [({}, (0, 0)), ({"relu": True}, (3, 0)), ({"batch_norm": False}, (0, 0))], ids=str
)
def test_videos_without_frames_give_finite_encodings_and_gradients(options, counts):
    layer, frames = encoder_of(**options), tf.constant(frames_of(counts=counts))
    with tf.GradientTape() as tape:
        tape.watch(frames)
        encoding = layer(frames, np.array(counts), training=True)
        loss = tf.reduce_sum(encoding**2)
    for value in (encoding, *tape.gradient(loss, [frames, *layer.trainable_variables])):
        assert np.isfinite(value).all()


@pytest.mark.parametrize("subtract_centers", [False, True])
def test_a_descriptor_has_length_1_and_equally_long_clusters(subtract_centers):
    pooling = NetVLADPooling(4, subtract_centers=subtract_centers)
    pooling.build((None, None, 6))
    vlad = np.asarray(pooling(frames_of(6), np.array([5, 3, 1, 0]))).reshape(4, 6, 4)  # D-major
    np.testing.assert_allclose(np.linalg.norm(vlad, axis=1), [[0.5] * 4] * 3 + [[0] * 4], rtol=1e-5)


def test_initial_weights_are_normal_with_the_published_spreads():
    keras.utils.set_random_seed(0)
    layer = NetVLAD((256, 64), num_clusters=64, hidden_size=128, batch_norm=False)
    layer.build((None, None, 320))
    spreads = [(layer.hidden.kernel, 1 / np.sqrt(64)), (layer.hidden.bias, 0.01), (layer.gating.kernel, 1 / np.sqrt(128))]
    for size, pooling in zip((256, 64), layer.poolings):
        spreads += [(pooling.assign.kernel, size**-0.5), (pooling.assign.bias, size**-0.5), (pooling.centers, size**-0.5)]
    for weight, spread in spreads:
        few = weight.numpy().size < 200
        assert weight.numpy().std() == pytest.approx(spread, rel=0.35 if few else 0.06), weight.path
        assert few or np.abs(weight.numpy()).max() > 2.5 * spread  # not truncated
    first = layer.poolings[0]
    assert abs(np.corrcoef(first.assign.kernel.numpy().ravel(), first.centers.numpy().ravel())[0, 1]) < 0.05


def test_normalization_replaces_biases():
    layer = encoder_of(relu=True)
    assert layer.hidden.bias is None and all(pooling.assign.bias is None for pooling in layer.poolings)
    assert encoder_of(relu=False).hidden.bias is not None  # without relu nothing normalizes there


def test_the_published_sizes_have_the_published_number_of_weights():
    with keras.StatelessScope(initialize_variables=False):
        layer = NetVLAD((1024, 128), hidden_size=2)
        layer.build((None, None, 1152))
    assert layer.hidden.kernel.shape == (278_528, 2)
    assert 278_528 * NetVLAD((1024, 128)).encoding_size == 285_212_672
    poolings = 2 * (1024 * 256 + 128 * 128) + 2 * (256 + 128)  # assignments, centers; gamma and beta
    assert sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights) == (
        2 * 1152 + poolings + 278_528 * 2 + 2 + 2 * 2 + 2 * 2
    )  # frames; hidden and its bias; gates


def test_the_defaults_are_the_published_ones():
    layer = NetVLAD((1024, 128))
    assert [pooling.num_clusters for pooling in layer.poolings] == [256, 128] and layer.encoding_size == 1024
    assert layer.batch_norm and layer.subtract_centers and not layer.relu and layer.gating is not None
    assert not layer.gating.remove_diagonal


@pytest.mark.parametrize("gating", [False, True])
def test_multiply_adds_count_the_matrix_products(gating):
    layer = encoder_of(gating=gating)
    frame = 2 * (6 * 4 + 3 * 2)
    assert layer.multiply_adds(7) == 7 * frame + (6 * 4 + 3 * 2) * 5 + gating * 5 * 5


@pytest.mark.parametrize("options, training", [({}, True), ({"batch_norm": False, "relu": True}, False)], ids=str)
def test_bfloat16_is_near_float32(options, training):
    frames, counts = frames_of(), np.array(COUNTS)
    low, exact = (encoder_of(dtype=dtype, **options) for dtype in ("mixed_bfloat16", "float32"))
    found = low(tf.cast(frames, "bfloat16"), counts, training=training)
    assert found.dtype == "bfloat16" and {weight.dtype for weight in low.weights} == {"float32"}
    expected = np.asarray(exact(frames, counts, training=training))
    np.testing.assert_allclose(tf.cast(found, "float32"), expected, atol=0.05 * np.abs(expected).max())


def test_a_feature_without_clusters_is_an_error():
    with pytest.raises(ValueError, match="num_clusters=1 leaves a feature without clusters; choose 2 or more"):
        NetVLAD(SIZES, 1)
    assert NetVLAD((6,), 1).poolings[0].num_clusters == 1


@pytest.mark.parametrize(
    "options",
    [{"relu": True, "gating_remove_diagonal": True}, {"batch_norm": False, "gating": False, "subtract_centers": False}],
    ids=str,
)
def test_a_layer_is_restored_from_its_config(options):
    layer = encoder_of(dtype="mixed_bfloat16", name="reader", **options)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.name, copy.dtype_policy.name, copy.get_config()) == ("reader", "mixed_bfloat16", layer.get_config())
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(frames_of(), np.array(COUNTS)), layer(frames_of(), np.array(COUNTS)))


def test_a_configuration_of_version_0_1_is_read():
    saved = NetVLAD(SIZES, subtract_centers=False).get_config()
    saved["subtract_centres"] = saved.pop("subtract_centers")
    assert not NetVLAD.from_config(saved).subtract_centers
