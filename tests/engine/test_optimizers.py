import keras
import numpy as np
import pytest

from youtube8m_distill import config
from youtube8m_distill.engine.optimizers import OPTIMIZERS, ExponentialDecayByExamples, build_optimizer


def test_every_name_of_the_configuration_has_an_optimizer():
    assert set(OPTIMIZERS) == set(config.OPTIMIZERS)


@pytest.mark.parametrize(
    "name, kind, settings",
    [
        ("AdamOptimizer", keras.optimizers.Adam, {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}),
        ("GradientDescentOptimizer", keras.optimizers.SGD, {"momentum": 0.0, "nesterov": False}),
        ("MomentumOptimizer", keras.optimizers.SGD, {"momentum": 0.9, "nesterov": False}),
        ("AdagradOptimizer", keras.optimizers.Adagrad, {"initial_accumulator_value": 0.1}),
        ("RMSPropOptimizer", keras.optimizers.RMSprop, {"rho": 0.9, "momentum": 0.0, "epsilon": 1e-10, "centered": False}),
    ],
)
def test_a_name_gives_the_optimizer_of_tf1_with_its_defaults(name, kind, settings):
    optimizer = build_optimizer(config.TrainingConfig(optimizer=name))
    assert type(optimizer) is kind
    assert {key: getattr(optimizer, key) for key in settings} == settings
    assert (optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm, optimizer.weight_decay) == (None,) * 4


def test_the_schedule_follows_the_steps_of_the_optimizer():
    optimizer = build_optimizer(
        config.TrainingConfig(
            batch_size=20,
            base_learning_rate=0.5,
            learning_rate_decay=0.1,
            learning_rate_decay_examples=40,
            optimizer="GradientDescentOptimizer",
        )
    )
    variable = keras.Variable([0.0])
    rates = []
    for _ in range(5):
        before = float(variable.numpy()[0])
        optimizer.apply([np.array([-1.0], np.float32)], [variable])
        rates.append(float(variable.numpy()[0]) - before)
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.05, 0.05, 0.005], rtol=1e-4)


# Two steps with gradients 2 and 0.5 from weight 1, at rate 0.1, by the formulas in tf.train's documentation.
def _adam():
    m1, v1 = 0.2, 0.004
    m2, v2 = 0.9 * m1 + 0.05, 0.999 * v1 + 0.001 * 0.25
    first = 0.1 * (m1 / 0.1) / np.sqrt(v1 / 0.001)
    return 1 - first - 0.1 * (m2 / (1 - 0.81)) / np.sqrt(v2 / (1 - 0.999**2))


@pytest.mark.parametrize(
    "name, expected",
    [
        ("GradientDescentOptimizer", 1 - 0.2 - 0.05),
        ("MomentumOptimizer", 1 - 0.2 - 0.1 * (0.9 * 2 + 0.5)),
        ("AdagradOptimizer", 1 - 0.2 / np.sqrt(4.1) - 0.05 / np.sqrt(4.35)),
        ("AdamOptimizer", _adam()),
    ],
)
def test_two_steps_follow_the_formula(name, expected):
    optimizer = build_optimizer(config.TrainingConfig(optimizer=name, base_learning_rate=0.1))
    variable = keras.Variable([1.0])
    for gradient in (2.0, 0.5):
        optimizer.apply([np.array([gradient], np.float32)], [variable])
    np.testing.assert_allclose(variable.numpy(), [expected], rtol=1e-5)


def schedule(rate, decay, decay_examples, batch_size):
    training = config.TrainingConfig(
        base_learning_rate=rate,
        learning_rate_decay=decay,
        learning_rate_decay_examples=decay_examples,
        batch_size=batch_size,
    )
    return ExponentialDecayByExamples(training)


@pytest.mark.parametrize("step, decays", [(9, 0), (10, 1), (105, 10)])
def test_the_rate_falls_in_steps_counted_in_examples(step, decays):
    rate = schedule(0.1, 0.8, decay_examples=1000, batch_size=100)
    np.testing.assert_allclose(rate(step), 0.1 * 0.8**decays, rtol=1e-6)


def test_a_decay_may_fall_inside_a_batch():
    rate = schedule(1.0, 0.5, decay_examples=100, batch_size=30)
    np.testing.assert_allclose([rate(step) for step in (3, 4, 6, 7)], [1.0, 0.5, 0.5, 0.25])


@pytest.mark.parametrize("step", [15_624, 15_625, 100_000_000])
def test_large_numbers_of_examples_are_counted_exactly(step):
    rate = schedule(1.0, 0.999999, decay_examples=4_000_000, batch_size=256)
    expected = np.float32(0.999999) ** np.float32(step * 256 // 4_000_000)
    np.testing.assert_allclose(rate(np.int32(step)), expected, rtol=1e-6)


def test_the_rate_changes_at_the_right_step_past_two_billion_examples():
    # A float32 cannot hold 2**24 + 1, nor an int32 that many batches of 256 examples.
    rate = schedule(1.0, 0.5, decay_examples=(2**24 + 1) * 256, batch_size=256)
    np.testing.assert_allclose([rate(np.int32(2**24 + i)) for i in range(3)], [1.0, 0.5, 0.5])


def test_a_decay_of_one_keeps_the_rate():
    assert float(schedule(0.25, 1.0, 10, 10)(1000)) == 0.25
