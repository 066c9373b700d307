import functools

import keras
import numpy as np
import pytest

from tests import networks, oracles

NETWORK = networks.frame_level()


@functools.cache
def shared(dtype="float32"):
    """An H-RNN, which evaluation does not change, and its outputs with frame states."""
    model = networks.build(NETWORK, dtype=dtype)
    return model, model(networks.batch(NETWORK), frame_states=True)


def zero_share(values):
    return np.mean(values == 0)


def test_outputs_of_an_h_rnn_equal_the_oracles():
    (model, outputs), batch = shared(), networks.batch(NETWORK)
    levels = [[layer.get_weights() for layer in level.layers] for level in (model.encoder.lower, model.encoder.upper)]
    (gates,), (experts, bias) = model.classifier.gates.get_weights(), model.classifier.experts.get_weights()
    found = networks.as_numpy(outputs)
    for video, count in enumerate(batch["num_frames"]):
        frames = np.array([oracles.preprocessed(frame) for frame in batch["frames"][video]])
        encoding, states = oracles.hierarchical_rnn(*levels, frames, count, frames_per_block=3)
        np.testing.assert_allclose(found["encoding"][video], encoding, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found["frame_states"][video, :count], states, rtol=1e-4, atol=1e-6)
        expected = oracles.mixture_of_experts(encoding, gates, experts, bias, 2)
        np.testing.assert_allclose(found["predictions"][video], expected, rtol=1e-4)


def test_a_video_level_network_classifies_the_normalized_mean():
    network = networks.video_level("LogisticModel")
    model, batch = networks.build(network), networks.batch(network)
    found = networks.outputs(model, batch)
    for video, features in enumerate(batch["features"]):
        scaled = features / np.sqrt(np.sum(features**2))
        np.testing.assert_allclose(found["encoding"][video], scaled, rtol=1e-5)
        expected = oracles.logistic(scaled, *model.classifier.get_weights())
        np.testing.assert_allclose(found["predictions"][video], expected, rtol=1e-5)


def test_frame_states_are_returned_only_if_requested():
    model, found = shared()
    plain = model(networks.batch(NETWORK))
    assert set(plain) == {"encoding", "predictions"}
    assert set(found) == {"encoding", "predictions", "frame_states"}
    assert found["frame_states"].shape == (4, networks.MAX_FRAMES, 16)
    np.testing.assert_allclose(found["encoding"], plain["encoding"], rtol=1e-5, atol=1e-6)


def test_bfloat16_frame_states_are_near_the_exact_ones():
    _, found = shared("mixed_bfloat16")
    assert found["frame_states"].dtype == "bfloat16" and found["predictions"].dtype == "float32"
    exact = shared()[1]["frame_states"]
    rounded = keras.ops.convert_to_numpy(keras.ops.cast(found["frame_states"], "float32"))
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=0.05)


def test_dropout_affects_the_classifier_in_training_but_never_the_encoding():
    keras.utils.set_random_seed(0)
    network = networks.frame_level(classifier="LogisticModel", lstm_cells=64, num_classes=256, dropout=0.75)
    model = networks.build(network)
    batch = networks.batch(NETWORK, (7,))
    # A classifier that shows what it is given: class c reads number c of the encoding.
    model.classifier.set_weights([1000 * np.eye(256), np.zeros(256)])
    calm, trained = networks.outputs(model, batch), networks.outputs(model, batch, training=True)
    np.testing.assert_allclose(trained["encoding"], calm["encoding"], rtol=1e-6)
    assert zero_share(calm["predictions"] - 0.5) < 0.1
    assert 0.65 < zero_share(trained["predictions"] - 0.5) < 0.85
    again = networks.outputs(model, batch, training=True)["predictions"]
    assert np.any(again != trained["predictions"])


def test_without_dropout_training_and_evaluation_are_equal():
    network = networks.frame_level("LstmModel", dropout=0.0)
    model, batch = networks.build(network), networks.batch(network)
    np.testing.assert_array_equal(
        networks.outputs(model, batch, training=True)["predictions"], networks.outputs(model, batch)["predictions"]
    )


def test_multiply_adds_sum_encoder_and_classifier():
    model, _ = shared()
    assert model.multiply_adds(7) == model.encoder.multiply_adds(7) + model.classifier.multiply_adds()
    mean = networks.build(networks.video_level("MoeModel"))
    assert mean.multiply_adds(7) == mean.classifier.multiply_adds() == 9 * 5 * 5


def test_the_config_contains_the_dropout_rate():
    model = networks.build(networks.frame_level("FrameLevelLogisticModel", dropout=0.25))
    assert type(model).from_config(model.get_config()).dropout.rate == 0.25


def test_moving_statistics_come_from_the_pass_without_dropout():
    network = networks.frame_level("NeXtVLADModel", dropout=0.9)
    model, batch = networks.build(network), networks.batch(network, (7, 4, 2, 5))
    layer = model.encoder.hidden_normalization
    layer.num_updates.assign(0.0)
    before = layer.moving_mean.numpy()
    found = model(batch, training=True)
    frames = model.preprocessing(batch["frames"])
    twin = networks.build(network)
    hidden = twin.encoder.hidden(twin.encoder.pool(frames, batch["num_frames"], training=True)).numpy()
    np.testing.assert_allclose(layer.moving_mean, 0.1 * before + 0.9 * hidden.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        found["encoding"], twin.encoder(frames, batch["num_frames"], training=True), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("model", ["NetVLADModelLF", "MixNeXtVladModel", "FrameLevelLogisticModel"])
def test_requesting_frame_states_of_another_family_is_an_error(model):
    network = networks.frame_level(model)
    with pytest.raises(ValueError, match="frame_states=True: .* has no state after each frame"):
        networks.build(network)(networks.batch(network), frame_states=True)
