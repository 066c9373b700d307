"""Every network through every promise. A new family enters by standing in `builders.ENCODERS` or `CLASSIFIERS`."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import networks
from youtube8m_distill import config
from youtube8m_distill.models import builders

NETWORKS = networks.every_network()
FRAME_LEVEL = {name: network for name, network in NETWORKS.items() if not network.is_video_level}

every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
every_frame_level_network = pytest.mark.parametrize("network", FRAME_LEVEL.values(), ids=FRAME_LEVEL)


def assert_same(found, expected, rtol=1e-5, atol=1e-6):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol, atol, err_msg=name)


def test_the_tables_hold_every_name_that_configurations_take():
    assert {*builders.ENCODERS, *config.VIDEO_LEVEL_MODELS} == set(config.MODELS)
    assert set(builders.CLASSIFIERS) == set(config.CLASSIFIERS)
    assert set(config.VIDEO_LEVEL_MODELS) <= set(builders.CLASSIFIERS)


@every_network
def test_outputs_have_their_names_shapes_and_types(network):
    model = networks.build(network)
    found = model(networks.batch(network))
    size = network.features.size if network.is_video_level else model.encoder.encoding_size
    assert set(found) == {"encoding", "predictions"}
    assert found["encoding"].shape == (4, size) and found["encoding"].dtype == "float32"
    assert found["predictions"].shape == (4, networks.NUM_CLASSES) and found["predictions"].dtype == "float32"
    predictions = found["predictions"].numpy()
    assert np.all((predictions > 0) & (predictions < 1))


@every_frame_level_network
@pytest.mark.parametrize("dtype", config.FEATURE_DTYPES)
def test_what_lies_in_padding_changes_nothing(network, dtype):
    network = networks.frame_level(network.model, network.classifier, dtype)
    model, batch = networks.build(network), networks.batch(network)
    padding = np.arange(network.max_frames)[None, :, None] >= batch["num_frames"][:, None, None]
    garbage = {**batch, "frames": np.where(padding, 77, batch["frames"]).astype(dtype)}
    assert not np.array_equal(batch["frames"], garbage["frames"])
    assert_same(networks.outputs(model, garbage), networks.outputs(model, batch))


@every_frame_level_network
@pytest.mark.parametrize("more", [1, 2, 30])
def test_longer_padding_changes_nothing(network, more):
    model, batch = networks.build(network), networks.batch(network)
    longer = {**batch, "frames": np.pad(batch["frames"], [[0, 0], [0, more], [0, 0]], constant_values=9)}
    assert_same(networks.outputs(model, longer), networks.outputs(model, batch))


@every_frame_level_network
def test_every_real_frame_changes_the_encoding(network):
    model, batch = networks.build(network), networks.batch(network)
    before = networks.outputs(model, batch)["encoding"]
    for frame in range(network.max_frames):
        frames = batch["frames"].copy()
        frames[:, frame] = 255 - frames[:, frame]
        moved = np.abs(networks.outputs(model, {**batch, "frames": frames})["encoding"] - before).max(axis=1) > 1e-5
        np.testing.assert_array_equal(moved, frame < batch["num_frames"])


@every_network
def test_a_video_is_encoded_alike_in_any_batch(network):
    model, batch = networks.build(network), networks.batch(network)
    together = networks.outputs(model, batch)
    for row in range(len(networks.COUNTS)):
        alone = networks.outputs(model, {name: values[row:row + 1] for name, values in batch.items()})
        assert_same(alone, {name: values[row:row + 1] for name, values in together.items()})


@every_frame_level_network
@pytest.mark.parametrize("num_frames", [0, 1, networks.MAX_FRAMES])
def test_any_number_of_frames_gives_finite_numbers(network, num_frames):
    found = networks.outputs(networks.build(network), networks.batch(network, (num_frames, num_frames)))
    assert all(np.all(np.isfinite(values)) for values in found.values())


@every_frame_level_network
@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_frame_counts_may_come_in_any_number_type(network, dtype):
    model, batch = networks.build(network), networks.batch(network)
    counted = {**batch, "num_frames": batch["num_frames"].astype(dtype)}
    assert_same(networks.outputs(model, counted), networks.outputs(model, batch))


@every_frame_level_network
def test_a_float_frame_count_is_not_rounded_to_bfloat16(network):
    network = networks.frame_level(network.model, network.classifier, frames=config.FrameConfig(), frames_per_block=60)
    model, batch = networks.build(network, dtype="mixed_bfloat16"), networks.batch(network, (299,))
    counted = {**batch, "num_frames": np.array([299.0], np.float32)}        # in bfloat16 it would be 300
    assert_same(networks.outputs(model, counted), networks.outputs(model, batch), rtol=0, atol=0)


@every_network
def test_a_graph_of_unknown_sizes_gives_what_eager_code_gives(network):
    model, batch = networks.build(network), networks.batch(network)
    unknown = {name: tf.TensorSpec([None] * (values.ndim - 1) + [values.shape[-1] if values.ndim > 1 else None],
                                   values.dtype) for name, values in batch.items()}
    graph = tf.function(lambda batch: model(batch), input_signature=[unknown])
    found = {name: value.numpy() for name, value in graph(batch).items()}
    assert_same(found, networks.outputs(model, batch))


@every_network
@pytest.mark.parametrize("counts", [networks.COUNTS, (7, 7)])
def test_gradients_reach_every_weight_and_are_finite(network, counts):
    model, batch = networks.build(network), networks.batch(network, counts)
    with tf.GradientTape() as tape:
        predictions = model(batch, training=True)["predictions"]
        loss = tf.reduce_sum(predictions * np.arange(1.0, 1.0 + networks.NUM_CLASSES, dtype=np.float32))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert len(gradients) == len(model.weights)
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert gradient is not None, variable.path
        assert np.all(np.isfinite(gradient.numpy())) and np.any(gradient.numpy() != 0), variable.path


@every_network
def test_a_keras_file_gives_the_same_network_without_running_code(network, tmp_path):
    model, batch = networks.build(network, name="student"), networks.batch(network)
    model.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    assert type(loaded) is type(model) and loaded.name == "student"
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    assert_same(networks.outputs(loaded, batch), networks.outputs(model, batch), rtol=0, atol=0)


@every_network
def test_a_weights_file_carries_a_network_to_another_of_its_configuration(network, tmp_path):
    model, other, batch = networks.build(network), networks.build(network, seed=1), networks.batch(network)
    expected, before = networks.outputs(model, batch), networks.outputs(other, batch)
    assert np.abs(before["predictions"] - expected["predictions"]).max() > 0.01
    model.save_weights(tmp_path / "network.weights.h5")
    other.load_weights(tmp_path / "network.weights.h5")
    assert_same(networks.outputs(other, batch), expected, rtol=0, atol=0)


@every_network
def test_bfloat16_keeps_weights_and_predictions_in_float32(network):
    model, batch = networks.build(network, dtype="mixed_bfloat16"), networks.batch(network)
    found = model(batch)
    assert found["encoding"].dtype == "bfloat16" and found["predictions"].dtype == "float32"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert_same(networks.outputs(model, batch), networks.outputs(networks.build(network), batch), rtol=0, atol=0.05)


@every_network
def test_a_bfloat16_network_comes_back_from_its_file(network, tmp_path):
    model, batch = networks.build(network, dtype="mixed_bfloat16"), networks.batch(network)
    model.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert loaded(batch)["encoding"].dtype == "bfloat16"
    assert_same(networks.outputs(loaded, batch), networks.outputs(model, batch), rtol=0, atol=0)


@every_network
def test_a_seed_fixes_the_first_weights(network):
    def weights(seed):
        keras.utils.set_random_seed(seed)
        return np.concatenate([np.ravel(values) for values in builders.build_model(network).get_weights()])
    np.testing.assert_array_equal(weights(1), weights(1))
    assert np.any(weights(1) != weights(2))


@every_frame_level_network
def test_multiply_adds_grow_with_the_frames_and_end_with_the_classifier(network):
    model = networks.build(network)
    costs = [model.multiply_adds(num_frames) for num_frames in range(0, 8)]
    assert all(isinstance(cost, int) for cost in costs)
    assert costs[0] >= model.classifier.multiply_adds() > 0
    assert np.all(np.diff(costs) > 0)


@every_network
def test_the_classifier_costs_one_multiply_add_for_each_number_of_its_matrices(network):
    model = networks.build(network)
    matrices = [weight for weight in model.classifier.weights if len(weight.shape) == 2]
    assert model.classifier.multiply_adds() == sum(int(np.prod(matrix.shape)) for matrix in matrices)


@every_network
def test_two_networks_may_share_a_classifier(network):
    teacher = networks.build(network)
    student = builders.build_model(network, classifier=teacher.classifier, name="student")
    assert student.classifier is teacher.classifier
    own = {id(weight) for weight in teacher.weights} - {id(weight) for weight in teacher.classifier.weights}
    assert own.isdisjoint(id(weight) for weight in student.weights)
    encoding = networks.outputs(student, networks.batch(network))["encoding"]
    np.testing.assert_allclose(student.classifier(encoding),
                               networks.outputs(student, networks.batch(network))["predictions"], rtol=1e-6)
