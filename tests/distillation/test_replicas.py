"""Every way to distil takes the same steps on two replicas as on one, with clipping and regularisation that bite."""

import functools

import keras
import numpy as np
import pytest
from tests import schemes

from youtube8m_distill.distillation.parallel import ParallelDistiller
from youtube8m_distill.distillation.serial import SerialDistiller
from youtube8m_distill.distillation.terms import StudentTerms
from youtube8m_distill.training.strategy import make_strategy

DATA = schemes.videos()
SETTINGS = {"clip_gradient_norm": 0.05, "regularization_penalty": 4e7}
REP = {"representation_loss": 1.0}


def serial(weights, network=schemes.network, classifier="own"):
    teacher = network("teacher")
    student = network("student", classifier=teacher.classifier if classifier == "frozen" else None)
    student.classifier.trainable = classifier == "own"
    return SerialDistiller(student, teacher, StudentTerms(weights), **SETTINGS)


def parallel(shared, network=schemes.network):
    teacher = network("teacher")
    student = network("student", classifier=teacher.classifier if shared else None)
    return ParallelDistiller(student, teacher, StudentTerms(schemes.ALL_TERMS), **SETTINGS)


SCHEMES = {
    "serial": lambda: serial(schemes.ALL_TERMS),
    "serial, rep alone": lambda: serial(REP, classifier="untouched"),
    "serial, frozen classifier": lambda: serial(schemes.ALL_TERMS, classifier="frozen"),
    "parallel, shared classifier": lambda: parallel(shared=True),
    "parallel, separate classifiers": lambda: parallel(shared=False),
}
QUICK = ("serial", "parallel, shared classifier")           # the others are slow tests


@functools.cache
def on_one_replica(name):
    """Weights after 20 steps of gradient descent, driven by the loop."""
    return schemes.weights(schemes.train_on(None, SCHEMES[name], DATA))


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in sorted(SCHEMES)])
def test_gradient_descent_on_two_replicas_takes_the_steps_of_one(name):
    twins = schemes.train_on(schemes.TWO_CPUS, SCHEMES[name], DATA)
    schemes.assert_same_weights(schemes.weights(twins), on_one_replica(name), 1e-5)


@pytest.mark.parametrize("name", [pytest.param("serial", marks=pytest.mark.slow), "parallel, shared classifier"])
def test_adam_on_two_replicas_takes_the_steps_of_one(name):
    one, two = (schemes.train_on(devices, SCHEMES[name], DATA, lambda: keras.optimizers.Adam(0.01))
                for devices in (None, schemes.TWO_CPUS))
    schemes.assert_same_weights(schemes.weights(two), schemes.weights(one), 1e-4)


@pytest.mark.slow
def test_a_hierarchical_rnn_on_two_replicas_takes_the_steps_of_one():
    def network(role, classifier=None):
        return schemes.hierarchical_rnn(role, *((6, 3) if role == "teacher" else (3, 2)), classifier=classifier)

    terms = {"representation_loss": 1.0, "label_loss": 1.0}
    one, two = (schemes.train_on(devices, lambda: serial(terms, network), DATA)
                for devices in (None, schemes.TWO_CPUS))
    schemes.assert_same_weights(schemes.weights(two), schemes.weights(one), 1e-5)


@pytest.mark.parametrize("name", ["serial", "parallel, shared classifier"])
def test_keras_fit_on_one_device_takes_the_steps_of_the_loop(name):
    fitted = schemes.compiled(SCHEMES[name], make_strategy())
    fitted.fit(schemes.batches(DATA), steps_per_epoch=20, verbose=0)
    schemes.assert_same_weights(schemes.weights(fitted), on_one_replica(name), 1e-5)


def test_the_clipping_of_these_runs_bites():
    def unclipped():
        scheme = serial(schemes.ALL_TERMS)
        scheme.clip_gradient_norm = 0
        return scheme

    clipped, free = (schemes.train_on(None, make, DATA, steps=1) for make in (SCHEMES["serial"], unclipped))
    for a, b in zip(schemes.weights(clipped), schemes.weights(free)):
        assert np.abs(a - b).max() > 1e-3
