import numpy as np
import pytest

from tests import networks as families
from tests import tiny_training
from youtube8m_distill import config
from youtube8m_distill.engine.optimizers import build_optimizer
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes import build as builder
from youtube8m_distill.schemes.build import build_stages, build_student, student_terms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.serial import SerialDistiller
from youtube8m_distill.schemes.supervised import Supervised

DATA = tiny_training.videos()
TRAINING = config.TrainingConfig(
    batch_size=8,
    base_learning_rate=0.01,
    num_epochs=3,
    finetune_epochs=2,
    clip_gradient_norm=0.7,
    regularization_penalty=5.0,
)
STUDENT = tiny_training.network_config(3, 2)


def run_config(mode, **distillation):
    networks = {"teacher": tiny_training.network_config(6, 3)}
    if mode != "teacher":
        networks["student"] = STUDENT
    return config.RunConfig(
        mode=mode,
        networks=networks,
        training=TRAINING,
        distillation=None if mode == "teacher" else config.DistillationConfig(**distillation),
    )


def build(mode, **distillation):
    """A run's configuration and its networks."""
    run = run_config(mode, **distillation)
    teacher = tiny_training.hierarchical_rnn("teacher")
    return run, {"teacher": teacher, "student": build_student(run, teacher)}


@pytest.fixture
def quick(monkeypatch):
    """`build`, but for networks that compile in no time."""
    monkeypatch.setattr(
        builder, "build_model", lambda network, dtype, shared, name, _: tiny_training.network(name, shared and shared[0])
    )
    monkeypatch.setattr(tiny_training, "hierarchical_rnn", tiny_training.network)
    return build


def train_stages(run, networks, steps=2):
    """Trains every stage a few steps; yields (stage, its scheme, weights before and after)."""
    strategy = make_strategy()
    for stage in build_stages(run, networks):
        scheme = stage.build_scheme()
        scheme.compile(optimizer=build_optimizer(run.training))
        scheme.optimizer.build(scheme.trainable_variables)
        data = DATA if len(stage.roles) > 1 else tiny_training.flat(DATA, stage.roles[0])
        before = {role: network.get_weights() for role, network in networks.items()}
        assert int(scheme.optimizer.iterations) == 0
        tiny_training.step_eagerly(scheme, data, strategy, steps)
        yield stage, scheme, before, {role: network.get_weights() for role, network in networks.items()}


def _classifier(network):
    return network.classifier.get_weights()


def test_with_stored_targets_no_stage_reads_the_teachers_frames(quick):
    run, networks = quick("serial", student_loss=("rep",))
    stages = build_stages(run.replace(teacher_targets_dir="folder"), networks)
    assert [(stage.roles, stage.stored_targets) for stage in stages] == [(("student",), True), (("student",), False)]
    assert stages[0].build_scheme().teacher is None
    assert [(stage.roles, stage.stored_targets) for stage in build_stages(run, networks)] == [
        (("teacher", "student"), False),
        (("student",), False),
    ]


def test_with_stored_targets_a_frozen_classifier_is_the_teachers_layer(quick):
    run, networks = quick("serial", freeze_classifier=True)
    (stage,) = build_stages(run.replace(teacher_targets_dir="folder"), networks)
    scheme, student = stage.build_scheme(), networks["student"]
    assert student.classifier is networks["teacher"].classifier
    assert [id(v) for v in scheme.trainable_variables] == [id(v) for v in student.encoder.trainable_variables]


TERMS = {
    "rep": ("representation_loss", "rep_weight"),
    "pred": ("prediction_loss", "pred_weight"),
    "ce": ("label_loss", "ce_weight"),
    "relation": ("relation_loss", "relation_weight"),
    "topk_logit": ("topk_logit_loss", "topk_weight"),
}
WEIGHTS = {
    "rep_weight": 0.1,
    "pred_weight": 0.2,
    "ce_weight": 0.3,
    "intermediate_weight": 0.4,
    "relation_weight": 0.5,
    "topk_weight": 0.6,
}


@pytest.mark.parametrize("term", sorted(TERMS))
def test_each_term_uses_its_own_weight_setting(term):
    name, field = TERMS[term]
    terms = student_terms(config.DistillationConfig(student_loss=(term,), **WEIGHTS), STUDENT)
    assert terms.weights == {name: WEIGHTS[field]} and not terms.needs_frame_states


def test_all_terms_together_use_their_weight_settings():
    terms = student_terms(config.DistillationConfig(match_intermediate=True, **WEIGHTS), STUDENT)
    assert terms.weights == {
        "representation_loss": 0.1,
        "prediction_loss": 0.2,
        "label_loss": 0.3,
        "intermediate_representation_loss": 0.4,
    }
    assert terms.needs_frame_states


@pytest.mark.parametrize("distance, reduction", [("kl", "sum"), ("categorical_kl", "mean"), ("squared", "mean")])
def test_distance_and_reduction_settings_reach_the_terms(distance, reduction):
    terms = student_terms(config.DistillationConfig(prediction_distance=distance, intermediate_reduction=reduction), STUDENT)
    assert (terms.prediction_distance, terms.intermediate_reduction) == (distance, reduction)


def test_scale_and_temperature_settings_reach_the_terms():
    terms = student_terms(config.DistillationConfig(rep_scale="dimension", topk_temperature=3.0), STUDENT)
    assert (terms.representation_scale, terms.topk_temperature) == ("dimension", 3.0)
    terms = student_terms(config.DistillationConfig(), STUDENT)
    assert (terms.representation_scale, terms.topk_temperature) == ("none", 2.0)


@pytest.mark.parametrize(
    "mode, sharing, same_object, same_weights",
    [
        ("serial", {}, False, True),
        ("serial", {"freeze_classifier": True}, True, True),
        ("serial", {"share_classifier": False}, False, False),
        ("parallel", {}, True, True),
        ("parallel", {"share_classifier": False}, False, False),
    ],
)
def test_sharing_settings_decide_the_students_classifier(mode, sharing, same_object, same_weights):
    _, networks = build(mode, **sharing)
    student, teacher = networks["student"], networks["teacher"]
    assert (student.classifier is teacher.classifier) == same_object
    equal = [np.array_equal(a, b) for a, b in zip(_classifier(student), _classifier(teacher))]
    assert all(equal) == same_weights
    assert student.name == "student" and student.encoder.frames_per_block == 2
    assert not any(a is b for a in student.encoder.weights for b in teacher.encoder.weights)


@pytest.mark.parametrize(
    "cells, student_loss, size", [(2, ("rep", "ce"), (4, 8)), (2, ("pred", "relation"), None), (4, ("rep", "ce"), None)]
)
def test_a_projection_is_made_only_for_the_representation_loss_of_unequal_encodings(cells, student_loss, size):
    run = run_config("serial", student_loss=student_loss, share_classifier=False)
    run = run.replace(networks={**run.networks, "student": tiny_training.network_config(3, 2, lstm_cells=cells)})
    teacher = tiny_training.hierarchical_rnn("teacher")
    (stage,) = build_stages(run, {"teacher": teacher, "student": build_student(run, teacher)})
    projection = stage.build_scheme().projection
    assert (projection and tuple(projection.kernel.shape)) == size


def test_a_student_without_reversed_whitening_leaves_the_teachers_eigenvalues_out():
    teacher = families.frame_level("NeXtVLADModel", reverse_whitening=True)
    run = config.RunConfig(
        mode="serial",
        networks={"teacher": teacher, "student": families.frame_level("DbofModel")},
        training=TRAINING,
        distillation=config.DistillationConfig(student_loss=("pred", "ce"), share_classifier=False),
    )
    student = build_student(run, families.build(teacher))
    assert not student.preprocessing.weights and student.encoding_size == 5


def test_a_teacher_trains_in_one_stage_on_its_own_frames():
    run = run_config("teacher")
    (stage,) = build_stages(run, {"teacher": tiny_training.hierarchical_rnn("teacher")})
    scheme = stage.build_scheme()
    assert type(scheme) is Supervised and list(scheme.networks) == ["teacher"]
    assert (stage.name, stage.roles, stage.num_epochs) == ("training", ("teacher",), 3)


@pytest.mark.parametrize("mode, kind", [("serial", SerialDistiller), ("parallel", ParallelDistiller)])
@pytest.mark.parametrize("student_loss", [("rep", "ce"), ("rep", "pred"), ("relation", "topk_logit")])
def test_terms_that_reach_the_classifier_make_one_stage(mode, kind, student_loss):
    run, networks = build(mode, student_loss=student_loss)
    (stage,) = build_stages(run, networks)
    scheme = stage.build_scheme()
    assert type(scheme) is kind
    assert (stage.name, stage.roles, stage.num_epochs) == (mode, ("teacher", "student"), 3)
    assert list(scheme.terms.weights) == [TERMS[term][0] for term in student_loss]


@pytest.mark.parametrize("targets", ["", "folder"])
def test_the_label_loss_alone_trains_from_the_teachers_classifier_and_does_not_run_the_teacher(quick, targets):
    run, networks = quick("serial", student_loss=("ce",), ce_weight=0.5)
    taught = networks["teacher"].get_weights()
    networks["teacher"].call = None
    tiny_training.assert_same_weights(_classifier(networks["student"]), _classifier(networks["teacher"]))
    (stage,) = build_stages(run.replace(teacher_targets_dir=targets), networks)
    assert (stage.roles, stage.stored_targets, stage.num_epochs) == (("student",), False, 3)
    assert stage.build_scheme().teacher is None and stage.build_scheme().loss_weights == {"student/label_loss": 0.5}
    ((_, _, before, after),) = train_stages(run, networks)
    assert all(tiny_training.differ(after["student"], before["student"]))
    tiny_training.assert_same_weights(after["teacher"], taught)


@pytest.mark.parametrize("mode", ["teacher", "serial", "parallel"])
def test_every_stage_uses_the_clipping_and_regularization_settings(mode):
    run = run_config(mode)
    networks = {"teacher": tiny_training.hierarchical_rnn("teacher")}
    if mode != "teacher":
        run = run.replace(distillation=config.DistillationConfig(student_loss=("rep", "ce")))
        networks["student"] = build_student(run, networks["teacher"])
    for stage in build_stages(run, networks):
        scheme = stage.build_scheme()
        assert (scheme.clip_gradient_norm, scheme.regularization_penalty) == (0.7, 5.0)


def test_a_shared_classifier_starts_from_the_teachers_and_trains_alone(quick):
    run, networks = quick("serial")
    ((_, _, before, after),) = train_stages(run, networks)
    tiny_training.assert_same_weights(after["teacher"], before["teacher"])
    assert all(tiny_training.differ(after["student"], before["student"]))


def test_a_frozen_classifier_is_used_by_both_and_never_changes(quick):
    run, networks = quick("serial", freeze_classifier=True)
    classifier = _classifier(networks["teacher"])
    ((_, _, before, after),) = train_stages(run, networks)
    tiny_training.assert_same_weights(after["teacher"], before["teacher"])
    tiny_training.assert_same_weights(_classifier(networks["student"]), classifier)
    encoder = len(before["student"]) - len(classifier)
    assert tiny_training.differ(after["student"], before["student"]) == [True] * encoder + [False] * len(classifier)


@pytest.mark.parametrize(
    "term, sharing",
    [("rep", {}), ("rep", {"freeze_classifier": True}), ("relation", {})],
    ids=["own classifier", "frozen classifier", "relation"],
)
def test_terms_of_encodings_alone_make_a_matching_and_a_fine_tuning_stage(quick, term, sharing):
    run, networks = quick("serial", student_loss=(term,), **sharing)
    classifier = _classifier(networks["student"])
    matching, tuning = train_stages(run, networks)
    encoder = len(networks["student"].get_weights()) - len(classifier)

    stage, scheme, before, after = matching
    assert (stage.name, stage.roles, stage.num_epochs) == ("matching", ("teacher", "student"), 3)
    assert list(scheme.terms.weights) == [TERMS[term][0]]
    assert tiny_training.differ(after["student"], before["student"]) == [True] * encoder + [False] * len(classifier)

    stage, scheme, before, after = tuning
    assert type(scheme) is Supervised and list(scheme.networks) == ["student"]
    assert (stage.name, stage.roles, stage.num_epochs) == ("fine-tuning", ("student",), 2)
    assert (scheme.clip_gradient_norm, scheme.regularization_penalty) == (0.7, 5.0)
    moves = "freeze_classifier" not in sharing
    assert tiny_training.differ(after["student"], before["student"]) == [True] * encoder + [moves] * len(classifier)
    tiny_training.assert_same_weights(after["teacher"], matching[2]["teacher"])


def test_parallel_training_changes_both_networks(quick):
    run, networks = quick("parallel")
    ((_, _, before, after),) = train_stages(run, networks)
    for role in ("student", "teacher"):
        assert all(tiny_training.differ(after[role], before[role]))
    tiny_training.assert_same_weights(_classifier(networks["student"]), _classifier(networks["teacher"]))
