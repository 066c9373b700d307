import keras
import numpy as np
import pytest

from tests import networks, oracles, tiny_training
from youtube8m_distill import config
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.families.build import build_model
from youtube8m_distill.schemes.build import build_stages, build_student
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.supervised import Supervised

DATA = tiny_training.videos()
WEIGHTS = tiny_training.ALL_TERMS


def parallel(shared=True, weights=None, **settings):
    teacher = tiny_training.network("teacher")
    student = tiny_training.network("student", teacher.classifier if shared else None)
    return ParallelDistiller(student, teacher, StudentTerms(weights or WEIGHTS), **settings)


def _outputs(role, weights, i):
    return oracles.tiny_network(weights, DATA[role]["frames"][i], DATA[role]["num_frames"][i])


def _loss(student, teacher, constants):
    """Mean of both objectives over the first 8 videos; the student's terms see a teacher of weights `constants`."""
    total = 0.0
    for i in range(8):
        labels = DATA["labels"][i]
        total += oracles.label_loss(labels, _outputs("teacher", teacher, i)["predictions"])
        total += oracles.student_loss(
            _outputs("student", student, i),
            _outputs("teacher", constants, i),
            labels,
            DATA["student"]["frame_indices"][i],
            DATA["teacher"]["frame_indices"][i],
            WEIGHTS,
        )
    return total / 8


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
def test_both_networks_follow_their_own_gradients_from_the_weights_before_the_step(shared):
    strategy = make_strategy()
    scheme = tiny_training.compiled(lambda: parallel(shared, clip_gradient_norm=0, regularization_penalty=0), strategy)
    student, teacher = (
        [values.astype(np.float64) for values in scheme.networks[role].get_weights()] for role in ("student", "teacher")
    )
    constants = [values.copy() for values in teacher]
    if shared:
        variables = [student[0], *teacher]
        loss = lambda v: _loss([v[0], *v[2:]], v[1:], constants)  # noqa: E731
    else:
        variables = [*student, *teacher]
        loss = lambda v: _loss(v[:3], v[3:], constants)  # noqa: E731
    moved = [v - 0.2 * gradient for v, gradient in zip(variables, oracles.numerical_gradients(loss, variables))]
    tiny_training.step_eagerly(scheme, DATA, strategy)
    expected = [moved[0], *moved[2:], *moved[1:]] if shared else moved
    tiny_training.assert_same_weights(tiny_training.weights(scheme), expected, 2e-5)


def _trained(make_scheme, data):
    """The teacher's weights after 2 steps of a scheme."""
    strategy = make_strategy()
    scheme = tiny_training.compiled(make_scheme, strategy, lambda: keras.optimizers.Adam(0.01))
    random = np.random.default_rng(0)
    scheme.networks["teacher"].set_weights(  # the same start for every scheme
        [random.normal(0, 0.5, weight.shape) for weight in scheme.networks["teacher"].get_weights()]
    )
    tiny_training.step_eagerly(scheme, data, strategy, 2)
    return scheme.networks["teacher"].get_weights()


@pytest.fixture(scope="module")
def teacher_alone():
    return _trained(lambda: Supervised(tiny_training.network("teacher")), tiny_training.flat(DATA))


def test_with_separate_classifiers_the_teacher_trains_as_if_alone(teacher_alone):
    tiny_training.assert_same_weights(_trained(lambda: parallel(shared=False), DATA), teacher_alone, 1e-6)


def test_a_shared_classifier_is_changed_by_the_students_terms(teacher_alone):
    assert all(tiny_training.differ(_trained(parallel, DATA), teacher_alone))


def test_a_shared_classifier_is_one_object_trained_once():
    scheme = parallel()
    assert scheme.networks["student"].classifier is scheme.networks["teacher"].classifier
    assert len(scheme.trainable_variables) == 4 and len(parallel(shared=False).trainable_variables) == 6


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
def test_each_classifier_is_regularized_once(shared):
    scheme = parallel(shared, regularization_penalty=1e8)
    scheme.compile()
    logs = scheme.test_step(DATA)
    kernels = [scheme.networks[role].get_weights()[1] for role in ("student", "teacher")][: 1 if shared else 2]
    expected = 0.5 * sum(np.sum(kernel**2) for kernel in kernels)
    np.testing.assert_allclose(float(logs["regularization_loss"]), expected, rtol=1e-5)


@pytest.mark.parametrize("term", ["prediction_loss", "label_loss"])
def test_each_student_term_changes_a_shared_classifier(term):
    strategy = make_strategy()
    kernels = []
    for weight in (0.0, 1.0):
        scheme = tiny_training.compiled(lambda: parallel(weights={term: weight}, clip_gradient_norm=0), strategy)
        tiny_training.step_eagerly(scheme, DATA, strategy)
        kernels.append(scheme.networks["teacher"].get_weights())
    # The student's term reaches the teacher's encoder only through the classifier, one step later.
    assert tiny_training.differ(*kernels) == [False, True, True]


def test_both_networks_are_logged_with_the_same_terms():
    scheme = parallel()
    assert sorted(scheme.networks) == ["student", "teacher"] and scheme.main_role == "student"
    for term in ("label_loss", "gap_at_20", "hit_at_one"):
        assert {f"student/{term}", f"teacher/{term}"} <= set(scheme.trackers)


# Families whose shared layers have batch statistics: gated probabilities, and the gate of a mixture.
WITH_STATISTICS = ["NetVLADModelLF", pytest.param("MixNeXtVladModel", marks=pytest.mark.slow)]


def _parallel_run(model):
    """A parallel run on `DATA`, and its networks by role."""
    networks_by_role = {
        role: networks.frame_level(model, view=config.FrameView(frame_selection="first", frames_per_video=k))
        for role, k in (("teacher", 6), ("student", 3))
    }
    run = config.RunConfig(
        mode="parallel",
        networks=networks_by_role,
        training=config.TrainingConfig(batch_size=8),
        distillation=config.DistillationConfig(student_loss=("ce",)),
    )
    teacher = build_model(networks_by_role["teacher"], name="teacher")
    return run, {"teacher": teacher, "student": build_student(run, teacher)}


def _statistics(network):
    """The moving statistics of the layers that the networks share, as arrays."""
    return [np.array(weight) for layer in network.output_layers for weight in layer.non_trainable_weights]


@pytest.mark.parametrize("model", WITH_STATISTICS)
def test_networks_share_weights_but_each_has_the_moving_statistics_of_its_own_frames(model):
    run, pair = _parallel_run(model)
    of_roles = [[weight for layer in pair[role].output_layers for weight in layer.trainable_weights] for role in pair]
    assert of_roles[0] and all(a is b for a, b in zip(*of_roles, strict=True))
    strategy, still = make_strategy(), lambda: keras.optimizers.SGD(0.0)
    (stage,) = build_stages(run, pair)
    start = {role: network.get_weights() for role, network in pair.items()}
    scheme = tiny_training.compiled(stage.build_scheme, strategy, still)
    tiny_training.step_eagerly(scheme, DATA, strategy, steps=3)
    found = {role: _statistics(network) for role, network in pair.items()}
    assert any(tiny_training.differ(found["teacher"], found["student"]))
    for role, network in pair.items():
        network.set_weights(start[role])
        alone = tiny_training.compiled(lambda: Supervised(network, role), strategy, still)  # noqa: B023
        tiny_training.step_eagerly(alone, tiny_training.flat(DATA, role), strategy, steps=3)
        for values, expected in zip(found[role], _statistics(network), strict=True):
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", WITH_STATISTICS)
def test_a_student_with_shared_weights_can_be_saved_and_loaded_alone(model, tmp_path):
    run, pair = _parallel_run(model)
    for weight in pair["student"].weights:
        weight.assign(np.random.default_rng(len(weight.path)).uniform(0.1, 1.0, weight.shape))
    pair["student"].save_weights(tmp_path / "student.weights.h5")
    loaded = build_model(run.networks["student"], name="student")
    loaded.load_weights(tmp_path / "student.weights.h5")
    tiny_training.assert_same_weights(loaded.get_weights(), pair["student"].get_weights())
    pair["student"].save(tmp_path / "student.keras")
    tiny_training.assert_same_weights(
        keras.saving.load_model(tmp_path / "student.keras").get_weights(), pair["student"].get_weights()
    )
