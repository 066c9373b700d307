import keras
import numpy as np
import pytest

from tests import oracles, tiny_training
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes.losses import label_loss
from youtube8m_distill.schemes.supervised import Supervised

DATA = tiny_training.videos(8)


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_label_loss_and_predictions_are_named_by_role(role):
    scheme = Supervised(tiny_training.network(), role)
    losses, predictions = scheme.compute_losses(DATA, training=False)
    expected = [oracles.label_loss(*pair) for pair in zip(DATA["labels"], predictions[role].numpy())]
    assert list(losses) == [f"{role}/label_loss"] and list(predictions) == [role]
    np.testing.assert_allclose(losses[f"{role}/label_loss"], expected, rtol=1e-5)
    assert scheme.main_role == role


def test_dropout_is_active_in_training_only():
    scheme = Supervised(tiny_training.network(dropout=0.5))
    quiet = [scheme.compute_losses(DATA, training=False)[0]["teacher/label_loss"].numpy() for _ in range(2)]
    dropped = [scheme.compute_losses(DATA, training=True)[0]["teacher/label_loss"].numpy() for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    assert np.abs(dropped[0] - quiet[0]).max() > 1e-3 and np.abs(dropped[0] - dropped[1]).max() > 1e-3


@pytest.mark.slow
def test_training_lowers_the_label_loss_of_a_hierarchical_rnn():
    strategy = make_strategy()
    scheme = tiny_training.compiled(lambda: Supervised(tiny_training.hierarchical_rnn(), clip_gradient_norm=0), strategy)
    before = scheme.compute_losses(DATA, training=False)[0]["teacher/label_loss"].numpy().mean()
    tiny_training.train(scheme, DATA, strategy, 30)
    assert scheme.compute_losses(DATA, training=False)[0]["teacher/label_loss"].numpy().mean() < before - 0.1


class TwoTerms:
    """An objective with two different terms."""

    weights = {"label_loss": 2.0, "certainty_loss": 0.5}

    def __call__(self, outputs, batch):
        return {
            "label_loss": label_loss(batch["labels"], outputs["predictions"]),
            "certainty_loss": keras.ops.sum(outputs["logits"] ** 2, axis=-1),
        }


def test_another_objective_has_its_own_terms_and_weights(role="student"):
    scheme = Supervised(tiny_training.network(role), role, TwoTerms())
    losses, predictions = scheme.compute_losses(DATA, training=False)
    assert scheme.loss_weights == {f"{role}/label_loss": 2.0, f"{role}/certainty_loss": 0.5}
    assert list(losses) == list(scheme.loss_weights)
    p = predictions[role].numpy()
    np.testing.assert_allclose(losses[f"{role}/certainty_loss"], np.sum(np.log(p / (1 - p)) ** 2, axis=1), rtol=1e-3)
    scheme.compile()
    logs = scheme.test_step(DATA)
    expected = 2 * logs[f"{role}/label_loss"] + 0.5 * logs[f"{role}/certainty_loss"] + logs["regularization_loss"]
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)
