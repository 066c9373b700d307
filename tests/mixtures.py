"""Tiny mixtures of networks, for tests of one and two levels."""

import keras
import numpy as np

from tests import oracles, tiny_training
from youtube8m_distill.families.mixture.network import NetworkMixture, on_device_of
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.layers.logistic import Logistic
from youtube8m_distill.layers.preprocessing import L2Preprocessing

ONE_LEVEL, TWO_LEVELS = (3,), (2, 3)  # members of the root, then of each of these
SHAPES = {"one level": ONE_LEVEL, "two levels": TWO_LEVELS}


@keras.saving.register_keras_serializable(package="tests")
class MeanEncoder(tiny_training.MeanEncoder):
    """The encoder of `tiny_training`, registered so that a file can refer to it."""


@keras.saving.register_keras_serializable(package="tests")
class ScaledPreprocessing(L2Preprocessing):
    """Preprocessing with a weight of its own."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones", trainable=False)

    def call(self, values):
        return super().call(values) * self.scale


def _network(shape, preprocessing, name, classifiers, dropout, dtype, devices=()):
    if not shape:
        classifier = Logistic(tiny_training.NUM_CLASSES) if classifiers is None else next(classifiers)
        return VideoClassifier(preprocessing, MeanEncoder(), classifier, tiny_training.FEATURES.size, dropout, name=name)
    members = []
    for index in range(shape[0]):
        with on_device_of(index, devices):
            members.append(_network(shape[1:], preprocessing, f"member_{index}", classifiers, dropout, dtype))
    return NetworkMixture(preprocessing, members, tiny_training.FEATURES.size, name=name, member_devices=devices)


def mixture(shape=ONE_LEVEL, role="teacher", classifiers=None, dropout=0.0, preprocessing=None, dtype="float32", devices=()):
    """A NetworkMixture of MeanEncoders, built; `shape` holds the number of members level by level."""
    preprocessing = preprocessing or L2Preprocessing("uint8", dtype=dtype)
    classifiers = None if classifiers is None else iter(classifiers)
    model = _network(shape, preprocessing, role, classifiers, dropout, dtype, devices)
    model.build()
    return model


def randomize(network, seed=0):
    """Sets random weights and moving statistics; returns the network."""
    random = np.random.default_rng(seed)
    for variable in network.weights:
        positive = "variance" in variable.path or "num_updates" in variable.path
        variable.assign(random.uniform(0.01, 0.1, variable.shape) if positive else random.normal(0, 0.5, variable.shape))
    return network


def tree(network, values=None):
    """A network's weights in float64, as `oracles.tiny_mixture` reads them.

    `values` replace `network.trainable_variables`.
    """
    if values is None:
        values = [variable.numpy().astype(np.float64) for variable in network.trainable_variables]
    by_variable = {id(variable): value for variable, value in zip(network.trainable_variables, values)}

    def below(node):
        if not isinstance(node, NetworkMixture):
            parts = node.encoder.kernel, node.classifier.logits.kernel, node.classifier.logits.bias
            return {"leaf": [by_variable[id(part)] for part in parts]}
        norm, scores = node.gate.normalization, node.gate.scores
        moving = [norm.moving_mean.numpy().astype(np.float64), norm.moving_variance.numpy().astype(np.float64)]
        return {
            "gate": [by_variable[id(part)] for part in (norm.gamma, norm.beta, scores.kernel, scores.bias)],
            "moving": moving,
            "members": [below(member) for member in node.members],
        }

    return below(network)


class Videos:
    """The first videos of a network's view in float64, preprocessed, with the statistics of this batch."""

    def __init__(self, view, count=8):
        self.num_frames = [int(n) for n in view["num_frames"][:count]]
        self.frames = [np.array([oracles.preprocessed(row) for row in frames]) for frames in view["frames"][:count]]
        means = [oracles.mean_of_real_frames(*pair) for pair in zip(self.frames, self.num_frames)]
        self.statistics = oracles.statistics_of_videos(means, self.num_frames)

    def outputs(self, tree, training):
        """Outputs of each video, as the oracle has them."""
        return [
            oracles.tiny_mixture(tree, *pair, self.statistics if training else None)
            for pair in zip(self.frames, self.num_frames)
        ]


def with_an_empty_video(data):
    """The videos of `tiny_training.videos`; number 2 has no frames, only padding."""
    for role in ("teacher", "student"):
        data[role]["num_frames"][2] = 0
        data[role]["frame_indices"][2] = -1
    return data


def assert_outputs(found, expected, tolerance=1e-5):
    """A network's nested outputs against a list of the oracle's, one a video."""
    for name in set(expected[0]) - {"members"}:
        np.testing.assert_allclose(found[name], [video[name] for video in expected], rtol=tolerance, atol=tolerance)
    for m, member in enumerate(found.get("members", [])):
        assert_outputs(member, [video["members"][m] for video in expected], tolerance)
    assert set(found) == set(expected[0])
