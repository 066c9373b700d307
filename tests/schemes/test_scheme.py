import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles, tiny_training
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes.scheme import TrainingScheme
from youtube8m_distill.schemes.supervised import Supervised

DATA = tiny_training.flat(tiny_training.videos())
CLIP, PENALTY = 0.1, 4e7  # the penalty multiplies terms of 1e-8; here it changes weights visibly
STEPS = 4
OPTIMIZERS = {"sgd": (None, 1e-5), "adam": (lambda: keras.optimizers.Adam(0.01), 1e-4)}


def supervised():
    return Supervised(tiny_training.network(), clip_gradient_norm=CLIP, regularization_penalty=PENALTY)


@functools.cache
def on_one_replica(optimizer="sgd"):
    """Weights after a few steps of the loop on one device."""
    return tiny_training.weights(tiny_training.train_on(None, supervised, DATA, OPTIMIZERS[optimizer][0], STEPS))


def _objective(weights, videos, penalty):
    losses = [
        oracles.label_loss(
            videos["labels"][i],
            oracles.tiny_network(weights, videos["teacher"]["frames"][i], videos["teacher"]["num_frames"][i])["predictions"],
        )
        for i in range(len(videos["labels"]))
    ]
    return np.mean(losses) + penalty * 0.5e-8 * np.sum(weights[1] ** 2)


@pytest.mark.parametrize(
    "devices, clip, penalty", [(None, 0.0, PENALTY), (None, 0.3, 0.0), (tiny_training.TWO_CPUS, 0.1, PENALTY)]
)
def test_a_step_follows_the_clipped_gradient_of_loss_and_regularization(devices, clip, penalty):
    strategy = make_strategy(devices=devices)
    scheme = tiny_training.compiled(
        lambda: Supervised(tiny_training.network(), clip_gradient_norm=clip, regularization_penalty=penalty), strategy
    )
    before = [weight.astype(np.float64) for weight in tiny_training.weights(scheme)]
    tiny_training.step_eagerly(scheme, DATA, strategy)
    batch = tf.nest.map_structure(lambda values: values[:8], DATA)
    gradients = oracles.numerical_gradients(lambda weights: _objective(weights, batch, penalty), before)
    lengths = [np.linalg.norm(gradient) for gradient in gradients]
    assert 0.1 < min(lengths) < 0.3 < max(lengths)  # 0.1 clips every variable, 0.3 not every one
    expected = [weight - 0.2 * oracles.clipped_by_norm(gradient, clip) for weight, gradient in zip(before, gradients)]
    tiny_training.assert_same_weights(tiny_training.weights(scheme), expected, 1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adam", marks=pytest.mark.slow)])
def test_training_on_two_replicas_equals_training_on_one(optimizer):
    make_optimizer, tolerance = OPTIMIZERS[optimizer]
    twins = tiny_training.train_on(tiny_training.TWO_CPUS, supervised, DATA, make_optimizer, STEPS)
    tiny_training.assert_same_weights(tiny_training.weights(twins), on_one_replica(optimizer), tolerance)


@pytest.mark.parametrize("devices", [None, tiny_training.TWO_CPUS], ids=["one replica", "two replicas"])
def test_keras_fit_equals_the_loop(devices):
    scheme = tiny_training.compiled(supervised, make_strategy(devices=devices))
    history = scheme.fit(tiny_training.batches(DATA), epochs=1, steps_per_epoch=STEPS, verbose=0).history
    tiny_training.assert_same_weights(tiny_training.weights(scheme), on_one_replica(), 1e-5)
    assert set(history) == set(scheme.trackers)


def test_clipping_and_regularization_are_active_in_these_runs():
    for settings in (
        {"clip_gradient_norm": 0, "regularization_penalty": PENALTY},
        {"clip_gradient_norm": CLIP, "regularization_penalty": 0},
    ):
        other = tiny_training.train_eagerly(None, lambda: Supervised(tiny_training.network(), **settings), DATA, steps=STEPS)
        assert np.abs(tiny_training.weights(other)[1] - on_one_replica()[1]).max() > 1e-2


class TwoTerms(TrainingScheme):
    """A scheme whose losses are the batch's own numbers."""

    def __init__(self, **kwargs):
        super().__init__(
            {"student": tiny_training.network("student")}, {"student/a_loss": 2.0, "student/b_loss": 0.5}, **kwargs
        )

    def loss_names(self):
        return [*self.loss_weights, "student/reported_loss"]

    def compute_losses(self, batch, training):
        names = ("a_loss", "b_loss", "reported_loss")
        predictions = self.networks["student"](batch["teacher"])["predictions"]
        return {f"student/{name}": batch[name] for name in names}, {"student": predictions}


def test_logged_values_are_means_over_all_videos_since_the_last_reset():
    scheme = TwoTerms(regularization_penalty=1e8)
    scheme.compile()
    batches = [
        {
            **tf.nest.map_structure(lambda values: values[:4], DATA),
            "a_loss": np.full(4, a, np.float32),
            "b_loss": np.arange(4, dtype=np.float32),
            "reported_loss": np.full(4, 100.0, np.float32),
        }
        for a in (1.0, 3.0)
    ]
    for batch in batches:
        logs = {name: float(value) for name, value in scheme.test_step(batch).items()}
    penalty = 1e8 * 0.5e-8 * np.sum(tiny_training.weights(scheme)[1] ** 2)
    assert penalty > 0.1
    expected = {
        "student/a_loss": 2.0,
        "student/b_loss": 1.5,
        "student/reported_loss": 100.0,
        "regularization_loss": penalty,
        "loss": 2.0 * 2.0 + 0.5 * 1.5 + penalty,
    }
    assert {name: logs[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    predictions = scheme.networks["student"](batches[0]["teacher"])["predictions"].numpy()
    gap = oracles.gap(batches[0]["labels"], predictions, 20)
    hits = np.mean([oracles.starter_hit_at_one(*pair) for pair in zip(batches[0]["labels"], predictions)])
    assert (logs["student/gap_at_20"], logs["student/hit_at_one"]) == pytest.approx((gap, hits), rel=1e-5)
    scheme.reset_metrics()
    assert float(scheme.trackers["loss"].result()) == 0.0


def test_calling_a_scheme_calls_its_main_network():
    scheme = Supervised(tiny_training.network())
    np.testing.assert_array_equal(scheme(DATA)["predictions"], scheme.networks["teacher"](DATA["teacher"])["predictions"])


def _drawn(devices):
    """What each replica drops in two draws, bool [replicas, 2, 64], and the generator's state after them."""
    strategy = make_strategy(devices=devices)
    keras.utils.set_random_seed(3)
    with strategy.scope():
        network = tiny_training.network(dropout=0.5)
    draw = tf.function(lambda: [network.dropout(tf.ones(64), training=True) == 0 for _ in range(2)])
    parts = [strategy.experimental_local_results(part) for part in strategy.run(draw)]
    return np.array(parts).swapaxes(0, 1), keras.ops.convert_to_numpy(network.dropout.seed_generator.state)


def test_each_replica_draws_its_own_dropout_mask_and_the_first_one_that_of_a_single_replica():
    (one,), state = _drawn(None)
    (first, second), state_of_two = _drawn(tiny_training.TWO_CPUS)
    np.testing.assert_array_equal(first, one)
    np.testing.assert_array_equal(state_of_two, state)
    assert 0.25 < np.mean(second != first) < 0.75 and 0.25 < second.mean() < 0.75
    assert np.any(one[0] != one[1])
