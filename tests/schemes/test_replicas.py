"""Every kind of distillation trains on two replicas as on one, with active clipping and regularization."""

import functools

import keras
import numpy as np
import pytest

from tests import tiny_training
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.serial import SerialDistiller

DATA = tiny_training.videos()
SETTINGS = {"clip_gradient_norm": 0.05, "regularization_penalty": 4e7}
REP = {"representation_loss": 1.0}
RELATION = {"relation_loss": 2.0, "label_loss": 1.0}
STEPS = 3


def serial(weights, network=tiny_training.network, classifier="own"):
    teacher = network("teacher")
    student = network("student", classifier=teacher.classifier if classifier == "frozen" else None)
    student.classifier.trainable = classifier == "own"
    return SerialDistiller(student, teacher, StudentTerms(weights), **SETTINGS)


def projected():
    student, teacher = tiny_training.network("student", encoding_size=3), tiny_training.network("teacher")
    terms = StudentTerms({"representation_loss": 1.5, "label_loss": 1.0})
    return SerialDistiller(student, teacher, terms, tiny_training.projection(student, teacher), **SETTINGS)


def parallel(shared, network=tiny_training.network):
    teacher = network("teacher")
    student = network("student", classifier=teacher.classifier if shared else None)
    return ParallelDistiller(student, teacher, StudentTerms(tiny_training.ALL_TERMS), **SETTINGS)


SCHEMES = {
    "serial": lambda: serial(tiny_training.ALL_TERMS),
    "serial, rep alone": lambda: serial(REP, classifier="untouched"),
    "serial, relation": lambda: serial(RELATION),
    "serial, projected encoding": projected,
    "serial, frozen classifier": lambda: serial(tiny_training.ALL_TERMS, classifier="frozen"),
    "parallel, shared classifier": lambda: parallel(shared=True),
    "parallel, separate classifiers": lambda: parallel(shared=False),
}
QUICK = ("parallel, shared classifier", "serial, relation")  # the others are slow tests


@functools.cache
def on_one_replica(name):
    """Weights after a few steps of gradient descent."""
    return tiny_training.weights(tiny_training.train_eagerly(None, SCHEMES[name], DATA, steps=STEPS))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in sorted(SCHEMES)]
)
def test_gradient_descent_on_two_replicas_equals_one(name):
    twins = tiny_training.train_eagerly(tiny_training.TWO_CPUS, SCHEMES[name], DATA, steps=STEPS)
    tiny_training.assert_same_weights(tiny_training.weights(twins), on_one_replica(name), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serial", "parallel, shared classifier"])
def test_adam_on_two_replicas_equals_one(name):
    one, two = (
        tiny_training.train_on(devices, SCHEMES[name], DATA, lambda: keras.optimizers.Adam(0.01))
        for devices in (None, tiny_training.TWO_CPUS)
    )
    tiny_training.assert_same_weights(tiny_training.weights(two), tiny_training.weights(one), 1e-4)


@pytest.mark.slow
def test_a_hierarchical_rnn_on_two_replicas_equals_one():
    def network(role, classifier=None):
        return tiny_training.hierarchical_rnn(role, *((6, 3) if role == "teacher" else (3, 2)), classifier=classifier)

    terms = {"representation_loss": 1.0, "label_loss": 1.0}
    one, two = (
        tiny_training.train_on(devices, lambda: serial(terms, network), DATA) for devices in (None, tiny_training.TWO_CPUS)
    )
    tiny_training.assert_same_weights(tiny_training.weights(two), tiny_training.weights(one), 1e-5)


@pytest.mark.parametrize("name", QUICK)
def test_keras_fit_on_one_device_takes_the_same_steps(name):
    fitted = tiny_training.compiled(SCHEMES[name], make_strategy())
    fitted.fit(tiny_training.batches(DATA), steps_per_epoch=STEPS, verbose=0)
    tiny_training.assert_same_weights(tiny_training.weights(fitted), on_one_replica(name), 1e-5)


def test_clipping_is_active_in_these_runs():
    def unclipped():
        scheme = serial(tiny_training.ALL_TERMS)
        scheme.clip_gradient_norm = 0
        return scheme

    clipped, free = (tiny_training.train_eagerly(None, make, DATA, steps=1) for make in (SCHEMES["serial"], unclipped))
    for a, b in zip(tiny_training.weights(clipped), tiny_training.weights(free)):
        assert np.abs(a - b).max() > 1e-3
