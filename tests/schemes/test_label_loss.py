import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst

from tests import oracles
from youtube8m_distill.schemes.losses import label_loss


def test_label_loss_of_one_video_equals_a_hand_computed_value():
    # -(log 0.50001 + log 0.50001 + log 0.75001): the second and third class are absent.
    value = label_loss(np.array([[1, 0, 0]]), np.array([[0.5, 0.5, 0.25]], np.float32))
    np.testing.assert_allclose(value, [0.69312718 + 0.69312718 + 0.28766874], rtol=1e-6)


def test_label_loss_sums_over_classes_but_not_over_videos():
    one = label_loss(np.array([[1]]), np.array([[0.5]], np.float32))
    many = label_loss(np.ones((3, 1000)), np.full((3, 1000), 0.5, np.float32))
    np.testing.assert_allclose(many, np.repeat(1000 * np.asarray(one), 3), rtol=1e-5)


@pytest.mark.parametrize("label, prediction", [(1, 0.0), (0, 1.0)])
def test_a_confident_mistake_costs_minus_log_epsilon(label, prediction):
    np.testing.assert_allclose(
        label_loss(np.array([[label]]), np.array([[prediction]], np.float32)), [11.5129255], rtol=1e-3
    )


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.float32])
def test_label_loss_accepts_labels_of_any_dtype(dtype):
    labels, predictions = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.3, 0.4]], np.float32)
    expected = [oracles.label_loss(*pair) for pair in zip(labels, predictions)]
    np.testing.assert_allclose(label_loss(labels.astype(dtype), predictions), expected, rtol=1e-5)


@settings(max_examples=10, deadline=None)
@given(
    nst.arrays(np.uint8, (2, 4), elements=st.integers(0, 1)),
    nst.arrays(np.float32, (2, 4), elements=st.floats(0, 1, width=32)),
)
def test_label_loss_equals_the_oracle(labels, predictions):
    expected = [oracles.label_loss(*pair) for pair in zip(labels, predictions.astype(np.float64))]
    np.testing.assert_allclose(label_loss(labels, predictions), expected, rtol=1e-2, atol=1e-5)
