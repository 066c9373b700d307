"""The teacher's targets in parallel training hold no dropout, although the teacher itself trains with it."""

import keras
import numpy as np

from youtube8m_distill import config, schema
from youtube8m_distill.families.build import build_model
from youtube8m_distill.schemes.losses import prediction_loss
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller


def test_a_parallel_student_matches_predictions_without_dropout():
    frames = config.FrameView(frame_selection="uniform", frames_per_video=4)
    network = config.network_config(
        num_classes=5, lstm_cells=4, features=config.FeatureConfig(sizes=(6, 3)), view=frames, dropout=0.0
    )
    student = build_model(network)
    teacher = build_model(network.replace(dropout=0.9))
    random = np.random.default_rng(0)
    teacher.classifier.experts.kernel.assign(random.normal(size=teacher.classifier.experts.kernel.shape) * 9)
    view = {
        "frames": random.integers(0, 256, (3, 4, 9), dtype=np.uint8),
        "num_frames": np.full(3, 4, np.int32),
        "frame_indices": np.tile(np.arange(4, dtype=np.int32), (3, 1)),
    }
    batch = {schema.TEACHER: view, schema.STUDENT: view, schema.LABELS: np.eye(3, 5, dtype=np.uint8)}
    keras.utils.set_random_seed(0)
    losses, predictions = ParallelDistiller(student, teacher, StudentTerms({"prediction_loss": 1.0})).compute_losses(
        batch, training=True
    )
    clean = teacher(view)["predictions"]
    assert np.abs(np.asarray(predictions[schema.TEACHER]) - np.asarray(clean)).max() > 0.01  # dropout was on
    np.testing.assert_allclose(
        losses["student/prediction_loss"], prediction_loss(student(view)["predictions"], clean), rtol=1e-5
    )
