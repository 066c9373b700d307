import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import oracles, tiny_training
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes.scheme import TrainingScheme
from youtube8m_distill.schemes.supervised import Supervised

DATA = tiny_training.flat(tiny_training.videos())
CLIP, PENALTY = 0.1, 4e7  # the penalty is a factor on terms of 1e-8: here it moves weights visibly
OPTIMIZERS = {"sgd": (None, 1e-5), "adam": (lambda: keras.optimizers.Adam(0.01), 1e-4)}


def supervised():
    return Supervised(tiny_training.network(), clip_gradient_norm=CLIP, regularization_penalty=PENALTY)


@pytest.fixture(scope="module")
def one_replica():
    """20 steps of the loop on one device, for each optimizer."""
    return {
        name: tiny_training.weights(tiny_training.train_on(None, supervised, DATA, optimizer))
        for name, (optimizer, _) in OPTIMIZERS.items()
    }


def _objective(weights, videos, penalty):
    losses = [
        oracles.label_loss(
            videos["labels"][i], oracles.tiny_network(weights, videos["frames"][i], videos["num_frames"][i])["predictions"]
        )
        for i in range(len(videos["labels"]))
    ]
    return np.mean(losses) + penalty * 0.5e-8 * np.sum(weights[1] ** 2)


@pytest.mark.parametrize(
    "devices, clip, penalty",
    [(None, 0.0, 0.0), (None, 0.0, PENALTY), (None, 0.1, 0.0), (None, 0.3, PENALTY), (tiny_training.TWO_CPUS, 0.1, PENALTY)],
)
def test_a_step_goes_down_the_clipped_gradient_of_mean_loss_and_penalty(devices, clip, penalty):
    strategy = make_strategy(devices=devices)
    scheme = tiny_training.compiled(
        lambda: Supervised(tiny_training.network(), clip_gradient_norm=clip, regularization_penalty=penalty), strategy
    )
    before = [weight.astype(np.float64) for weight in tiny_training.weights(scheme)]
    tiny_training.train(scheme, DATA, strategy, 1)
    batch = {name: values[:8] for name, values in DATA.items()}
    gradients = oracles.numerical_gradients(lambda weights: _objective(weights, batch, penalty), before)
    lengths = [np.linalg.norm(gradient) for gradient in gradients]
    assert 0.1 < min(lengths) < 0.3 < max(lengths)  # 0.1 clips every variable, 0.3 not every one
    expected = [weight - 0.2 * oracles.clipped_by_norm(gradient, clip) for weight, gradient in zip(before, gradients)]
    tiny_training.assert_same_weights(tiny_training.weights(scheme), expected, 1e-5)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_two_replicas_take_the_steps_of_one(optimizer, one_replica):
    make_optimizer, tolerance = OPTIMIZERS[optimizer]
    twins = tiny_training.train_on(tiny_training.TWO_CPUS, supervised, DATA, make_optimizer)
    tiny_training.assert_same_weights(tiny_training.weights(twins), one_replica[optimizer], tolerance)


@pytest.mark.parametrize("devices", [None, tiny_training.TWO_CPUS], ids=["one replica", "two replicas"])
def test_keras_fit_takes_the_steps_of_the_loop(devices, one_replica):
    scheme = tiny_training.compiled(supervised, make_strategy(devices=devices))
    history = scheme.fit(tiny_training.batches(DATA), epochs=1, steps_per_epoch=20, verbose=0).history
    tiny_training.assert_same_weights(tiny_training.weights(scheme), one_replica["sgd"], 1e-5)
    assert set(history) == set(scheme.tracked_names())


def test_the_twins_really_clip_and_really_regularize(one_replica):
    for settings in (
        {"clip_gradient_norm": 0, "regularization_penalty": PENALTY},
        {"clip_gradient_norm": CLIP, "regularization_penalty": 0},
    ):
        other = tiny_training.train_on(None, lambda: Supervised(tiny_training.network(), **settings), DATA)
        assert np.abs(tiny_training.weights(other)[1] - one_replica["sgd"][1]).max() > 1e-2


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
        predictions = self.networks["student"](batch)["predictions"]
        return {f"student/{name}": batch[name] for name in names}, {"student": predictions}


def test_the_trackers_hold_means_over_all_videos_since_the_last_reset():
    scheme = TwoTerms(regularization_penalty=1e8)
    scheme.compile()
    batches = [
        {
            **{name: values[:4] for name, values in DATA.items()},
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
    predictions = scheme.networks["student"](batches[0])["predictions"].numpy()
    gap = oracles.gap(batches[0]["labels"], predictions, 20)
    hits = np.mean([oracles.starter_hit_at_one(*pair) for pair in zip(batches[0]["labels"], predictions)])
    assert (logs["student/gap_at_20"], logs["student/hit_at_one"]) == pytest.approx((gap, hits), rel=1e-5)
    scheme.reset_metrics()
    assert float(scheme.trackers["loss"].result()) == 0.0


def test_called_as_a_model_a_scheme_is_its_main_network():
    scheme = Supervised(tiny_training.network())
    expected = scheme.networks["teacher"](DATA)["predictions"]
    np.testing.assert_array_equal(scheme(DATA)["predictions"], expected)
    np.testing.assert_array_equal(scheme({"teacher": DATA})["predictions"], expected)


def _drawn(devices, num_schemes=1):
    """What each replica drops from ones in two draws, bool [replicas, 2, 64], and the generator's state after them."""
    strategy = make_strategy(devices=devices)
    keras.utils.set_random_seed(3)
    with strategy.scope():
        network = tiny_training.network(dropout=0.5)
        for _ in range(num_schemes):  # of two stages, say
            Supervised(network)
    draw = tf.function(lambda: [network.dropout(tf.ones(64), training=True) == 0 for _ in range(2)])
    parts = [strategy.experimental_local_results(part) for part in strategy.run(draw)]
    return np.array(parts).swapaxes(0, 1), keras.ops.convert_to_numpy(network.dropout.seed_generator.state)


@pytest.mark.parametrize("num_schemes", [1, 2])
def test_replicas_drop_apart_the_first_one_what_a_single_one_drops(num_schemes):
    (one,), state = _drawn(None)
    (first, second), state_of_two = _drawn(tiny_training.TWO_CPUS, num_schemes)
    np.testing.assert_array_equal(first, one)
    np.testing.assert_array_equal(state_of_two, state)
    assert 0.25 < np.mean(second != first) < 0.75 and 0.25 < second.mean() < 0.75
    assert np.any(one[0] != one[1])
