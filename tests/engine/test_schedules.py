import keras
import numpy as np
import pytest

from youtube8m_distill.engine.schedules import ExponentialDecayByExamples


@pytest.mark.parametrize("step, decays", [(9, 0), (10, 1), (105, 10)])
def test_the_rate_falls_in_steps_counted_in_examples(step, decays):
    schedule = ExponentialDecayByExamples(0.1, 0.8, decay_examples=1000, batch_size=100)
    np.testing.assert_allclose(schedule(step), 0.1 * 0.8**decays, rtol=1e-6)


def test_a_decay_may_fall_inside_a_batch():
    schedule = ExponentialDecayByExamples(1.0, 0.5, decay_examples=100, batch_size=30)
    np.testing.assert_allclose([schedule(step) for step in (3, 4, 6, 7)], [1.0, 0.5, 0.5, 0.25])


@pytest.mark.parametrize("step", [15_624, 15_625, 100_000_000])
def test_large_numbers_of_examples_are_counted_exactly(step):
    schedule = ExponentialDecayByExamples(1.0, 0.999999, decay_examples=4_000_000, batch_size=256)
    expected = np.float32(0.999999) ** np.float32(step * 256 // 4_000_000)
    np.testing.assert_allclose(schedule(np.int32(step)), expected, rtol=1e-6)


def test_the_rate_changes_at_the_right_step_past_two_billion_examples():
    # A float32 cannot hold 2**24 + 1, nor an int32 that many batches of 256 examples.
    schedule = ExponentialDecayByExamples(1.0, 0.5, decay_examples=(2**24 + 1) * 256, batch_size=256)
    np.testing.assert_allclose([schedule(np.int32(2**24 + i)) for i in range(3)], [1.0, 0.5, 0.5])


def test_a_decay_of_one_keeps_the_rate():
    assert float(ExponentialDecayByExamples(0.25, 1.0, 10, 10)(1000)) == 0.25


def test_the_schedule_survives_serialization():
    schedule = ExponentialDecayByExamples(0.3, 0.9, 70, 7)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert copy.get_config() == schedule.get_config()
    assert float(copy(33)) == float(schedule(33))
