import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles
from youtube8m_distill.families import video_classifier
from youtube8m_distill.families.nextvlad import encoder as nextvlad
from youtube8m_distill.layers import logistic, preprocessing

# feature sizes, K, H, G, lambda, r, rows: two features and one, odd halves, one group, wide and not widened.
SHAPES = {
    "two features": ((6, 3), 4, 8, 2, 2, 4, 7),
    "one feature": ((6,), 3, 6, 4, 2, 3, 5),
    "one group": ((5,), 4, 4, 1, 1, 1, 4),
    "odd halves": ((10, 4), 5, 6, 5, 3, 2, 6),
    "three features": ((4, 6, 2), 4, 4, 8, 4, 2, 3),
}


def encoder(shape="two features", seed=0, **options):
    """The layer with random weights, moving statistics too."""
    *sizes, _ = SHAPES[shape]
    layer = nextvlad.NeXtVLAD(*sizes, **options)
    layer.build((None, None, sum(layer.feature_sizes)))
    random = np.random.default_rng(seed)
    for weight in layer.weights:
        if weight.name == "moving_variance":
            weight.assign(random.uniform(0.5, 2, weight.shape))
        elif weight.name != "num_updates":
            weight.assign(random.normal(0, 0.5, weight.shape))
    return layer


def videos(shape="two features", seed=1):
    """Frames of any length, and counts from none to all rows; what lies in padding is as random as the rest."""
    sizes, *_, rows = SHAPES[shape]
    counts = np.array([rows, 0, rows - 1, 1, rows])
    return np.random.default_rng(seed).normal(size=(5, rows, sum(sizes))).astype(np.float32), counts


def arrays(*weights):
    return [np.asarray(keras.ops.convert_to_numpy(weight), np.float64) for weight in weights]


def statistics(layer):
    return arrays(layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)


def pooling_weights(pooling):
    return {
        "expand": arrays(*pooling.expand.weights),
        "attend": arrays(*pooling.attend.weights),
        "assign": arrays(pooling.assign.kernel)[0],
        "centers": arrays(pooling.centers)[0][0],
        "assignment": statistics(pooling.assignment_normalization),
        "descriptor": statistics(pooling.descriptor_normalization),
    }


def expected_pooled(layer, frames, counts, training):
    real = [video[:count].astype(np.float64) for video, count in zip(frames, counts)]
    ends = np.cumsum(layer.feature_sizes)
    return np.concatenate(
        [
            oracles.nextvlad_pooling(pooling_weights(pooling), [v[:, end - size : end] for v in real], training)
            for pooling, size, end in zip(layer.poolings, layer.feature_sizes, ends)
        ],
        axis=1,
    )


def expected_encoding(layer, pooled, training):
    weights = {name: arrays(getattr(layer, name).kernel)[0] for name in ("hidden", "squeeze", "excite")}
    weights.update({name: statistics(getattr(layer, name)) for name in ("hidden_normalization", "gate_normalization")})
    return oracles.nextvlad_projection(weights, pooled, training)


def as_numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


@pytest.mark.parametrize(
    "shape, training",
    [
        ("two features", True),
        ("two features", False),
        pytest.param("one feature", False, marks=pytest.mark.slow),
        ("one group", True),
        ("odd halves", False),
        pytest.param("three features", True, marks=pytest.mark.slow),
    ],
)
def test_descriptors_and_encodings_equal_the_oracles(shape, training):
    layer, (frames, counts) = encoder(shape), videos(shape)
    expected = expected_pooled(layer, frames, counts, training)
    encoding = expected_encoding(layer, expected, training)
    weights = layer.get_weights()
    np.testing.assert_allclose(layer.pool(frames, counts, training), expected, rtol=1e-4, atol=1e-4)
    layer.set_weights(weights)  # a pass in training has moved the statistics
    found = layer(frames, counts, training=training)
    assert found.shape == (5, layer.encoding_size)
    np.testing.assert_allclose(found, encoding, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("garbage, training", [(7.0, False), (np.nan, True)])
def test_padding_affects_neither_outputs_nor_statistics(garbage, training):
    frames, counts = videos()
    rows = np.arange(frames.shape[1]) >= counts[:, None]
    other = np.pad(
        np.where(rows[:, :, None], np.float32(garbage), frames), [[0, 0], [0, 3], [0, 0]], constant_values=garbage
    )
    layers = encoder(), encoder()
    found = [layer(some, counts, training=training) for layer, some in zip(layers, (frames, other))]
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)
    for kept, moved in zip(*(layer.non_trainable_weights for layer in layers)):
        np.testing.assert_allclose(kept, moved, rtol=1e-4, atol=1e-5)


def test_padding_does_not_affect_gradients():
    frames, counts = videos()
    rows = (np.arange(frames.shape[1]) >= counts[:, None])[:, :, None]
    gradients = []
    for padding in (0.0, np.nan):
        layer = encoder()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(np.where(rows, np.float32(padding), frames), counts, training=True) ** 2)
        gradients.append(tape.gradient(loss, layer.trainable_weights))
    for zero, none in zip(*gradients):
        np.testing.assert_allclose(zero, none, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("counts, training", [((0, 0, 0), True), ((7, 0, 1), False)])
def test_videos_without_frames_give_finite_encodings_and_gradients(counts, training):
    layer = encoder()
    frames = tf.constant(videos()[0][:3])
    with tf.GradientTape() as tape:
        tape.watch(frames)
        encoding = layer(frames, np.array(counts), training=training)
        loss = tf.reduce_sum(encoding**2)
    for gradient in [encoding, *tape.gradient(loss, [frames, *layer.trainable_weights])]:
        assert np.all(np.isfinite(gradient))


def test_the_descriptors_of_a_video_without_frames_are_normalized_zeros():
    layer, (frames, counts) = encoder(), videos()
    found = as_numpy(layer.pool(frames, counts * 0))
    empty = [
        row
        for pooling in layer.poolings
        for row in oracles.rows_normalized([0.0], statistics(pooling.descriptor_normalization), False)
    ]
    np.testing.assert_allclose(found[0], np.concatenate(empty), rtol=1e-4, atol=1e-5)


def test_statistics_update_in_training_only_and_in_project_only_if_requested():
    layer, (frames, counts) = encoder(), videos()

    def moved(action):
        before = [as_numpy(weight) for weight in layer.non_trainable_weights]
        action()
        return {
            weight.path.split("/")[-2]
            for weight, old in zip(layer.non_trainable_weights, before)
            if np.any(as_numpy(weight) != old)
        }

    pooled = layer.pool(frames, counts)
    assert moved(lambda: layer(frames, counts)) == set()
    assert moved(lambda: layer.project(pooled, training=True, update_statistics=False)) == set()
    assert moved(lambda: layer.pool(frames, counts, True)) == {"assignment_normalization", "descriptor_normalization"}
    assert moved(lambda: layer.project(pooled, training=True)) == {"hidden_normalization", "gate_normalization"}
    np.testing.assert_array_equal(
        layer.project(pooled, training=True), layer.project(pooled, training=True, update_statistics=False)
    )


def test_bfloat16_is_near_float32():
    exact, rounded = encoder(), encoder(dtype="mixed_bfloat16")
    frames, counts = videos()
    found = rounded(keras.ops.cast(frames, "bfloat16"), counts)
    assert found.dtype == "bfloat16" and {weight.dtype for weight in rounded.weights} == {"float32"}
    np.testing.assert_allclose(as_numpy(found), as_numpy(exact(frames, counts)), rtol=0, atol=0.05)


def test_bfloat16_is_near_float32_for_300_similar_frames():
    exact, rounded = encoder("one feature"), encoder("one feature", dtype="mixed_bfloat16")
    frames = np.random.default_rng(0).normal(size=(2, 1, 6)) + 0.1 * np.random.default_rng(1).normal(size=(2, 300, 6))
    counts = np.array([300, 300])
    found = as_numpy(rounded.pool(keras.ops.cast(frames, "bfloat16"), counts))
    np.testing.assert_allclose(found, as_numpy(exact.pool(frames.astype(np.float32), counts)), rtol=0, atol=0.05)


def count(weights):
    return sum(math.prod(weight.shape) for weight in weights)


@pytest.mark.parametrize("num_classes, expected", [(3862, 88_889_378), (4716, 90_639_224)])
def test_the_published_size_has_the_published_number_of_trainable_weights(num_classes, expected):
    def pooling(n, k, g):
        wide = 2 * n
        return (
            (n + 1) * wide
            + (wide + 1) * g
            + wide * g * k
            + 2 * g * k  # expand, attend, assign and its BN
            + wide // g * k
            + 2 * (wide // g * k)
        )  # centers, BN of the descriptors

    pooled = 256 * 128 + 64 * 64
    hidden = pooled * 2048 + 2 * 2048 + 2 * 2048 * 256 + 2 * 256
    assert pooling(1024, 128, 8) + pooling(128, 64, 4) + hidden + 2049 * num_classes == expected
    with keras.StatelessScope(initialize_variables=False):
        layer, classifier = nextvlad.NeXtVLAD((1024, 128)), logistic.Logistic(num_classes)
        layer.build((None, None, 1152))
        classifier.build((None, layer.encoding_size))
    assert layer.hidden.kernel.shape[0] == pooled == 36_864
    assert count(layer.trainable_weights) + count(classifier.trainable_weights) == expected


def test_multiply_adds_count_the_matrix_products():
    first = 6 * 12 + 12 * 2 + 12 * (2 * 4) + 6 * 4 * 2
    second = 3 * 6 + 6 * 1 + 6 * (1 * 2) + 6 * 2 * 1
    assert encoder().multiply_adds(7) == 7 * (first + second) + (6 * 4 + 6 * 2) * 8 + 8 * 2 + 2 * 8


def test_initial_weights_are_slims_variance_scaling():
    layer = nextvlad.NeXtVLAD((64, 32), num_clusters=64, hidden_size=128, groups=4, expansion=4, gating_reduction=4)
    layer.build((None, None, 96))
    first, second = layer.poolings
    matrices = [
        (first.expand.kernel, 64),
        (first.attend.kernel, 256),
        (first.assign.kernel, 256),
        (first.centers, 64),
        (second.expand.kernel, 32),
        (second.assign.kernel, 128),
        (second.centers, 64),
        (layer.hidden.kernel, 64 * 64 + 64 * 32),
        (layer.squeeze.kernel, 128),
        (layer.excite.kernel, 32),
    ]
    for matrix, fan_in in matrices:
        values, stddev = as_numpy(matrix), math.sqrt(2.6 / fan_in)
        assert np.abs(values).max() <= 2 * stddev
        # A normal distribution cut at two deviations keeps 0.8796 of its spread; rarest: 1,024 numbers.
        np.testing.assert_allclose(values.std(), 0.8796 * stddev, rtol=0.1)
    for bias in (first.expand.bias, first.attend.bias):
        assert not np.any(as_numpy(bias))


@pytest.mark.parametrize(
    "sizes, options, words",
    [
        ((6, 3), {"groups": 5}, r"groups=5, expansion=2: feature 1 of .*=\(6, 3\) gets .* 5 groups of its 12 numbers"),
        ((8, 3), {"groups": 8}, r"groups=8, .*: feature 2 of .* 4 groups of its 6 numbers; .* that divide"),
        ((6, 3), {"groups": 1}, "num_clusters=128, groups=1, .*: feature 2 .* 0 groups .* at least 1"),
        ((6, 3), {"groups": 2, "num_clusters": 1}, "num_clusters=1, groups=2, .*: feature 2 .* gets 0 clusters"),
        ((6,), {"hidden_size": 20}, "gating_reduction=8 must divide hidden_size=20"),
    ],
)
def test_sizes_that_do_not_divide_are_an_error(sizes, options, words):
    with pytest.raises(ValueError, match=words):
        nextvlad.NeXtVLAD(sizes, **options)


def test_a_layer_is_restored_from_its_config():
    layer = nextvlad.NeXtVLAD((8, 4), 6, 15, 4, 3, 5, dtype="mixed_bfloat16", name="reader")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    assert (
        copy.feature_sizes,
        copy.num_clusters,
        copy.hidden_size,
        copy.groups,
        copy.expansion,
        copy.gating_reduction,
        copy.name,
    ) == ((8, 4), 6, 15, 4, 3, 5, "reader")
    assert copy.dtype_policy.name == copy.poolings[0].dtype_policy.name == "mixed_bfloat16"
    assert (copy.poolings[1].num_clusters, copy.poolings[1].groups, copy.poolings[1].expansion) == (3, 2, 3)


def test_a_saved_network_predicts_as_before(tmp_path):
    layer = encoder()
    model = video_classifier.VideoClassifier(
        preprocessing.ReverseWhitening("uint8", (6, 3)), layer, logistic.Logistic(4), 9, dropout=0.5
    )
    model.build()
    model.preprocessing.set_eigenvalues(np.arange(6))
    batch = {
        "frames": np.random.default_rng(0).integers(0, 256, (3, 7, 9), dtype=np.uint8),
        "num_frames": np.array([7, 3, 0]),
    }
    expected = as_numpy(model(batch)["predictions"])
    model.save(tmp_path / "model.keras")
    found = keras.saving.load_model(tmp_path / "model.keras")(batch)["predictions"]
    np.testing.assert_array_equal(as_numpy(found), expected)
