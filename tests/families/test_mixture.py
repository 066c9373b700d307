import functools

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests import mixtures, oracles, tiny_training
from youtube8m_distill.families.mixture.network import MixtureGate, NetworkMixture
from youtube8m_distill.families.nextvlad.encoder import NeXtVLAD
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.layers.logistic import Logistic
from youtube8m_distill.layers.moe import MixtureOfExperts
from youtube8m_distill.layers.preprocessing import L2Preprocessing

VIEW = mixtures.with_an_empty_video(tiny_training.videos(8))["teacher"]
VIDEOS = mixtures.Videos(VIEW)
SIZE = tiny_training.FEATURES.size


@functools.cache
def _built(shape):
    model = mixtures.randomize(mixtures.mixture(shape))
    return model, model.get_weights()


def shared(shape=mixtures.TWO_LEVELS):
    """A mixture that is built once; its random weights are set again for each test."""
    model, weights = _built(shape)
    model.set_weights(weights)
    return model


def flat(outputs):
    """Every array in nested outputs, as float32."""
    return [ops.convert_to_numpy(ops.cast(value, "float32")) for value in keras.tree.flatten(outputs)]


def assert_equal(found, expected):
    for pair in zip(flat(found), flat(expected), strict=True):
        np.testing.assert_array_equal(*pair)


# ---- the formulas


@pytest.mark.parametrize("shape, training", [(mixtures.ONE_LEVEL, True), (mixtures.TWO_LEVELS, False)])
def test_outputs_equal_the_oracle(shape, training):
    model = shared(shape)
    expected = VIDEOS.outputs(mixtures.tree(model), training)
    mixtures.assert_outputs(model(VIEW, training=training), expected)


def gates_of(model):
    return [layer for layer in model.output_layers if isinstance(layer, MixtureGate)]


def test_gate_statistics_are_those_of_videos_with_frames():
    model = mixtures.mixture(mixtures.TWO_LEVELS)
    model(VIEW, training=True)
    gates = gates_of(model)
    assert len(gates) == 3
    for gate in gates:  # the first update keeps a tenth of the start
        np.testing.assert_allclose(gate.normalization.moving_mean, 0.9 * VIDEOS.statistics[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(gate.normalization.moving_variance, 0.1 + 0.9 * VIDEOS.statistics[1], rtol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_a_gate_ignores_padding(training):
    layer = MixtureGate(3)
    layer.build((None, None, 9))
    frames, counts = np.random.default_rng(0).normal(size=(4, 6, 9)).astype(np.float32), np.array([6, 2, 1, 0])
    bare = [np.where(np.arange(6)[None, :, None] < counts[:, None, None], frames, rest) for rest in (0.0, np.nan)]
    shares = [layer(array.astype(np.float32), counts, training=training).numpy() for array in bare]
    np.testing.assert_array_equal(*shares)
    np.testing.assert_allclose(shares[0].sum(axis=1), 1.0, rtol=1e-6)
    assert np.ptp(shares[0], axis=0).min() > 0.01  # each video is weighed on its own


def test_initial_gate_weights_are_those_of_the_release():
    layer = MixtureGate(50)
    layer.build((None, None, 400))
    kernel = layer.scores.kernel.numpy()
    assert np.abs(kernel).max() <= 2 * np.sqrt(2.6 / 400)
    # A normal distribution cut off at two standard deviations keeps 0.88 of its own.
    assert kernel.std() == pytest.approx(0.8796 * np.sqrt(2.6 / 400), rel=0.02)
    assert not layer.scores.bias.numpy().any()


def test_gradients_are_finite_for_videos_without_frames():
    model = shared()
    for counts in (VIEW["num_frames"], np.zeros(8, np.int32)):
        with tf.GradientTape() as tape:
            loss = ops.sum(model({**VIEW, "num_frames": counts}, training=True)["predictions"])
        gradients = tape.gradient(loss, model.trainable_variables)
        assert all(np.isfinite(gradient.numpy()).all() for gradient in gradients)


def test_predictions_without_dropout_come_from_the_encodings():
    model = mixtures.randomize(mixtures.mixture(mixtures.TWO_LEVELS, dropout=0.5))
    outputs = model(VIEW, training=True)
    expected = VIDEOS.outputs(mixtures.tree(model), training=True)
    clean = [video["predictions"] for video in expected]
    np.testing.assert_allclose(model.classify_without_dropout(outputs, training=True)["predictions"], clean, rtol=1e-4)
    assert np.abs(outputs["predictions"].numpy() - clean).max() > 0.01
    np.testing.assert_allclose(outputs["encoding"], [video["encoding"] for video in expected], rtol=1e-4, atol=1e-6)


def test_predictions_without_dropout_are_the_predictions_if_there_is_none():
    model = shared()
    outputs = model(VIEW)
    np.testing.assert_allclose(model.classify_without_dropout(outputs)["predictions"], outputs["predictions"], rtol=1e-6)


def test_in_bfloat16_the_gate_is_float32_and_nearly_exact():
    exact, rounded = shared(mixtures.ONE_LEVEL), mixtures.mixture(mixtures.ONE_LEVEL, dtype="mixed_bfloat16")
    rounded.set_weights(exact.get_weights())
    frames = rounded.preprocessing(VIEW["frames"])
    assert frames.dtype == "bfloat16"
    shares = rounded.gate(frames, VIEW["num_frames"])
    assert shares.dtype == "float32"
    np.testing.assert_allclose(shares, exact(VIEW)["gate"], atol=0.02)


# ---- the interface


def test_a_mixture_has_the_interface_of_a_network():
    model = shared()
    assert model.num_classes == tiny_training.NUM_CLASSES and model.feature_size == SIZE
    leaves = [model.members[i].members[j] for i in range(2) for j in range(3)]
    assert [id(classifier) for classifier in model.classifiers] == [id(leaf.classifier) for leaf in leaves]
    assert [id(gate) for gate in gates_of(model)] == [id(model.submodel(path).gate) for path in ("", "0", "1")]
    assert [layer for layer in model.output_layers if layer not in gates_of(model)] == model.classifiers
    with pytest.raises(ValueError, match="frame_states=True: a mixture has no state"):
        model(VIEW, frame_states=True)


def test_multiply_adds_sum_members_and_gates():
    class Counted(tiny_training.MeanEncoder):
        def multiply_adds(self, num_frames):
            return 100 * num_frames

    preprocessing = L2Preprocessing("uint8")

    def network(shape, name):
        if not shape:
            return VideoClassifier(preprocessing, Counted(), Logistic(5), SIZE, name=name)
        return NetworkMixture(preprocessing, [network(shape[1:], f"member_{m}") for m in range(shape[0])], SIZE)

    model = network((2, 3), "mixture")
    model.build()
    assert model.multiply_adds(7) == 6 * (700 + 4 * 5) + 2 * (SIZE * 3) + SIZE * 2


def test_a_submodel_is_found_by_path_and_works_alone():
    model = shared()
    outputs = model(VIEW)
    assert model.submodel("") is model and model.submodel("1") is model.members[1]
    assert model.submodel("1.2") is model.members[1].members[2]
    assert list(model.submodels()) == ["", "0", "0.0", "0.1", "0.2", "1", "1.0", "1.1", "1.2"]
    for path, expected in (("1", outputs["members"][1]), ("1.2", outputs["members"][1]["members"][2])):
        assert_equal(model.submodel(path)(VIEW), expected)


@pytest.mark.parametrize("path", ["2", "0.0.0", "-1", "0."])
def test_an_unknown_path_is_an_error_that_lists_all_paths(path):
    with pytest.raises(ValueError, match="submodel=.*0, 0.0, 0.1, 0.2, 1, 1.0, 1.1, 1.2"):
        shared().submodel(path)


def test_members_have_different_initial_weights_and_unique_paths():
    model = mixtures.mixture(mixtures.TWO_LEVELS)
    leaves = [model.submodel(f"{i}.{j}") for i in range(2) for j in range(3)]
    for part in (lambda leaf: leaf.encoder.kernel, lambda leaf: leaf.classifier.logits.kernel):
        assert len({part(leaf).numpy().tobytes() for leaf in leaves}) == 6
    assert len({model.submodel(path).gate.scores.kernel.numpy().tobytes() for path in ("0", "1")}) == 2
    paths = [variable.path for variable in model.variables]
    assert len(set(paths)) == len(paths) and all(path.startswith("teacher/") for path in paths)
    assert leaves[4].classifier.logits.kernel.path.startswith("teacher/member_1/member_1/")


def test_a_frozen_mixture_has_nothing_to_train_and_keeps_its_statistics():
    model = mixtures.mixture(mixtures.TWO_LEVELS)
    assert len(model.trainable_variables) == 6 * 3 + 3 * 4
    model.trainable = False
    before = model.get_weights()
    model(VIEW, training=True)
    assert model.trainable_variables == []
    tiny_training.assert_same_weights(model.get_weights(), before)


def _members(names=("member_0", "member_1"), second=None, encoder=tiny_training.MeanEncoder, shared=True):
    preprocessing, classifiers = L2Preprocessing("uint8"), (Logistic(5), second or Logistic(5))
    members = [
        VideoClassifier(
            preprocessing if shared else L2Preprocessing("uint8"), encoder and encoder(), classifier, SIZE, name=name
        )
        for name, classifier in zip(names, classifiers)
    ]
    return preprocessing, members


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"names": ("a", "a")}, "members have the names a, a: give each a different one"),
        ({"names": ()}, "members=.*needs at least one"),
        ({"second": MixtureOfExperts(5, name="moe")}, "member_1: classifier moe has no logits"),
        ({"second": Logistic(6)}, "differ in num_classes"),
        ({"encoder": None}, "member_0 has no encoder"),
        ({"shared": False}, "member_0 has another preprocessing object"),
    ],
)
def test_invalid_members_are_an_error(settings, message):
    preprocessing, members = _members(**settings)
    with pytest.raises(ValueError, match=message):
        NetworkMixture(preprocessing, members, SIZE)


# ---- saving


@pytest.fixture(scope="module")
def scaled():
    """A mixture of mixtures whose preprocessing has a weight too."""
    model = mixtures.mixture(mixtures.TWO_LEVELS, preprocessing=mixtures.ScaledPreprocessing("uint8"))
    return mixtures.randomize(model)


def networks_of(model):
    return [network for path, network in model.submodels().items()]


def test_saved_weights_load_into_a_new_mixture(scaled, tmp_path):
    scaled.save_weights(tmp_path / "mixture.weights.h5")
    other = mixtures.mixture(mixtures.TWO_LEVELS, preprocessing=mixtures.ScaledPreprocessing("uint8"))
    other.load_weights(tmp_path / "mixture.weights.h5")
    assert_equal(other(VIEW), scaled(VIEW))


def test_a_loaded_mixture_has_one_preprocessing_object(scaled, tmp_path):
    scaled.save(tmp_path / "mixture.keras")
    loaded = keras.saving.load_model(tmp_path / "mixture.keras")
    assert_equal(loaded(VIEW), scaled(VIEW))
    assert len({id(network.preprocessing) for network in networks_of(loaded)}) == 1
    paths = {variable.path for variable in loaded.weights}
    assert len(paths) == len(scaled.weights) and all(path.startswith("teacher/") for path in paths)


def test_a_mixture_is_restored_from_its_config(scaled):
    config = scaled.get_config()
    assert str(config).count("tests>ScaledPreprocessing") == 1
    rebuilt = NetworkMixture.from_config(config)
    rebuilt.build()
    rebuilt.set_weights(scaled.get_weights())
    assert_equal(rebuilt(VIEW), scaled(VIEW))
    assert [weight.shape for weight in rebuilt.weights] == [weight.shape for weight in scaled.weights]
    assert [network.name for network in networks_of(rebuilt)] == [network.name for network in networks_of(scaled)]


def test_every_submodel_can_be_saved_and_loaded_alone(scaled, tmp_path):
    leaf = scaled.submodel("0.1")
    leaf.save_weights(tmp_path / "leaf.weights.h5")
    alone = VideoClassifier(mixtures.ScaledPreprocessing("uint8"), mixtures.MeanEncoder(), Logistic(5), SIZE)
    alone.build()
    alone.load_weights(tmp_path / "leaf.weights.h5")
    assert_equal(alone(VIEW), leaf(VIEW))
    for path in ("0", "1.2"):
        scaled.submodel(path).save(tmp_path / "part.keras")
        assert_equal(keras.saving.load_model(tmp_path / "part.keras")(VIEW), scaled.submodel(path)(VIEW))


def test_the_preprocessing_is_saved_once(scaled, tmp_path):
    scaled.save_weights(tmp_path / "mixture.weights.h5")
    sizes = []
    with h5py.File(tmp_path / "mixture.weights.h5") as file:
        file.visititems(lambda name, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
    assert sum(sizes) == sum(weight.size for weight in scaled.get_weights())


# ---- with the real members


def test_a_mixture_of_nextvlads_works_is_saved_and_split(tmp_path):
    preprocessing = L2Preprocessing("uint8")
    members = []
    for name in ("member_0", "member_1"):
        encoder = NeXtVLAD(tiny_training.FEATURES.sizes, 4, 8, groups=2, expansion=2, gating_reduction=2)
        members.append(VideoClassifier(preprocessing, encoder, Logistic(5), SIZE, dropout=0.5, name=name))
    model = NetworkMixture(preprocessing, members, SIZE, name="mixture")
    model.build()
    model(VIEW, training=True)
    outputs = model(VIEW)
    logits = np.einsum("bm,mbc->bc", outputs["gate"], np.array([member["logits"] for member in outputs["members"]]))
    np.testing.assert_allclose(outputs["predictions"], oracles.sigmoid(logits), rtol=1e-4)
    model.save(tmp_path / "mixture.keras")
    assert_equal(keras.saving.load_model(tmp_path / "mixture.keras")(VIEW), outputs)
    assert_equal(model.submodel("1")(VIEW), outputs["members"][1])
    paths = [variable.path for variable in model.variables]
    assert len(set(paths)) == len(paths)
