"""A student of several teachers learns from the mean of their predictions."""

import numpy as np
import pytest

from tests import oracles, tiny_training
from youtube8m_distill import schema
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes import targets
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.serial import SerialDistiller

ROLES = ("teacher", "teacher_2", "teacher_3")
VIDEOS = tiny_training.videos()
# The second teacher sees what the student sees, and the third its first frame alone.
DATA = {
    **VIDEOS,
    "teacher_2": VIDEOS["student"],
    "teacher_3": {**VIDEOS["student"], "num_frames": np.minimum(VIDEOS["student"]["num_frames"], 1)},
}
TERMS = {"prediction_loss": 0.7, "topk_logit_loss": 0.3, "label_loss": 1.2}
UNREGULARIZED = {"clip_gradient_norm": 0, "regularization_penalty": 0}


def data_of(count):
    """The videos, for so many teachers."""
    return {name: value for name, value in DATA.items() if name not in ROLES[count:]}


def taught_by(count, terms=TERMS):
    """A distiller of teachers of different sizes."""
    teachers = {role: tiny_training.network(role, encoding_size=size) for role, size in zip(ROLES[:count], (4, 3, 5))}
    return SerialDistiller(tiny_training.network("student"), teachers, StudentTerms(terms), **UNREGULARIZED)


def outputs(role, values, video):
    return oracles.tiny_network(values, DATA[role]["frames"][video], DATA[role]["num_frames"][video])


def test_the_roles_of_teachers_are_numbered_from_the_second():
    assert schema.teacher_roles(1) == ("teacher",) and schema.teacher_roles(3) == ROLES


@pytest.mark.parametrize("count", [2, 3])
def test_a_step_follows_the_gradient_of_the_loss_to_the_mean_of_the_predictions(count):
    strategy = make_strategy()
    scheme = tiny_training.compiled(lambda: taught_by(count), strategy)
    teachers = {role: network.get_weights() for role, network in scheme.teachers.items()}
    means = [
        sum(outputs(role, values, video)["predictions"].astype(np.float64) for role, values in teachers.items()) / count
        for video in range(8)
    ]

    def loss(values):
        total = 0.0
        for video, mean in enumerate(means):
            own = outputs("student", values, video)
            logits = np.log(own["predictions"]) - np.log1p(-own["predictions"])
            total += 0.7 * oracles.bernoulli_kl_of_logits(mean, logits)
            total += 0.3 * oracles.topk_logit_loss(logits, np.log(mean) - np.log1p(-mean))
            total += 1.2 * oracles.label_loss(DATA["labels"][video], own["predictions"])
        return total / 8

    values = [value.astype(np.float64) for value in scheme.networks["student"].get_weights()]
    expected = [value - 0.2 * gradient for value, gradient in zip(values, oracles.numerical_gradients(loss, values))]
    tiny_training.step_eagerly(scheme, data_of(count), strategy)
    tiny_training.assert_same_weights(tiny_training.weights(scheme), expected, 2e-5)
    for role, before in teachers.items():
        tiny_training.assert_same_weights(scheme.teachers[role].get_weights(), before)


def test_two_identical_teachers_teach_exactly_what_one_does():
    data, terms = {**VIDEOS, "teacher_2": VIDEOS["teacher"]}, StudentTerms({"prediction_loss": 1.0, "label_loss": 1.0})

    def make(count):
        student, *teachers = (tiny_training.network(name) for name in ("student", *ROLES[:count]))
        for other in teachers:
            other.set_weights(teachers[0].get_weights())
        return SerialDistiller(student, dict(zip(ROLES, teachers)), terms)

    one = tiny_training.train_on(["/cpu:0"], lambda: make(1), VIDEOS, steps=5)
    two = tiny_training.train_on(["/cpu:0"], lambda: make(2), data, steps=5)
    tiny_training.assert_same_weights(tiny_training.weights(two), tiny_training.weights(one))


def test_two_replicas_learn_as_one():
    one, two = (
        tiny_training.train_eagerly(devices, lambda: taught_by(2), data_of(2))
        for devices in (["/cpu:0"], tiny_training.TWO_CPUS)
    )
    tiny_training.assert_same_weights(tiny_training.weights(two), tiny_training.weights(one), 1e-5)


def test_stored_targets_of_several_teachers_are_their_mean_without_an_encoding():
    scheme = taught_by(3)
    mean = targets.of_teachers(scheme.teachers, data_of(3))
    packed = targets.pack(mean, "float32")
    assert packed.shape == (40, tiny_training.NUM_CLASSES)
    found = targets.unpack(packed, tiny_training.NUM_CLASSES)
    assert found["encoding"].shape == (40, 0)
    np.testing.assert_allclose(found["predictions"], mean["predictions"], rtol=1e-5)


@pytest.mark.parametrize("term", ["representation_loss", "relation_loss", "intermediate_representation_loss"])
def test_terms_of_encodings_need_a_single_teacher(term):
    with pytest.raises(ValueError, match=f"{term}, label_loss: several teachers have no common encoding"):
        taught_by(2, {term: 1.0, "label_loss": 1.0})
