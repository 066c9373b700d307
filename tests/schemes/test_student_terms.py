import numpy as np
import pytest

from tests import oracles, tiny_training
from youtube8m_distill.schemes.objectives import StudentTerms

BATCH = tiny_training.videos(6)
RANDOM = np.random.default_rng(1)


def _outputs(length):
    values = {
        "encoding": RANDOM.normal(size=(6, 4)),
        "frame_states": RANDOM.normal(size=(6, length, 4)),
        "predictions": RANDOM.uniform(0.05, 0.95, (6, tiny_training.NUM_CLASSES)),
    }
    return {name: value.astype(np.float32) for name, value in values.items()}


STUDENT, TEACHER = _outputs(3), _outputs(6)
EVERY_TERM = {**tiny_training.ALL_TERMS, "relation_loss": 0.6}


def _expected(term, video, distance=oracles.bernoulli_kl, reduction="mean"):
    student, teacher = ({name: values[video] for name, values in outputs.items()} for outputs in (STUDENT, TEACHER))
    return {
        "representation_loss": lambda: oracles.squared_distance(student["encoding"], teacher["encoding"]),
        "prediction_loss": lambda: distance(teacher["predictions"], student["predictions"]),
        "label_loss": lambda: oracles.label_loss(BATCH["labels"][video], student["predictions"]),
        "relation_loss": lambda: oracles.relation_loss(STUDENT["encoding"], TEACHER["encoding"])[video],
        "topk_logit_loss": lambda: oracles.topk_logit_loss(
            *(oracles.squeezed_logits(outputs["predictions"]) for outputs in (student, teacher))
        ),
        "intermediate_representation_loss": lambda: oracles.intermediate_loss(
            student["frame_states"],
            teacher["frame_states"],
            BATCH["student"]["frame_indices"][video],
            BATCH["teacher"]["frame_indices"][video],
            reduction,
        ),
    }[term]()


@pytest.mark.parametrize("term", sorted(EVERY_TERM))
def test_a_single_term_equals_its_oracle_and_is_the_only_one(term):
    terms = StudentTerms({term: 3.0})
    found = terms(STUDENT, TEACHER, BATCH)
    assert list(found) == [f"student/{term}"]
    np.testing.assert_allclose(found[f"student/{term}"], [_expected(term, video) for video in range(6)], rtol=1e-4)
    assert terms.loss_weights == {f"student/{term}": 3.0}
    assert terms.needs_frame_states == (term == "intermediate_representation_loss")


@pytest.mark.parametrize(
    "name, distance",
    [("kl", oracles.bernoulli_kl), ("categorical_kl", oracles.categorical_kl), ("squared", oracles.squared_distance)],
)
def test_the_prediction_distance_is_the_requested_one(name, distance):
    found = StudentTerms({"prediction_loss": 1.0}, prediction_distance=name)(STUDENT, TEACHER, BATCH)
    expected = [_expected("prediction_loss", video, distance) for video in range(6)]
    np.testing.assert_allclose(found["student/prediction_loss"], expected, rtol=1e-4)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_intermediate_reduction_is_the_requested_one(reduction):
    terms = StudentTerms({"intermediate_representation_loss": 1.0}, intermediate_reduction=reduction)
    expected = [_expected("intermediate_representation_loss", video, reduction=reduction) for video in range(6)]
    np.testing.assert_allclose(
        terms(STUDENT, TEACHER, BATCH)["student/intermediate_representation_loss"], expected, rtol=1e-4
    )


@pytest.mark.parametrize("scale, divisor", [("none", 1), ("dimension", 4)])
def test_the_representation_scale_is_the_requested_one(scale, divisor):
    found = StudentTerms({"representation_loss": 1.0}, representation_scale=scale)(STUDENT, TEACHER, BATCH)
    expected = [_expected("representation_loss", video) / divisor for video in range(6)]
    np.testing.assert_allclose(found["student/representation_loss"], expected, rtol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_temperature_of_the_best_logits_is_the_requested_one(temperature):
    found = StudentTerms({"topk_logit_loss": 1.0}, topk_temperature=temperature)(STUDENT, TEACHER, BATCH)
    logits = [map(oracles.squeezed_logits, outputs["predictions"]) for outputs in (STUDENT, TEACHER)]
    expected = [oracles.topk_logit_loss(*video, temperature) for video in zip(*logits)]
    np.testing.assert_allclose(found["student/topk_logit_loss"], expected, rtol=1e-4)


def test_all_terms_together_equal_their_oracles():
    found = StudentTerms(EVERY_TERM)(STUDENT, TEACHER, BATCH)
    for term in EVERY_TERM:
        np.testing.assert_allclose(found[f"student/{term}"], [_expected(term, video) for video in range(6)], rtol=1e-4)


class TwoTerms:
    """An objective whose terms are numbers of the student's outputs and of the labels."""

    weights = {"label_loss": 2.0, "other_loss": 0.25}

    def __call__(self, outputs, batch):
        return {"label_loss": outputs["predictions"][:, 0], "other_loss": batch["labels"][:, 1]}


def test_the_label_loss_weight_multiplies_every_term_of_the_objective(weight=3.0):
    terms = StudentTerms({"prediction_loss": 7.0, "label_loss": weight}, objective=TwoTerms())
    assert terms.loss_weights == {
        "student/prediction_loss": 7.0,
        "student/label_loss": 2 * weight,
        "student/other_loss": 0.25 * weight,
    }
    found = terms(STUDENT, TEACHER, BATCH)
    assert list(found) == list(terms.loss_weights)
    np.testing.assert_array_equal(found["student/label_loss"], STUDENT["predictions"][:, 0])
    np.testing.assert_array_equal(found["student/other_loss"], BATCH["labels"][:, 1])


def test_without_label_loss_the_objective_is_not_computed():
    terms = StudentTerms({"representation_loss": 1.0}, objective=TwoTerms())
    assert list(terms(STUDENT, TEACHER, BATCH)) == list(terms.loss_weights) == ["student/representation_loss"]


def test_an_unknown_term_is_refused():
    with pytest.raises(ValueError, match="^weights: 'rep_loss' is unknown; choose among representation_loss, "):
        StudentTerms({"rep_loss": 1.0})
