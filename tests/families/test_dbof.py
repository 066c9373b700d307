import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from youtube8m_distill.families.dbof import encoder as dbof
from youtube8m_distill.layers import masking

SIZE = 9
COUNTS = np.array([5, 3, 1, 0])
FRAMES = np.random.default_rng(0).normal(size=(4, 5, SIZE)).astype(np.float32)
LAYERS = ("clusters", "hidden", "input_normalization", "cluster_normalization", "hidden_normalization")
OPTIONS = [
    dict(zip(("pooling", "activation", "batch_norm"), values))
    for values in (
        ("max", "sigmoid", True),
        ("average", "relu6", True),
        ("max", "relu6", False),
        ("average", "sigmoid", False),
    )
]


def encoder(num_clusters=7, hidden_size=4, size=SIZE, **options):
    """The layer with random weights and moving statistics; variances are positive, and no update has been counted."""
    layer = dbof.DeepBagOfFrames(num_clusters, hidden_size, **options)
    layer.build((None, None, size))
    random = np.random.default_rng(1)
    for weight in layer.weights:
        values = random.normal(0.0, 1.0, weight.shape)
        if weight.name != "num_updates":
            weight.assign(np.abs(values) + 0.5 if weight.name == "moving_variance" else values)
    return layer


def oracle_weights(layer):
    weights = {}
    for name in LAYERS if layer.batch_norm else LAYERS[:2]:
        values = {weight.name: np.asarray(weight, np.float64) for weight in getattr(layer, name).weights}
        order = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
        weights[name] = [values[part] for part in order if part in values]
    return weights


def expected(layer, frames, counts, training=False):
    videos = [video[:count].astype(np.float64) for video, count in zip(frames, counts)]
    return oracles.deep_bag_of_frames(oracle_weights(layer), videos, layer.pooling, layer.activation, training)


CASES = [(OPTIONS[0], True), (OPTIONS[1], False), (OPTIONS[1], True), (OPTIONS[2], False), (OPTIONS[3], True)]


@pytest.mark.parametrize("options, training", CASES, ids=str)
def test_encodings_equal_the_oracle(options, training):
    layer = encoder(**options)
    encodings, _ = expected(layer, FRAMES, COUNTS, training)
    # Not through Keras' `__call__`, which passes `training` to inner layers; VideoClassifier calls these methods too.
    found = layer.project(layer.pool(FRAMES, COUNTS, training), training)
    assert found.shape == (4, 4) and layer.encoding_size == 4
    np.testing.assert_allclose(found, encodings, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "num_clusters, hidden_size, size, rows, counts", [(1, 1, 1, 1, [1, 1]), (3, 8, 2, 20, [20, 19, 1, 0, 7])]
)
@pytest.mark.parametrize("pooling", ["average"])
def test_encodings_of_any_shape_equal_the_oracle(pooling, num_clusters, hidden_size, size, rows, counts):
    layer = encoder(num_clusters, hidden_size, size, pooling=pooling)
    frames = np.random.default_rng(2).normal(size=(len(counts), rows, size)).astype(np.float32)
    for training in (False, True):
        encodings, _ = expected(layer, frames, counts, training)
        np.testing.assert_allclose(layer(frames, np.array(counts), training=training), encodings, rtol=1e-4, atol=1e-4)


def test_moving_statistics_follow_those_of_real_frames_and_videos():
    layer = encoder()
    before = oracle_weights(layer)
    _, seen = expected(layer, FRAMES, COUNTS, training=True)
    layer(FRAMES, COUNTS, training=True)
    after = oracle_weights(layer)
    for name in LAYERS[2:]:
        for old, new, batch in zip(before[name][2:], after[name][2:], seen[name]):
            # A first update keeps a tenth.
            np.testing.assert_allclose(new, 0.1 * old + 0.9 * batch, rtol=1e-4, atol=1e-5)
            assert np.abs(batch - old).max() > 0.1


@pytest.mark.parametrize(
    "pair",
    [
        ({"pooling": "max"}, {"pooling": "average"}),
        ({"activation": "sigmoid"}, {"activation": "relu6"}),
        ({"batch_norm": True}, {"batch_norm": False}),
    ],
)
def test_each_option_changes_the_encoding(pair):
    first, second = (encoder(**options) for options in pair)
    if len(first.weights) == len(second.weights):
        second.set_weights(first.get_weights())
    else:
        for name in ("clusters", "hidden"):
            getattr(second, name).kernel.assign(getattr(first, name).kernel)
    assert np.abs(first(FRAMES, COUNTS) - second(FRAMES, COUNTS)).max() > 0.02


def test_defaults_are_those_of_the_starter_code():
    layer = dbof.DeepBagOfFrames()
    assert (layer.num_clusters, layer.encoding_size, layer.pooling, layer.activation, layer.batch_norm) == (
        8192,
        1024,
        "max",
        "sigmoid",
        True,
    )


def test_max_pooling_ignores_padding_and_allows_negative_values():
    votes = np.array([[[-3.0], [-2.0], [9.0]], [[-3.0], [-2.0], [9.0]]], np.float32)
    np.testing.assert_array_equal(masking.max_of_real_frames(votes, np.array([2, 0])), [[-2.0], [0.0]])


@pytest.mark.parametrize("options, training", [(OPTIONS[0], True), (OPTIONS[1], False), (OPTIONS[1], True)], ids=str)
def test_padding_and_the_order_of_the_frames_do_not_matter(options, training):
    dirty = np.where(np.arange(5)[None, :, None] < COUNTS[:, None, None], FRAMES, np.float32(1e3))
    for video, count in zip(dirty, COUNTS):
        video[:count] = video[:count][::-1].copy()
    first, second = encoder(**options), encoder(**options)
    np.testing.assert_allclose(
        first(FRAMES, COUNTS, training=training), second(dirty, COUNTS, training=training), rtol=1e-4, atol=1e-5
    )
    for values, others in zip(first.get_weights(), second.get_weights()):
        np.testing.assert_allclose(values, others, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("counts", [COUNTS, np.zeros(4, np.int32)], ids=["one", "all"])
@pytest.mark.parametrize("options", OPTIONS[:3], ids=lambda options: "-".join(map(str, options.values())))
def test_videos_without_frames_have_finite_encodings_and_gradients(options, counts):
    layer = encoder(**options)
    with tf.GradientTape() as tape:
        encoding = layer(FRAMES, counts, training=True)
        loss = tf.reduce_sum(tf.square(encoding))
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert np.all(np.isfinite(encoding))
    assert all(gradient is not None and np.all(np.isfinite(gradient)) for gradient in gradients)
    assert all(np.all(np.isfinite(weight)) for weight in layer.get_weights())


def test_without_frames_the_encoding_is_that_of_the_hidden_bias():
    layer = encoder(batch_norm=False)
    found = layer(FRAMES, np.zeros(4, np.int32))
    np.testing.assert_allclose(found, np.tile(oracles.sigmoid(layer.hidden.bias.numpy()), (4, 1)), rtol=1e-5)


@pytest.mark.parametrize("pooling, batch_norm", [("max", True), ("average", False)])
def test_bfloat16_encodings_stay_near_the_exact_ones(pooling, batch_norm):
    options = {"pooling": pooling, "batch_norm": batch_norm}
    exact, rounded = encoder(**options), encoder(dtype="mixed_bfloat16", **options)
    for training in (False, True):
        found = rounded(keras.ops.cast(FRAMES, "bfloat16"), COUNTS, training=training)
        assert found.dtype == "bfloat16"
        np.testing.assert_allclose(
            keras.ops.cast(found, "float32"), exact(FRAMES, COUNTS, training=training), rtol=0, atol=0.05
        )


def test_initial_weights_have_the_published_spreads():
    keras.utils.set_random_seed(0)
    layer = dbof.DeepBagOfFrames(400, 300, batch_norm=False)
    layer.build((None, None, 100))
    spreads = {"clusters": (1 / np.sqrt(100), 1 / np.sqrt(100)), "hidden": (1 / np.sqrt(400), 0.01)}
    for name, stddevs in spreads.items():
        for values, stddev in zip(getattr(layer, name).get_weights(), stddevs):
            assert abs(values.std() / stddev - 1) < 0.15
            assert abs(values.mean()) < 0.2 * stddev
            assert np.abs(values).max() > 2.2 * stddev  # a truncated normal ends at 2


@pytest.mark.parametrize("batch_norm, between", [(True, 2 * 1152 + 2 * 8192 + 2 * 1024), (False, 8192 + 1024)])
def test_the_published_size_has_the_expected_number_of_weights(batch_norm, between):
    with keras.StatelessScope(initialize_variables=False):
        layer = dbof.DeepBagOfFrames(batch_norm=batch_norm)
        layer.build((None, None, 1152))
    trainable = sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)
    assert trainable == 1152 * 8192 + 8192 * 1024 + between


@pytest.mark.parametrize("num_frames", [0, 1, 7])
def test_multiply_adds_count_the_matrix_products(num_frames):
    layer = encoder()
    clusters, hidden = (int(np.prod(getattr(layer, name).kernel.shape)) for name in ("clusters", "hidden"))
    assert layer.multiply_adds(num_frames) == num_frames * clusters + hidden


@pytest.mark.parametrize(
    "options, message",
    [
        ({"pooling": "none"}, "pooling='none' is unknown; choose one of average, max"),
        ({"activation": "relu"}, "activation='relu' is unknown; choose one of relu6, sigmoid"),
    ],
)
def test_unknown_options_are_an_error(options, message):
    with pytest.raises(ValueError, match=message):
        dbof.DeepBagOfFrames(**options)


def test_a_layer_is_restored_from_its_config():
    layer = dbof.DeepBagOfFrames(5, 3, "average", "relu6", False, dtype="mixed_bfloat16", name="reader")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.num_clusters, copy.hidden_size, copy.pooling, copy.activation, copy.batch_norm, copy.name) == (
        5,
        3,
        "average",
        "relu6",
        False,
        "reader",
    )
    assert copy.dtype_policy.name == "mixed_bfloat16"
