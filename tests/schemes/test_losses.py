import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst

from tests import oracles
from youtube8m_distill import config
from youtube8m_distill.schemes import losses

TEACHER, STUDENT = np.array([[0.5, 0.9, 0.25]], np.float32), np.array([[0.25, 0.9, 0.5]], np.float32)


def test_representation_loss_is_the_squared_distance():
    student, teacher = np.array([[1.0, 2.0], [0.0, 0.0]], np.float32), np.array([[4.0, -2.0], [0.0, 3.0]], np.float32)
    np.testing.assert_allclose(losses.representation_loss(student, teacher), [9 + 16, 9])


def test_the_representation_loss_can_be_divided_by_the_size_of_the_encoding():
    student, teacher = np.array([[1.0, 2.0], [0.0, 0.0]], np.float32), np.array([[4.0, -2.0], [0.0, 3.0]], np.float32)
    np.testing.assert_allclose(losses.representation_loss(student, teacher, "dimension"), [25 / 2, 9 / 2])


def test_prediction_losses_of_one_video_equal_hand_computed_values():
    # kl: 0.5 log 2 + 0.5 log(0.5 / 0.75) for the first class, 0.25 log 0.5 + 0.75 log 1.5 for the last.
    # categorical_kl: both sum to 1.65, so (0.5 log 2 - 0.25 log 2) / 1.65.
    expected = {"kl": 0.14384104 + 0.13081204, "categorical_kl": 0.10502230, "squared": 0.125}
    logits = np.log(STUDENT / (1 - STUDENT))
    found = {name: float(losses.prediction_loss(STUDENT, TEACHER, name, logits)[0]) for name in losses.DISTANCES}
    assert found == pytest.approx(expected, rel=1e-5)
    found = {name: float(losses.prediction_loss(STUDENT, TEACHER, name)[0]) for name in losses.DISTANCES}
    assert found == pytest.approx(expected, rel=1e-4)  # squeezed to 1e-5 .. 1 - 1e-5


def test_every_configurable_distance_exists_and_kl_is_the_default():
    assert set(losses.DISTANCES) == set(config.PREDICTION_DISTANCES)
    np.testing.assert_array_equal(losses.prediction_loss(STUDENT, TEACHER), losses.prediction_loss(STUDENT, TEACHER, "kl"))


@pytest.mark.parametrize("name", ["kl", "categorical_kl"])
def test_divergence_is_from_the_teacher_to_the_student(name):
    student, teacher = np.array([[0.1, 0.8]], np.float32), np.array([[0.5, 0.6]], np.float32)
    there, back = losses.prediction_loss(student, teacher, name), losses.prediction_loss(teacher, student, name)
    oracle = {"kl": oracles.bernoulli_kl, "categorical_kl": oracles.categorical_kl}[name]
    np.testing.assert_allclose(
        [there[0], back[0]], [oracle(teacher[0], student[0]), oracle(student[0], teacher[0])], rtol=1e-5
    )
    assert abs(float(there[0]) - float(back[0])) > 0.01


@settings(max_examples=10, deadline=None)
@given(*[nst.arrays(np.float32, (2, 3), elements=st.sampled_from(np.float32([0, 1e-6, 0.01, 0.3, 0.99, 1])))] * 2)
def test_prediction_losses_equal_the_oracles_even_for_probabilities_0_and_1(student, teacher):
    for name, oracle in (
        ("kl", oracles.bernoulli_kl),
        ("categorical_kl", oracles.categorical_kl),
        ("squared", oracles.squared_distance),
    ):
        expected = [oracle(t, s) for t, s in zip(teacher.astype(np.float64), student.astype(np.float64))]
        np.testing.assert_allclose(losses.prediction_loss(student, teacher, name), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("logits", [None, np.log(TEACHER / (1 - TEACHER))])
def test_equal_predictions_have_distance_0(logits):
    for name in losses.DISTANCES:
        np.testing.assert_allclose(losses.prediction_loss(TEACHER, TEACHER, name, logits), [0.0], atol=5e-7)


# Both ends, values that were once clipped, and the middle.
PROBABILITIES = np.float32([0, 1e-12, 2e-6, 1e-5, 0.3, 0.9, 1 - 2e-6, 1])
LOGITS = np.float32([-60, -20, -13, -1, 0, 2, 13, 20, 60])
OF_PROBABILITIES = {
    "kl": oracles.bernoulli_kl,
    "categorical_kl": oracles.categorical_kl,
    "squared": oracles.squared_distance,
}
OF_LOGITS = {"kl": oracles.bernoulli_kl_of_logits, "categorical_kl": oracles.categorical_kl_of_logits}


def _value_and_gradient(loss, x):
    x = tf.Variable(x[None])
    with tf.GradientTape() as tape:
        value = loss(x)
    return float(value[0]), tape.gradient(value, x).numpy()[0]


@pytest.mark.parametrize("teacher", [[0.9, 1e-7], [0.0, 1.0]])
@pytest.mark.parametrize("name", losses.DISTANCES)
def test_prediction_loss_has_the_right_value_and_gradient_at_every_probability(name, teacher):
    p = np.float32(teacher)
    for first in PROBABILITIES:
        q = np.float32([first, 0.2])
        value, gradient = _value_and_gradient(lambda q: losses.prediction_loss(q, p[None], name), q)
        oracle = lambda q: OF_PROBABILITIES[name](np.float64(p), q)  # noqa: B023, E731
        np.testing.assert_allclose(value, oracle(np.float64(q)), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(gradient, oracles.slope(oracle, q), rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("teacher", [[0.9, 1e-7], [0.0, 1.0]])
@pytest.mark.parametrize("name", OF_LOGITS)
def test_prediction_loss_of_logits_has_the_right_value_and_gradient_at_every_logit(name, teacher):
    p = np.float32(teacher)
    for first in LOGITS:
        z = np.float32([first, -1.5])
        value, gradient = _value_and_gradient(lambda z: losses.prediction_loss(tf.sigmoid(z), p[None], name, z), z)
        oracle = lambda z: OF_LOGITS[name](np.float64(p), z)  # noqa: B023, E731
        np.testing.assert_allclose(value, oracle(np.float64(z)), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(gradient, oracles.slope(oracle, z, 1e-5), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["kl", "categorical_kl"])
def test_a_student_that_is_confident_and_wrong_is_corrected(name):
    p, q = np.float32([[0.9, 0.1]]), np.float32([[2e-6, 0.1]])
    of_probabilities = _value_and_gradient(lambda q: losses.prediction_loss(q, p, name), q[0])[1]
    of_logits = _value_and_gradient(lambda z: losses.prediction_loss(q, p, name, z), np.log(q / (1 - q))[0])[1]
    assert of_probabilities[0] < -1e4 and of_logits[0] < -0.1


# ---- distances between videos


def test_relation_loss_equals_the_loop_over_pairs():
    random = np.random.default_rng(4)
    student, teacher = random.normal(size=(7, 5)).astype(np.float32), random.normal(size=(7, 3)).astype(np.float32)
    teacher[0] *= 30  # so that the Huber loss is linear in some pairs
    expected = oracles.relation_loss(student.astype(np.float64), teacher.astype(np.float64))
    assert max(expected) > 1
    np.testing.assert_allclose(losses.relation_loss(student, teacher), expected, rtol=1e-6)


def test_relation_loss_does_not_depend_on_scale_and_place():
    student = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
    np.testing.assert_allclose(losses.relation_loss(student, 9 * student + 2), np.zeros(6), atol=1e-10)


def test_relation_loss_has_the_right_gradient():
    random = np.random.default_rng(6)
    student, teacher = random.normal(size=(5, 3)).astype(np.float32), random.normal(size=(5, 4)).astype(np.float32)
    teacher[0] *= 30
    oracle = lambda x: sum(oracles.relation_loss(x.reshape(5, 3), np.float64(teacher)))  # noqa: E731
    expected = oracles.slope(oracle, student.ravel()).reshape(5, 3)
    np.testing.assert_allclose(_relations(student, teacher)[1], expected, rtol=1e-4, atol=1e-6)


def _relations(student, teacher):
    student = tf.Variable(np.float32(student))
    with tf.GradientTape() as tape:
        rows = losses.relation_loss(student, np.float32(teacher))
    return rows.numpy(), tape.gradient(rows, student).numpy()


def test_identical_encodings_have_a_finite_relation_loss_and_no_gradient_between_them():
    random = np.random.default_rng(7)
    teacher, one = random.normal(size=(4, 3)), random.normal(size=3)
    rows, gradient = _relations(np.tile(one, (4, 1)), teacher)
    np.testing.assert_allclose(rows, oracles.relation_loss(np.zeros((4, 3)), np.float32(teacher)), rtol=1e-5)
    np.testing.assert_array_equal(gradient, np.zeros((4, 3)))
    rows, gradient = _relations([one, one, one + 1, one - 3], teacher)
    assert np.isfinite(rows).all() and np.isfinite(gradient).all() and gradient[2].any()
    np.testing.assert_allclose(gradient[0], gradient[0, 0] * np.ones(3), rtol=1e-4)  # along (1, 1, 1), to the others
    rows, gradient = _relations(random.normal(size=(4, 3)), np.tile(one, (4, 1)))
    assert np.isfinite(rows).all() and gradient.any()


def test_relation_loss_of_a_single_video_is_0():
    rows, gradient = _relations([[1.0, 2.0]], [[3.0]])
    np.testing.assert_array_equal(rows, [0.0])
    np.testing.assert_array_equal(gradient, [[0.0, 0.0]])


def test_relation_loss_resolves_encodings_that_differ_little():
    """Their squared lengths are about 10^8 times the squared distances."""
    random = np.random.default_rng(8)
    student = (100 + 0.01 * random.normal(size=(6, 4))).astype(np.float32)
    teacher = random.normal(size=(6, 4)).astype(np.float32)
    expected = oracles.relation_loss(student.astype(np.float64), teacher.astype(np.float64))
    np.testing.assert_allclose(losses.relation_loss(student, teacher), expected, rtol=1e-5)


# ---- standardized logits of the teacher's best classes


def _logits(count, seed, scale=4.0):
    return (scale * np.random.default_rng(seed).normal(size=(3, count)) - 3).astype(np.float32)


@pytest.mark.parametrize("num_classes", [3, 20, 40])
@pytest.mark.parametrize("temperature", [2.0, 5.0])
def test_topk_logit_loss_equals_the_loop_over_the_teachers_best_classes(num_classes, temperature):
    student, teacher = _logits(num_classes, 0), _logits(num_classes, 1)
    pairs = list(zip(student.astype(np.float64), teacher.astype(np.float64)))
    found = losses.topk_logit_loss(_outputs_of(student), _outputs_of(teacher), temperature)
    np.testing.assert_allclose(found, [oracles.topk_logit_loss(*pair, temperature) for pair in pairs], rtol=1e-4)
    squeezed = [[oracles.squeezed_logits(oracles.sigmoid(z)) for z in pair] for pair in pairs]
    found = losses.topk_logit_loss(_probabilities_of(student), _probabilities_of(teacher), temperature)
    np.testing.assert_allclose(found, [oracles.topk_logit_loss(*pair, temperature) for pair in squeezed], rtol=1e-3)


def _outputs_of(logits):
    return {"logits": logits, "predictions": oracles.sigmoid(logits)}


def _probabilities_of(logits):
    return {"predictions": oracles.sigmoid(logits)}


@pytest.mark.parametrize("teacher", [_outputs_of, _probabilities_of])
@pytest.mark.parametrize("student", [_outputs_of, _probabilities_of])
def test_a_student_with_the_teachers_predictions_has_topk_logit_loss_0_with_every_classifier(student, teacher):
    z = _logits(30, 2, scale=1.0)
    np.testing.assert_allclose(losses.topk_logit_loss(student(z), teacher(z)), np.zeros(3), atol=1e-6)


def test_classes_that_are_not_among_the_teachers_best_have_no_topk_gradient():
    teacher = _outputs_of(_logits(40, 3)[:1])
    best = set(oracles.ordered_classes(teacher["logits"][0])[:20])
    z = _logits(40, 4)[0]
    gradient = _value_and_gradient(lambda z: losses.topk_logit_loss({"logits": tf.identity(z)}, teacher), z)[1]
    assert {int(c) for c in np.flatnonzero(gradient)} == best


@pytest.mark.parametrize("first", LOGITS)
def test_topk_logit_loss_has_the_right_gradient_at_every_logit(first):
    teacher = np.float32([2.0, -1.0, 0.5])
    z = np.float32([first, -1.5, 0.25])
    loss = lambda z: losses.topk_logit_loss({"logits": tf.identity(z)}, _outputs_of(teacher[None]))  # noqa: E731
    gradient = _value_and_gradient(loss, z)[1]
    expected = oracles.slope(lambda z: oracles.topk_logit_loss(z, np.float64(teacher)), z, 1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("first", PROBABILITIES)
def test_topk_logit_loss_has_the_right_gradient_at_every_probability(first):
    teacher, p = np.float32([0.9, 0.3, 0.5]), np.float32([first, 0.2, 0.6])
    loss = lambda p: losses.topk_logit_loss({"predictions": tf.identity(p)}, {"predictions": teacher[None]})  # noqa: E731
    gradient = _value_and_gradient(loss, p)[1]
    taught = oracles.squeezed_logits(np.float64(teacher))
    expected = oracles.slope(lambda p: oracles.topk_logit_loss(oracles.squeezed_logits(p), taught), p)
    np.testing.assert_allclose(gradient, expected, rtol=5e-3, atol=1e-3)
    assert np.abs(gradient).max() > 0.01


@pytest.mark.parametrize("student, teacher", [(np.zeros(5), _logits(5, 6)[0]), (_logits(5, 6)[0], np.zeros(5))])
def test_equal_logits_have_a_finite_topk_gradient(student, teacher):
    teacher = _outputs_of(np.float32([teacher]))
    loss = lambda z: losses.topk_logit_loss({"logits": tf.identity(z)}, teacher)  # noqa: E731
    value, gradient = _value_and_gradient(loss, np.float32(student))
    assert np.isfinite(value) and np.isfinite(gradient).all() and gradient.any()


@pytest.mark.parametrize("label", [0, 1])
def test_label_loss_has_the_right_gradient_at_every_probability(label):
    labels = np.array([[label]])
    for p in PROBABILITIES:
        value, gradient = _value_and_gradient(lambda p: losses.label_loss(labels, p), np.array([p]))
        oracle = lambda p: oracles.label_loss([label], p)  # noqa: E731
        np.testing.assert_allclose(value, oracle([np.float64(p)]), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(gradient, oracles.slope(oracle, [p]), rtol=2e-3)


@pytest.mark.parametrize("label", [0, 1])
def test_label_loss_of_logits_has_the_right_gradient_where_a_wrong_prediction_rounds_to_0_or_1(label):
    labels = np.array([[label]])
    for z in LOGITS[LOGITS < 0] if label else LOGITS[LOGITS > 0]:
        _, gradient = _value_and_gradient(lambda z: losses.label_loss(labels, tf.sigmoid(z), z), np.array([z]))
        p, not_p = oracles.sigmoid(np.float64(z)), oracles.sigmoid(-np.float64(z))
        expected = -p * not_p / (p + 1e-5) if label else p * not_p / (not_p + 1e-5)
        np.testing.assert_allclose(gradient, [expected], rtol=1e-4, atol=1e-20)


STATES = {
    "teacher_states": np.array([[[0, 0], [1, 0], [2, 0], [3, 0]]], np.float32),
    "student_states": np.array([[[0, 2], [2, 3], [9, 9]]], np.float32),
}


@pytest.mark.parametrize(
    "reduction, student_indices, teacher_indices, expected",
    [
        ("mean", [0, 2, -1], [0, 1, 2, 3], (4 + 9) / 2),  # padding is not a frame
        ("sum", [0, 2, -1], [0, 1, 2, 3], 4 + 9),
        ("mean", [0, 2, -1], [0, 1, 2, -1], (4 + 9) / 2),  # padding does not match padding
        ("mean", [5, 7, -1], [5, 6, 7, 8], (4 + 9) / 2),  # frames match by index, not by row
        ("mean", [4, 7, 9], [0, 3, 7, 8], 9.0),  # one common frame, rows 1 and 2
        ("mean", [1, 3, 5], [0, 2, 4, 6], 0.0),  # no common frame
    ],
)
def test_intermediate_loss_is_over_the_common_frames(reduction, student_indices, teacher_indices, expected):
    value = losses.intermediate_representation_loss(
        **STATES,
        student_indices=np.array([student_indices]),
        teacher_indices=np.array([teacher_indices]),
        reduction=reduction,
    )
    np.testing.assert_allclose(value, [expected])
    assert (
        oracles.intermediate_loss(
            STATES["student_states"][0], STATES["teacher_states"][0], student_indices, teacher_indices, reduction
        )
        == expected
    )


def test_intermediate_loss_averages_over_frames_by_default():
    value = losses.intermediate_representation_loss(
        **STATES, student_indices=np.array([[0, 2, -1]]), teacher_indices=np.array([[0, 1, 2, 3]])
    )
    np.testing.assert_allclose(value, [6.5])


@pytest.mark.parametrize("reduction", config.INTERMEDIATE_REDUCTIONS)
def test_intermediate_loss_equals_the_loop_over_frames(reduction):
    random = np.random.default_rng(3)
    student, teacher = random.normal(size=(6, 4, 5)), random.normal(size=(6, 7, 5))

    def indices(length):
        rows = [np.sort(random.permutation(9)[: random.integers(0, length + 1)]) for _ in range(6)]
        return np.array([[*row, *[-1] * (length - len(row))] for row in rows])

    student_indices, teacher_indices = indices(4), indices(7)
    expected = [
        oracles.intermediate_loss(*video, reduction) for video in zip(student, teacher, student_indices, teacher_indices)
    ]
    assert 0.0 in expected and max(expected) > 1
    value = losses.intermediate_representation_loss(
        student.astype(np.float32), teacher.astype(np.float32), student_indices, teacher_indices, reduction
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def _intermediate(student, teacher):
    indices = np.array([[0, 2]])
    return losses.intermediate_representation_loss(student[:, None], teacher[:, None], indices[:, :1], indices[:, :1])


@pytest.mark.parametrize(
    "loss",
    [
        losses.representation_loss,
        losses.prediction_loss,
        _intermediate,
        lambda s, t: losses.relation_loss(tf.reshape(s, (3, 1)), tf.reshape(t, (3, 1))),
        lambda s, t: losses.topk_logit_loss({"predictions": tf.identity(s)}, {"predictions": t}),
        lambda s, t: losses.prediction_loss(s, t, "categorical_kl"),
        lambda s, t: losses.prediction_loss(s, t, "squared"),
    ],
)
def test_distillation_losses_have_no_gradient_in_the_teacher(loss):
    student, teacher = tf.Variable(STUDENT), tf.Variable(TEACHER)
    with tf.GradientTape() as tape:
        value = loss(student, teacher)
    to_student, to_teacher = tape.gradient(value, [student, teacher])
    assert to_teacher is None and np.abs(to_student).max() > 0.01


def test_losses_of_bfloat16_encodings_are_computed_in_float32():
    student, teacher = (tf.cast(values, tf.bfloat16) for values in (np.full((1, 600), 1.0), np.full((1, 600), 2.0)))
    indices = np.array([[0]])
    for value in (
        losses.representation_loss(student, teacher),
        losses.intermediate_representation_loss(student[:, None], teacher[:, None], indices, indices),
    ):
        assert value.dtype == tf.float32 and float(value[0]) == 600.0


def test_a_class_with_weight_0_contributes_nothing_to_loss_and_gradient():
    labels = tf.constant([[1, 0, 1, 0], [0, 1, 0, 1]])
    logits = tf.Variable([[2.0, -1.0, 0.5, 40.0], [-3.0, 0.0, 1.0, -40.0]])
    weights = tf.constant([[1, 1, 0, 0], [0, 0, 0, 1]], tf.uint8)
    with tf.GradientTape() as tape:
        found = losses.label_loss(labels, tf.sigmoid(logits), logits, weights)
    gradient = tape.gradient(found, logits).numpy()
    rated = (
        oracles.label_loss(np.array([1, 0]), 1 / (1 + np.exp([-2.0, 1.0]))),
        oracles.label_loss(np.array([1]), np.zeros(1)),
    )
    np.testing.assert_allclose(found, rated, rtol=1e-5)
    assert not gradient[weights.numpy() == 0].any() and gradient[0, :2].all() and gradient[1, 3] != 0
    with pytest.raises(ValueError, match="SoftmaxLoss takes no label weights"):
        losses.softmax_loss(labels, tf.sigmoid(logits), logits, weights)
