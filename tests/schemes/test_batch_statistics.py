"""Batch normalization on two replicas with different numbers of real frames trains as on one replica."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests import tiny_training
from youtube8m_distill.engine import strategy as strategies
from youtube8m_distill.families.base import Encoder
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.layers import batch_normalization
from youtube8m_distill.layers.batch_normalization import BatchNormalization
from youtube8m_distill.layers.logistic import Logistic
from youtube8m_distill.layers.masking import frame_mask
from youtube8m_distill.layers.preprocessing import L2Preprocessing
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.supervised import Supervised

NUM_WEIGHTS = 14  # two matrices, twice five of normalization, two of the classifier


class NormalizingEncoder(Encoder):
    """The mean of normalized tanh(frame W), another matrix, and normalization once more."""

    encoding_size = 4

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.states = keras.layers.Dense(self.encoding_size, activation="tanh", use_bias=False)
        self.frame_normalization = BatchNormalization(name="frames")
        self.projection = keras.layers.Dense(self.encoding_size, use_bias=False)
        self.normalization = BatchNormalization(name="encoding")

    def build(self, input_shape):
        self.states.build(input_shape)
        self.frame_normalization.build((None, None, self.encoding_size))
        self.projection.build((None, self.encoding_size))
        self.normalization.build((None, self.encoding_size))

    def pool(self, frames, num_frames, training=False):
        mask = frame_mask(num_frames, ops.shape(frames)[1])
        states = self.frame_normalization(self.states(frames), mask=mask, training=training)
        states = ops.tanh(ops.where(mask[:, :, None], states, 0.0))
        return ops.sum(states, axis=1) / ops.cast(ops.maximum(num_frames, 1), "float32")[:, None]

    def project(self, pooled, training=False, update_statistics=True):
        return self.normalization(self.projection(pooled), training=training, update_statistics=update_statistics)


def network(role="teacher", dropout=0.0):
    model = VideoClassifier(
        L2Preprocessing("uint8"),
        NormalizingEncoder(),
        Logistic(tiny_training.NUM_CLASSES),
        tiny_training.FEATURES.size,
        dropout,
        name=role,
    )
    model.build()
    return model


def lopsided(batch_size=8):
    """Videos whose first half of every batch is short and darker, so that replicas differ in counts and in means."""
    data = tiny_training.videos()
    short = np.arange(len(data["labels"])) % batch_size < batch_size // 2
    for view in (data["teacher"], data["student"]):
        view["num_frames"] = np.where(short, np.minimum(view["num_frames"], 1), view["num_frames"]).astype(np.int32)
        view["frames"][short, :, :3] //= 4
    return data


DATA = lopsided()
SCHEMES = {
    "supervised": lambda: Supervised(network(), "teacher"),
    "supervised without clipping": lambda: Supervised(network(), "teacher", clip_gradient_norm=0),
    "parallel": lambda: ParallelDistiller(
        network("student"), network(), StudentTerms({"representation_loss": 1.0, "prediction_loss": 1.0, "label_loss": 1.0})
    ),
}


def data_of(name):
    return DATA if name == "parallel" else tiny_training.flat(DATA)


@functools.cache
def after_20_steps(name, devices=None):
    return tiny_training.weights(tiny_training.train_on(devices and list(devices), SCHEMES[name], data_of(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_weights_and_moving_statistics_on_two_replicas_equal_those_on_one(name):
    one, two = after_20_steps(name), after_20_steps(name, tuple(tiny_training.TWO_CPUS))
    assert len(one) == (2 if name == "parallel" else 1) * NUM_WEIGHTS
    tiny_training.assert_same_weights(two, one, 1e-5)


@pytest.mark.slow
def test_all_weights_and_statistics_change_in_these_runs():
    with strategies.make_strategy().scope():
        keras.utils.set_random_seed(1)
        start = tiny_training.weights(SCHEMES["supervised"]())
    assert all(tiny_training.differ(after_20_steps("supervised"), start))


@pytest.mark.slow
def test_training_differs_if_replicas_do_not_share_their_statistics(monkeypatch):
    def train():
        return tiny_training.weights(
            tiny_training.train_eagerly(tiny_training.TWO_CPUS, SCHEMES["supervised"], data_of("supervised"), steps=1)
        )

    shared = train()
    unshared = types.SimpleNamespace(sum_over_replicas=lambda tensors: tensors)
    monkeypatch.setattr(batch_normalization, "replicas", unshared)
    distances = [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(train(), shared)]
    assert max(distances) > 0.01


@pytest.mark.slow
def test_dropout_updates_the_statistics_once_per_step():
    scheme = tiny_training.train_eagerly(
        tiny_training.TWO_CPUS, lambda: Supervised(network(dropout=0.5), "teacher"), data_of("supervised"), steps=2
    )
    encoder = scheme.networks["teacher"].encoder
    assert encoder.frame_normalization.num_updates.numpy() == encoder.normalization.num_updates.numpy() == 2


def test_gradients_pass_from_one_replicas_rows_to_the_other_replica():
    strategy = strategies.make_strategy(devices=tiny_training.TWO_CPUS)
    rows = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    weights = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
    mask = np.array([1, 1, 0, 1, 1, 1], bool)

    def gradient(layer, x, weights, mask):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(weights * layer(x, mask=mask, training=True))
        return tape.gradient(loss, x)

    alone = BatchNormalization()
    expected = gradient(alone, tf.constant(rows), weights, mask)
    with strategy.scope():
        shared = BatchNormalization()
        shared.build((None, 2))
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(
            tf.constant(np.split(values, 2)[context.replica_id_in_sync_group]) for values in (rows, weights, mask)
        )
    )
    found = tf.function(lambda parts: strategy.run(lambda parts: gradient(shared, *parts), (parts,)))(halves)
    found = np.concatenate([part.numpy() for part in strategy.experimental_local_results(found)])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for a, b in zip(shared.get_weights(), alone.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-6)
