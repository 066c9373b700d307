"""The teacher's targets in parallel training hold no dropout, although the teacher itself trains with it."""

import keras
import numpy as np
import pytest

from youtube8m_distill import config, schema
from youtube8m_distill.families.build import build_model
from youtube8m_distill.schemes import losses
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller


def test_a_parallel_student_matches_predictions_without_dropout():
    found, student, teacher = losses_of({"prediction_loss": 1.0}, "MoeModel")
    expected = losses.prediction_loss(student["predictions"], teacher["predictions"])
    np.testing.assert_allclose(found["student/prediction_loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("classifier", ["MoeModel", "LogisticModel"])
def test_a_parallel_student_matches_best_logits_without_dropout(classifier):
    found, student, teacher = losses_of({"topk_logit_loss": 1.0}, classifier)
    assert ("logits" in teacher) == (classifier == "LogisticModel")
    np.testing.assert_allclose(found["student/topk_logit_loss"], losses.topk_logit_loss(student, teacher), rtol=1e-4)


def losses_of(weights, classifier):
    """Losses of a batch in training, and the outputs of both networks for it without dropout."""
    frames = config.FrameView(frame_selection="uniform", frames_per_video=4)
    network = config.network_config(
        num_classes=5,
        lstm_cells=4,
        features=config.FeatureConfig(sizes=(6, 3)),
        view=frames,
        classifier=classifier,
        dropout=0.0,
    )
    student = build_model(network)
    teacher = build_model(network.replace(dropout=0.9))
    random = np.random.default_rng(0)
    kernel = (teacher.classifier.experts if classifier == "MoeModel" else teacher.classifier.logits).kernel
    kernel.assign(random.normal(size=kernel.shape) * 9)
    view = {
        "frames": random.integers(0, 256, (3, 4, 9), dtype=np.uint8),
        "num_frames": np.full(3, 4, np.int32),
        "frame_indices": np.tile(np.arange(4, dtype=np.int32), (3, 1)),
    }
    batch = {schema.TEACHER: view, schema.STUDENT: view, schema.LABELS: np.eye(3, 5, dtype=np.uint8)}
    keras.utils.set_random_seed(0)
    found, predictions = ParallelDistiller(student, teacher, StudentTerms(weights)).compute_losses(batch, training=True)
    clean = teacher(view)
    assert np.abs(np.asarray(predictions[schema.TEACHER]) - np.asarray(clean["predictions"])).max() > 0.01  # dropout was on
    return found, student(view), clean
