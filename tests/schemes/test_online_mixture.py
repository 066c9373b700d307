import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import mixtures, networks, oracles, tiny_training
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.families.video_classifier import VideoClassifier
from youtube8m_distill.schemes.losses import softened_kl
from youtube8m_distill.schemes.objectives import OnlineMixtureObjective, StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.serial import SerialDistiller
from youtube8m_distill.schemes.supervised import Supervised

DATA = mixtures.with_an_empty_video(tiny_training.videos())
FLAT = tiny_training.flat(DATA)
LABELS = DATA["labels"][:8]
VIDEOS = {role: mixtures.Videos(DATA[role]) for role in ("teacher", "student")}
BATCH = {
    "teacher": {name: values[:8] for name, values in DATA["teacher"].items()},
    "student": {name: values[:8] for name, values in DATA["student"].items()},
    "labels": LABELS,
}
TERMS = ["label_loss", "submodel_label_loss", "online_distillation_loss"]
both_shapes = pytest.mark.parametrize("shape", list(mixtures.SHAPES.values()), ids=list(mixtures.SHAPES))


# ---- the terms


@pytest.mark.parametrize("shape, temperature", [(mixtures.ONE_LEVEL, 0), (mixtures.ONE_LEVEL, 20), (mixtures.TWO_LEVELS, 1)])
def test_the_loss_terms_equal_the_published_sums(shape, temperature):
    model = mixtures.randomize(mixtures.mixture(shape))
    expected = VIDEOS["teacher"].outputs(mixtures.tree(model), training=False)
    objective = OnlineMixtureObjective(temperature)
    found = objective(model(BATCH["teacher"]), BATCH)
    assert list(found) == list(objective.weights) == TERMS[: 3 if temperature else 2]
    pairs = list(zip(expected, LABELS))
    for name, one in (
        ("label_loss", lambda video, labels: oracles.label_loss(labels, video["predictions"])),
        ("submodel_label_loss", oracles.submodel_label_loss),
    ):
        np.testing.assert_allclose(found[name], [one(*pair) for pair in pairs], rtol=1e-5)
    if temperature:
        distances = [oracles.online_distillation_loss(video, temperature) for video in expected]
        np.testing.assert_allclose(found["online_distillation_loss"], distances, rtol=1e-3, atol=1e-6)
    total = sum(weight * found[name] for name, weight in objective.weights.items())
    np.testing.assert_allclose(total, [oracles.mixture_loss(*pair, temperature) for pair in pairs], rtol=1e-4)


@pytest.mark.parametrize("temperature, expected", [(0, [1, 1]), (3, [1, 1, 9])])
def test_divergences_are_weighted_by_the_square_of_the_temperature(temperature, expected):
    assert OnlineMixtureObjective(temperature).weights == dict(zip(TERMS, expected))


def test_a_4x3_mod_has_17_label_losses_and_16_divergences():
    model = mixtures.mixture((4, 3))
    for variable in model.trainable_variables:
        variable.assign(keras.ops.zeros_like(variable))  # every network says 1/2, every gate weighs alike
    for classifier in model.classifiers:
        classifier.logits.bias.assign([1.0, 0, 0, 0, 0])
    found = OnlineMixtureObjective(1.0)(model(BATCH["teacher"]), BATCH)
    np.testing.assert_allclose(found["submodel_label_loss"], 16 * found["label_loss"].numpy(), rtol=1e-5)
    np.testing.assert_allclose(found["online_distillation_loss"], 0, atol=1e-5)
    model.submodel("2.1").classifier.logits.bias.assign([0.0, 0, 0, 0, 4.0])
    outputs = model(BATCH["teacher"])
    edges = [(outputs, member) for member in outputs["members"]]
    edges += [(member, leaf) for member in outputs["members"] for leaf in member["members"]]
    assert len(edges) == 16
    distances = [
        oracles.softened_kl(parent["logits"][0].numpy(), member["logits"][0].numpy(), 1.0) for parent, member in edges
    ]
    assert sum(distance > 1e-6 for distance in distances) == 7  # the four at the root, and the three of mixture 2
    found = OnlineMixtureObjective(1.0)(outputs, BATCH)["online_distillation_loss"][0]
    np.testing.assert_allclose(found, sum(distances), rtol=1e-4)


def test_divergence_and_gradients_are_finite_for_huge_logits(temperature=20.0):
    parent = tf.constant([[1e4, -1e4, 0.0], [-300.0, 0.0, 300.0], [0.0, 0.0, 0.0]])
    member = tf.constant([[-1e4, 1e4, 0.0], [300.0, 0.0, -300.0], [0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch([parent, member])
        found = softened_kl(parent, member, temperature)
    assert all(np.isfinite(values).all() for values in (found, *tape.gradient(found, [parent, member])))
    np.testing.assert_allclose(found, [2e4 / temperature, 600 / temperature, 0], rtol=1e-3)


@pytest.mark.parametrize("model, num_networks", [("MixNeXtVladModel", 3), ("MODNeXtVladModel", 7)])
def test_unrated_pairs_of_a_segment_have_no_part_in_the_label_losses(model, num_networks):
    """Neither in their values nor in the gradients of the logits; those are exactly 0."""
    config = networks.frame_level(model)
    random, inputs = np.random.default_rng(0), networks.batch(config, counts=(7, 4, 1))
    labels, rated = random.integers(0, 2, (2, 3, config.num_classes), dtype=np.uint8)
    labels[0], rated[0] = [1, 0, 1, 0, 1], [1, 1, 0, 0, 0]
    with tf.GradientTape(persistent=True) as tape:
        outputs = networks.build(config)(inputs)
        terms = OnlineMixtureObjective(20)(outputs, {"labels": labels, "label_weights": rated})
    root, *below = mixed = _all_outputs(outputs)
    assert len(mixed) == num_networks
    for name, of_term in (("label_loss", [root]), ("submodel_label_loss", below)):
        expected = [
            sum(oracles.label_loss(y[r > 0], o["predictions"].numpy()[b][r > 0]) for o in of_term)
            for b, (y, r) in enumerate(zip(labels, rated))
        ]
        np.testing.assert_allclose(terms[name], expected, rtol=1e-4)
        for found in of_term:
            gradient = tape.gradient(terms[name], found["logits"]).numpy()
            assert (gradient[rated == 0] == 0).all() and (gradient[rated == 1] != 0).all()
    for found in below:  # the divergence is over all classes
        assert (tape.gradient(terms["online_distillation_loss"], found["logits"]).numpy() != 0).all()


def _all_outputs(outputs):
    """The outputs of a mixture and of all networks in it."""
    return [outputs, *(found for member in outputs.get("members", []) for found in _all_outputs(member))]


@pytest.mark.parametrize("temperature", [-1e-9, float("nan"), float("inf")])
def test_a_negative_or_infinite_temperature_is_an_error(temperature):
    with pytest.raises(ValueError, match="temperature=.*a finite number above 0, or 0 to leave"):
        OnlineMixtureObjective(temperature)


# ---- steps


def _descended(network, loss, rate=0.2):
    """The trainable weights after one step down the numerical gradient of `loss(tree)`."""
    values = [variable.numpy().astype(np.float64) for variable in network.trainable_variables]
    gradients = oracles.numerical_gradients(lambda changed: loss(mixtures.tree(network, changed)), values)
    return [value - rate * gradient for value, gradient in zip(values, gradients)]


def _after_a_step(scheme, data, strategy, role):
    tiny_training.step_eagerly(scheme, data, strategy)
    return [variable.numpy() for variable in scheme.networks[role].trainable_variables]


def supervised(shape, temperature, stopped, **settings):
    return Supervised(mixtures.mixture(shape), objective=OnlineMixtureObjective(temperature, stopped), **settings)


@pytest.mark.parametrize(
    "shape, temperature, stopped",
    [
        ((2,), 3, False),
        ((2,), 3, True),
        *(
            pytest.param(*options, marks=pytest.mark.slow)
            for options in (((2,), 0, False), ((3,), 20, True), ((2, 2), 3, True), ((2, 2), 3, False))
        ),
    ],
)
def test_a_step_follows_the_gradient_of_the_whole_objective(shape, temperature, stopped):
    strategy = make_strategy()
    scheme = tiny_training.compiled(
        lambda: supervised(shape, temperature, stopped, clip_gradient_norm=0, regularization_penalty=0), strategy
    )
    network = mixtures.randomize(scheme.networks["teacher"])
    constants = VIDEOS["teacher"].outputs(mixtures.tree(network), training=True)

    def loss(tree):
        found = VIDEOS["teacher"].outputs(tree, training=True)
        return np.mean(
            [
                oracles.mixture_loss(video, labels, temperature, constant if stopped else None)
                for video, labels, constant in zip(found, LABELS, constants)
            ]
        )

    expected = _descended(network, loss)
    tiny_training.assert_same_weights(_after_a_step(scheme, FLAT, strategy, "teacher"), expected, 5e-5)


@pytest.mark.slow
@both_shapes
def test_training_on_two_replicas_equals_training_on_one(shape):
    def make():
        return supervised(shape, 3, False, clip_gradient_norm=0.05, regularization_penalty=4e7)

    one, two = (tiny_training.train_on(devices, make, FLAT, steps=10) for devices in (None, tiny_training.TWO_CPUS))
    tiny_training.assert_same_weights(tiny_training.weights(two), tiny_training.weights(one), 5e-5)
    moving = one.networks["teacher"].gate.normalization.moving_mean.numpy()
    assert np.abs(moving).min() > 1e-4


# ---- mixtures as teachers and as students

WEIGHTS = {"representation_loss": 1.5, "prediction_loss": 0.7, "label_loss": 1.2}


def serial(shape, temperature=2, weights=WEIGHTS, **settings):
    terms = StudentTerms(weights, objective=OnlineMixtureObjective(temperature))
    return SerialDistiller(mixtures.mixture(shape, "student"), mixtures.mixture(shape), terms, **settings)


def _targets(scheme):
    """The outputs of a serial scheme's teacher, which is given other weights; oracle's view."""
    scheme.teacher.trainable = True
    found = VIDEOS["teacher"].outputs(mixtures.tree(mixtures.randomize(scheme.teacher)), training=False)
    scheme.teacher.trainable = False
    return found


def _student_loss(student, teacher, labels, temperature):
    """One video's: WEIGHTS, and within the last of them the mixture's own objective."""
    return (
        1.5 * oracles.squared_distance(teacher["encoding"], student["encoding"])
        + 0.7 * oracles.bernoulli_kl(teacher["predictions"], student["predictions"])
        + 1.2 * oracles.mixture_loss(student, labels, temperature)
    )


def test_a_mixture_learns_from_a_mixture_with_every_term():
    strategy = make_strategy()
    scheme = tiny_training.compiled(lambda: serial((2,), clip_gradient_norm=0, regularization_penalty=0), strategy)
    student, targets = scheme.networks["student"], _targets(scheme)
    before = scheme.teacher.get_weights()

    def loss(tree):
        found = VIDEOS["student"].outputs(tree, training=True)
        return np.mean([_student_loss(*video, 2) for video in zip(found, targets, LABELS)])

    expected = _descended(student, loss)
    tiny_training.assert_same_weights(_after_a_step(scheme, DATA, strategy, "student"), expected, 5e-5)
    tiny_training.assert_same_weights(scheme.teacher.get_weights(), before)
    assert scheme.loss_weights == {
        "student/representation_loss": 1.5,
        "student/prediction_loss": 0.7,
        "student/label_loss": 1.2,
        "student/submodel_label_loss": 1.2,
        "student/online_distillation_loss": pytest.approx(1.2 * 4),
    }


@both_shapes
def test_representation_loss_of_two_mixtures_sums_over_their_networks(shape):
    scheme = serial(shape, weights={"representation_loss": 1.0})
    networks = scheme.networks["student"], scheme.teacher
    for seed, network in enumerate(networks):
        mixtures.randomize(network, seed)
    found = scheme.compute_losses(BATCH, training=False)[0]["student/representation_loss"]
    leaves = [path for path, network in networks[0].submodels().items() if isinstance(network, VideoClassifier)]
    assert len(leaves) == np.prod(shape)
    pairs = [
        (
            networks[0].submodel(path)(BATCH["student"])["encoding"].numpy(),
            networks[1].submodel(path)(BATCH["teacher"])["encoding"].numpy(),
        )
        for path in leaves
    ]
    expected = [
        sum(oracles.squared_distance(student[video], teacher[video]) for student, teacher in pairs) for video in range(8)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_representation_loss_alone_trains_only_the_members_encoders():
    def matching():
        scheme = serial((2, 2), weights={"representation_loss": 1.0})
        for layer in scheme.networks["student"].output_layers:
            layer.trainable = False
        return scheme

    strategy = make_strategy()
    scheme = tiny_training.compiled(matching, strategy)
    before = tiny_training.weights(scheme)
    tiny_training.step_eagerly(scheme, DATA, strategy)
    moved = tiny_training.differ(tiny_training.weights(scheme), before)
    encoders = {id(scheme.networks["student"].submodel(path).encoder.kernel) for path in ("0.0", "0.1", "1.0", "1.1")}
    assert moved == [id(weight) in encoders for weight in scheme.networks["student"].weights]


def test_a_single_network_learns_from_a_mixtures_predictions_and_labels(shape=mixtures.TWO_LEVELS):
    strategy = make_strategy()
    weights = {"prediction_loss": 0.7, "label_loss": 1.2}
    scheme = tiny_training.compiled(
        lambda: SerialDistiller(
            tiny_training.network("student"),
            mixtures.mixture(shape, dropout=0.5),
            StudentTerms(weights),
            clip_gradient_norm=0,
            regularization_penalty=0,
        ),
        strategy,
    )
    targets = _targets(scheme)
    before = scheme.teacher.get_weights()

    def loss(values):
        found = VIDEOS["student"].outputs({"leaf": values}, training=True)
        return np.mean(
            [
                0.7 * oracles.bernoulli_kl(teacher["predictions"], student["predictions"])
                + 1.2 * oracles.label_loss(labels, student["predictions"])
                for student, teacher, labels in zip(found, targets, LABELS)
            ]
        )

    values = [weight.astype(np.float64) for weight in tiny_training.weights(scheme)]
    gradients = oracles.numerical_gradients(loss, values)
    tiny_training.step_eagerly(scheme, DATA, strategy)
    expected = [value - 0.2 * gradient for value, gradient in zip(values, gradients)]
    tiny_training.assert_same_weights(tiny_training.weights(scheme), expected, 2e-5)
    tiny_training.assert_same_weights(scheme.teacher.get_weights(), before)
    assert list(scheme.loss_weights) == ["student/prediction_loss", "student/label_loss"]


def parallel(shape, shared=True, dropout=0.0, **settings):
    teacher = mixtures.mixture(shape, dropout=dropout)
    student = mixtures.mixture(shape, "student", teacher.classifiers if shared else None, dropout)
    return ParallelDistiller(
        student, teacher, StudentTerms(WEIGHTS, objective=OnlineMixtureObjective(2)), OnlineMixtureObjective(3), **settings
    )


@both_shapes
def test_two_mixtures_share_the_classifiers_of_corresponding_networks(shape):
    scheme = parallel(shape)
    student, teacher = (scheme.networks[role].classifiers for role in ("student", "teacher"))
    assert len(student) == np.prod(shape) and all(a is b for a, b in zip(student, teacher))
    separate = parallel(shape, shared=False)
    assert len(separate.trainable_variables) - len(scheme.trainable_variables) == 2 * len(student)
    assert {f"{role}/{term}" for role in ("student", "teacher") for term in TERMS} < set(scheme.trackers)
    assert scheme.loss_weights["teacher/online_distillation_loss"] == 9


@pytest.mark.slow
def test_parallel_mixtures_follow_both_gradients_from_the_weights_before_the_step():
    strategy = make_strategy()
    scheme = tiny_training.compiled(lambda: parallel((2,), clip_gradient_norm=0, regularization_penalty=0), strategy)
    student, teacher = scheme.networks["student"], scheme.networks["teacher"]
    constants = VIDEOS["teacher"].outputs(mixtures.tree(teacher), training=True)
    variables = scheme.trainable_variables
    values = [variable.numpy().astype(np.float64) for variable in variables]

    def loss(changed):
        by_variable = {id(variable): value for variable, value in zip(variables, changed)}
        own, theirs = (
            VIDEOS[role].outputs(
                mixtures.tree(network, [by_variable[id(variable)] for variable in network.trainable_variables]),
                training=True,
            )
            for role, network in (("student", student), ("teacher", teacher))
        )
        total = sum(_student_loss(*video, 2) for video in zip(own, constants, LABELS))
        return (total + sum(oracles.mixture_loss(*video, 3) for video in zip(theirs, LABELS))) / 8

    expected = [value - 0.2 * gradient for value, gradient in zip(values, oracles.numerical_gradients(loss, values))]
    tiny_training.step_eagerly(scheme, DATA, strategy)
    tiny_training.assert_same_weights([variable.numpy() for variable in variables], expected, 1e-4)


def test_a_parallel_students_targets_are_without_dropout():
    scheme = parallel((2, 2), dropout=0.5)
    teacher = mixtures.randomize(scheme.networks["teacher"])
    clean = VIDEOS["teacher"].outputs(mixtures.tree(teacher), training=True)
    losses, predictions = scheme.compute_losses(BATCH, training=True)
    targets = [video["predictions"] for video in clean]
    assert np.abs(predictions["teacher"].numpy() - targets).max() > 0.01
    expected = [oracles.bernoulli_kl(*pair) for pair in zip(targets, predictions["student"].numpy())]
    np.testing.assert_allclose(losses["student/prediction_loss"], expected, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("make", [serial, parallel])
def test_distillation_of_mixtures_on_two_replicas_equals_one(make):
    settings = {"clip_gradient_norm": 0.05, "regularization_penalty": 4e7}
    one, two = (
        tiny_training.train_on(devices, lambda: make((2,), **settings), DATA, steps=5)
        for devices in (None, tiny_training.TWO_CPUS)
    )
    tiny_training.assert_same_weights(tiny_training.weights(two), tiny_training.weights(one), 5e-5)
