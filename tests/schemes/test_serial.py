import collections

import numpy as np
import pytest
import tensorflow as tf

from tests import oracles, tiny_training
from youtube8m_distill import schema
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes import targets
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.serial import SerialDistiller

DATA = tiny_training.videos()


def serial(weights=None, dropout=0.0, **settings):
    """A distiller whose student has a classifier of its own."""
    student, teacher = tiny_training.network("student", dropout=dropout), tiny_training.network("teacher", dropout=dropout)
    return SerialDistiller(student, teacher, StudentTerms(weights or tiny_training.ALL_TERMS), **settings)


def _loss(student, teacher, weights):
    """Mean student loss of the first 8 videos; `student`, `teacher` hold each network's three weights."""
    total = 0.0
    for i in range(8):
        outputs = [
            oracles.tiny_network(values, DATA[role]["frames"][i], DATA[role]["num_frames"][i])
            for role, values in (("student", student), ("teacher", teacher))
        ]
        total += oracles.student_loss(
            *outputs, DATA["labels"][i], DATA["student"]["frame_indices"][i], DATA["teacher"]["frame_indices"][i], weights
        )
    return total / 8


@pytest.mark.parametrize("weights", [tiny_training.ALL_TERMS, {"representation_loss": 0.3, "label_loss": 1.0}])
def test_a_step_follows_the_gradient_of_the_weighted_terms(weights):
    strategy = make_strategy()
    scheme = tiny_training.compiled(lambda: serial(weights, clip_gradient_norm=0, regularization_penalty=0), strategy)
    student, teacher = (
        [values.astype(np.float64) for values in network.get_weights()]
        for network in (scheme.networks["student"], scheme.teacher)
    )
    gradients = oracles.numerical_gradients(lambda values: _loss(values, teacher, weights), student)
    expected = [weight - 0.2 * gradient for weight, gradient in zip(student, gradients)]
    tiny_training.step_eagerly(scheme, DATA, strategy)
    tiny_training.assert_same_weights(tiny_training.weights(scheme), expected, 2e-5)


def test_a_step_follows_the_gradient_of_the_relation_loss():
    strategy = make_strategy()
    make = lambda: serial({"relation_loss": 2.0, "label_loss": 1.0}, clip_gradient_norm=0, regularization_penalty=0)  # noqa: E731
    scheme = tiny_training.compiled(make, strategy)

    def outputs(role, values):
        return [oracles.tiny_network(values, DATA[role]["frames"][i], DATA[role]["num_frames"][i]) for i in range(8)]

    taught = [video["encoding"] for video in outputs("teacher", scheme.teacher.get_weights())]

    def loss(values):
        own = outputs("student", values)
        relations = oracles.relation_loss([video["encoding"] for video in own], taught)
        labels = [oracles.label_loss(DATA["labels"][i], video["predictions"]) for i, video in enumerate(own)]
        return np.mean(labels) + 2.0 * np.mean(relations)

    values = [values.astype(np.float64) for values in scheme.networks["student"].get_weights()]
    expected = [value - 0.2 * gradient for value, gradient in zip(values, oracles.numerical_gradients(loss, values))]
    tiny_training.step_eagerly(scheme, DATA, strategy)
    tiny_training.assert_same_weights(tiny_training.weights(scheme), expected, 2e-5)


def projected(**settings):
    """A distiller of a student whose encoding has 3 numbers instead of 4."""
    student, teacher = tiny_training.network("student", encoding_size=3), tiny_training.network("teacher")
    terms = StudentTerms({"representation_loss": 1.5, "label_loss": 1.0})
    return SerialDistiller(student, teacher, terms, tiny_training.projection(student, teacher), **settings)


def test_a_projection_to_the_teachers_encoding_is_trained_with_the_student():
    strategy = make_strategy()
    scheme = tiny_training.compiled(lambda: projected(clip_gradient_norm=0, regularization_penalty=0), strategy)
    student, teacher = scheme.networks["student"], scheme.teacher.get_weights()

    def loss(values):
        *own, kernel, bias = values
        total = 0.0
        for i in range(8):
            outputs, taught = (
                oracles.tiny_network(weights, DATA[role]["frames"][i], DATA[role]["num_frames"][i])
                for weights, role in ((own, "student"), (teacher, "teacher"))
            )
            total += 1.5 * oracles.squared_distance(outputs["encoding"] @ kernel + bias, taught["encoding"])
            total += oracles.label_loss(DATA["labels"][i], outputs["predictions"])
        return total / 8

    variables = [*student.weights, *scheme.projection.weights]
    values = [variable.numpy().astype(np.float64) for variable in variables]
    expected = [value - 0.2 * gradient for value, gradient in zip(values, oracles.numerical_gradients(loss, values))]
    tiny_training.step_eagerly(scheme, DATA, strategy)
    tiny_training.assert_same_weights([variable.numpy() for variable in variables], expected, 2e-5)
    assert [id(v) for v in scheme.auxiliary_variables] == [id(v) for v in scheme.projection.variables]
    assert not {id(v) for v in scheme.projection.variables} & {id(v) for v in student.variables}


def test_the_teacher_does_not_change_by_a_bit():
    strategy = make_strategy()
    scheme = tiny_training.compiled(lambda: serial(dropout=0.5, regularization_penalty=1e8), strategy)
    before = [variable.numpy() for variable in scheme.teacher.variables]
    student = tiny_training.weights(scheme)
    tiny_training.step_eagerly(scheme, DATA, strategy, 2)
    assert len(before) > 3  # the state of its random generator too
    tiny_training.assert_same_weights([variable.numpy() for variable in scheme.teacher.variables], before)
    assert all(tiny_training.differ(tiny_training.weights(scheme), student))


def test_dropout_affects_neither_the_teacher_nor_the_encodings():
    scheme = serial({"prediction_loss": 1.0, "representation_loss": 1.0}, dropout=0.5)
    quiet = [
        {name: value.numpy() for name, value in scheme.compute_losses(DATA, training=training)[0].items()}
        for training in (False, True)
    ]
    np.testing.assert_array_equal(quiet[0]["student/representation_loss"], quiet[1]["student/representation_loss"])
    assert (quiet[0]["student/prediction_loss"] != quiet[1]["student/prediction_loss"]).any()
    student, teacher = scheme.networks["student"](DATA["student"]), scheme.teacher(DATA["teacher"])
    for found, distance, name in (
        (quiet[0]["student/representation_loss"], oracles.squared_distance, "encoding"),
        (quiet[0]["student/prediction_loss"], oracles.bernoulli_kl, "predictions"),
    ):
        expected = [distance(*pair) for pair in zip(teacher[name].numpy(), student[name].numpy())]
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_teachers_weights_are_not_regularized():
    scheme = serial(regularization_penalty=1e8)
    scheme.compile()
    logs = scheme.test_step({name: value for name, value in DATA.items()})
    expected = 1e8 * 0.5e-8 * np.sum(scheme.networks["student"].get_weights()[1] ** 2)
    np.testing.assert_allclose(float(logs["regularization_loss"]), expected, rtol=1e-5)


def test_only_the_student_is_trained_and_logged():
    scheme = serial()
    assert list(scheme.networks) == ["student"] and scheme.main_role == "student"
    assert len(scheme.trainable_variables) == 3
    assert sorted(scheme.trackers) == sorted(
        [
            "loss",
            "regularization_loss",
            *(f"student/{term}" for term in tiny_training.ALL_TERMS),
            "student/gap_at_20",
            "student/hit_at_one",
        ]
    )


def test_representation_loss_alone_trains_only_the_encoder():
    def matching():
        scheme = serial({"representation_loss": 1.0})
        scheme.networks["student"].classifier.trainable = False
        return scheme

    strategy = make_strategy()
    scheme = tiny_training.compiled(matching, strategy)
    before = tiny_training.weights(scheme)
    distance = scheme.compute_losses(DATA, training=False)[0]["student/representation_loss"].numpy().mean()
    tiny_training.step_eagerly(scheme, DATA, strategy, 2)
    assert tiny_training.differ(tiny_training.weights(scheme), before) == [True, False, False]
    assert scheme.compute_losses(DATA, training=False)[0]["student/representation_loss"].numpy().mean() < distance


def products(function, data):
    """How many matrix products and loops of each kind the function's graph holds, functions within it included."""
    graph = tf.function(function).get_concrete_function(tf.nest.map_structure(tf.constant, data)).graph.as_graph_def()
    nodes = [*graph.node, *(node for inner in graph.library.function for node in inner.node_def)]
    return collections.Counter(node.op for node in nodes if node.op.endswith(("MatMul", "MatMulV2", "Einsum", "While")))


def test_a_step_runs_the_teacher_once_without_gradients():
    """Beyond a step that reads the teacher's targets, its graph holds one forward pass of the teacher, no product more."""
    student, teacher = tiny_training.network("student"), tiny_training.network("teacher")
    terms = StudentTerms({"representation_loss": 1.0, "prediction_loss": 1.0, "label_loss": 1.0})
    stored = {**tiny_training.flat(DATA, "student"), schema.TARGETS: targets.pack(teacher(DATA["teacher"])).numpy()}
    found = []
    for scheme, data in ((SerialDistiller(student, teacher, terms), DATA), (SerialDistiller(student, None, terms), stored)):
        scheme.compile()
        scheme.optimizer.build(scheme.trainable_variables)
        found.append(products(scheme.train_step, data))
    forward = products(lambda batch: teacher(batch, training=False), DATA["teacher"])
    assert sum(forward.values()) >= 2 and found[0] == found[1] + forward
