"""A teacher's outputs as stored numbers, and a student that learns from them instead of from the teacher."""

import keras
import numpy as np
import pytest

from tests import mixtures, tiny_training
from youtube8m_distill import schema
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes import targets
from youtube8m_distill.schemes.losses import DISTANCES
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.serial import SerialDistiller

DATA = tiny_training.videos()
TERMS = {"representation_loss": 1.5, "prediction_loss": 0.7, "label_loss": 1.2, "relation_loss": 0.8, "topk_logit_loss": 0.3}


def outputs(probabilities, encoding=((0.0,),)):
    predictions = np.array(probabilities, np.float32)
    return {"encoding": np.broadcast_to(np.float32(encoding), (len(predictions), 1)), "predictions": predictions}


def restored(found, num_classes, dtype="float16"):
    packed = targets.pack(found, dtype)
    return {name: value.numpy() for name, value in targets.unpack(packed, num_classes).items()}


# ---- the numbers


def test_a_stored_row_is_the_encoding_then_the_logits():
    found = targets.pack({"encoding": np.float32([[1.5, -2.25]]), "predictions": np.float32([[0.5, 0.25]])})
    assert found.dtype == "float16"
    np.testing.assert_allclose(found, [[1.5, -2.25, 0.0, -np.log(3)]], rtol=1e-3)


def test_the_logits_of_a_network_are_stored_unchanged():
    """Logits distinguish more than probabilities, which round to 1."""
    found = targets.pack({**outputs([[1.0, 1.0]]), "logits": np.array([[18.0, 21.0]], np.float32)})
    np.testing.assert_array_equal(found, [[0.0, 18.0, 21.0]])


def test_stored_probabilities_near_0_and_1_stay_precise(scale=8.0):
    p = 1 / (1 + np.exp(-scale * np.random.default_rng(0).normal(size=(1, 500)))).astype(np.float32)
    found = restored(outputs(p), 500)["predictions"]
    # Half a float16 step of a logit below 32 is at most 2^-7.
    np.testing.assert_allclose(found, p, rtol=2**-7, atol=1e-13)
    np.testing.assert_allclose(1 - found.astype(np.float64), 1 - p.astype(np.float64), rtol=2**-7, atol=2**-23)


def test_probabilities_0_and_1_are_finite_and_equal_for_every_loss():
    p, q = np.array([[0.0, 1.0, 1e-30]], np.float32), np.array([[0.3, 0.2, 0.1]], np.float32)
    packed = targets.pack(outputs(p))
    assert np.isfinite(packed).all()
    for distance in DISTANCES.values():
        np.testing.assert_allclose(distance(restored(outputs(p), 3)["predictions"], q), distance(p, q), rtol=1e-6)


@pytest.mark.parametrize("encoding, kept", [(65504.0, True), (65536.0, False), (np.nan, False)])
def test_an_encoding_out_of_range_is_stored_as_infinity(encoding, kept):
    assert np.isfinite(targets.pack(outputs([[0.5]], encoding))).all() == kept


def test_nan_predictions_are_stored_as_nan():
    assert not np.isfinite(targets.pack(outputs([[np.nan]]))).any(where=[[False, True]])


def test_bfloat16_encodings_are_stored_exactly():
    encoding = keras.ops.cast(np.random.default_rng(0).normal(size=(3, 40)), "bfloat16")
    found = targets.unpack(targets.pack({"encoding": encoding, "predictions": np.full((3, 2), 0.5, np.float32)}), 2)
    np.testing.assert_array_equal(found["encoding"], keras.ops.cast(encoding, "float32"))


def test_every_prediction_distance_agrees_to_the_stored_precision():
    random = np.random.default_rng(1)
    p, q = (1 / (1 + np.exp(-4 * random.normal(size=(3, 40)))).astype(np.float32) for _ in range(2))
    found = restored(outputs(p), 40)["predictions"]
    for distance in DISTANCES.values():
        np.testing.assert_allclose(distance(found, q), distance(p, q), rtol=2e-3)


# ---- a student that reads them


def make(weights, shape=None, dropout=0.0):
    """A student and its teacher: networks, or mixtures of `shape`."""
    build = tiny_training.network if shape is None else lambda role, dropout: mixtures.mixture(shape, role, dropout=dropout)
    return build("student", dropout=dropout), build("teacher", dropout=dropout), StudentTerms(weights)


def with_teacher(weights, shape=None, dropout=0.0):
    return SerialDistiller(*make(weights, shape, dropout))


def with_stored(weights, shape=None, dropout=0.0):
    student, _, terms = make(weights, shape, dropout)  # the same draws of initial weights as above
    return SerialDistiller(student, None, terms)


def stored_data(teacher, dtype):
    """The student's part of the videos, with the teacher's targets."""
    packed = targets.pack(teacher(DATA["teacher"], training=False), dtype)
    return {**tiny_training.flat(DATA, "student"), schema.TARGETS: packed.numpy()}


def trained_both_ways(dtypes=("float32",), weights=TERMS, shape=None, dropout=0.0, devices=None, steps=1):
    """The student's weights after some steps with its teacher, and with the teacher's targets of each dtype."""
    strategy, teacher, found = make_strategy(devices=devices), None, []
    for dtype in (None, *dtypes):
        make_scheme = with_teacher if dtype is None else with_stored
        scheme = tiny_training.compiled(lambda: make_scheme(weights, shape, dropout), strategy)
        before = tiny_training.weights(scheme)
        teacher = teacher or scheme.teacher
        tiny_training.step_eagerly(scheme, stored_data(teacher, dtype) if dtype else DATA, strategy, steps)
        assert any(tiny_training.differ(tiny_training.weights(scheme), before))
        found.append(tiny_training.weights(scheme))
    return found


def test_a_student_with_dropout_trains_the_same_with_stored_targets():
    """Equal in float32; in float16 equal to its precision, 2^-11. The student's dropout does not depend on the teacher."""
    expected, exact, rounded = trained_both_ways(("float32", "float16"), dropout=0.5, steps=2)
    tiny_training.assert_same_weights(exact, expected, 1e-6)
    tiny_training.assert_same_weights(rounded, expected, 5e-4)
    assert any(tiny_training.differ(rounded, exact))


def test_each_replica_reads_the_targets_of_its_own_videos():
    tiny_training.assert_same_weights(*reversed(trained_both_ways(devices=tiny_training.TWO_CPUS)), 1e-5)


def test_a_mixture_trains_the_same_with_stored_targets():
    weights = {"representation_loss": 1.0, "prediction_loss": 1.0}
    tiny_training.assert_same_weights(*reversed(trained_both_ways(weights=weights, shape=(2,))), 1e-5)


def test_matching_frame_states_needs_the_teacher_itself():
    with pytest.raises(ValueError, match="intermediate_representation_loss needs the teacher's frame states"):
        with_stored(tiny_training.ALL_TERMS)
