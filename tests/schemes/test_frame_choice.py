"""The policy of a network that chooses its frames: terms against an oracle, gradients, and that it learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import networks, oracles, tiny_training
from youtube8m_distill import config
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.errors import SettingError
from youtube8m_distill.metrics.gap import GlobalAveragePrecision
from youtube8m_distill.metrics.ranking import ranking_from_top
from youtube8m_distill.schemes.frame_choice import REWARDS, FrameChoiceObjective, own_average_precision
from youtube8m_distill.schemes.objectives import LabelObjective
from youtube8m_distill.schemes.supervised import Supervised

RANDOM = np.random.default_rng(0)
COUNT, DECISIONS, CLASSES = 6, 3, 5
LABELS = RANDOM.integers(0, 2, (COUNT, CLASSES)).astype(np.uint8)
BATCH = {"labels": LABELS}


def made_up(random=RANDOM):
    """Outputs of a network with three decisions a video, and the oracle's form of the decisions."""
    logits = random.normal(size=(COUNT, DECISIONS, 4))
    actions, made = random.integers(0, 4, (COUNT, DECISIONS)), random.integers(0, 2, (COUNT, DECISIONS)).astype(bool)
    logs = np.array([[np.log(oracles.softmax(row)) for row in video] for video in logits])
    decisions = {
        "is_made": made,
        "log_probability": np.take_along_axis(logs, actions[:, :, None], axis=2)[:, :, 0].astype(np.float32),
        "entropy": -np.sum(np.exp(logs) * logs, axis=2).astype(np.float32),
        "baseline": random.normal(size=(COUNT, DECISIONS)).astype(np.float32),
        "predictions": random.uniform(0.05, 0.95, (COUNT, DECISIONS + 1, CLASSES)).astype(np.float32),
    }
    told = [list(zip(*video)) for video in zip(logs, actions, made)]
    outputs = {"predictions": decisions["predictions"][:, -1], "decisions": decisions}
    return tf.nest.map_structure(tf.constant, outputs), told


def rewards(outputs, reward):
    """What each decision of each video earns."""
    after = np.asarray(outputs["decisions"]["predictions"], np.float64)
    losses = np.array([[oracles.label_loss(labels, row) for row in video] for labels, video in zip(LABELS, after)])
    if reward == "immediate":
        return losses[:, :-1] - losses[:, 1:]
    final = -losses[:, -1]
    if reward == "gap":
        final = [average_precision(labels, video[-1]) for labels, video in zip(LABELS, after)]
    return np.repeat(np.array(final)[:, None], DECISIONS, axis=1)


def average_precision(labels, predictions):
    """Of one video, its classes ranked from the most confident."""
    hits = [labels[index] for index in np.argsort(-predictions, kind="stable")]
    found = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
    return sum(found) / max(sum(labels), 1)


@pytest.mark.parametrize("reward", REWARDS)
def test_the_terms_equal_the_oracle(reward):
    outputs, told = made_up()
    found = FrameChoiceObjective(reward)(outputs, BATCH)
    baselines = np.asarray(outputs["decisions"]["baseline"], np.float64)
    expected = np.array([oracles.reinforce(*video) for video in zip(rewards(outputs, reward), baselines, told)])
    for column, name in enumerate(("policy_loss", "baseline_loss", "entropy")):
        np.testing.assert_allclose(found[name], expected[:, column], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["label_loss"], LabelObjective()(outputs, BATCH)["label_loss"])


def test_the_entropy_is_maximized_and_left_out_at_weight_0():
    assert FrameChoiceObjective("gap", 0.2).weights["entropy"] == -0.2
    assert "entropy" not in FrameChoiceObjective("gap", 0.0).weights
    assert "entropy" not in FrameChoiceObjective("gap", 0.0)(made_up()[0], BATCH)


def test_an_unknown_reward_is_refused():
    with pytest.raises(SettingError, match="^reward=final: is unknown; choose one of delayed, immediate, gap"):
        FrameChoiceObjective("final")


def test_a_videos_average_precision_is_gap_of_that_video_alone():
    predictions = RANDOM.uniform(size=(8, 30)).astype(np.float32)
    labels = (RANDOM.uniform(size=(8, 30)) < 0.2).astype(np.uint8)
    labels[3] = 0
    found = own_average_precision(tf.constant(labels), tf.constant(predictions))
    for row in range(8):
        best = np.argsort(-predictions[row])[None, :20]
        gap = GlobalAveragePrecision()
        gap.update_state(ranking_from_top(labels[[row]], best, predictions[row][best]))
        np.testing.assert_allclose(found[row], gap.result(), rtol=1e-5, atol=1e-7)


def skip_frame(**settings):
    settings = {"skip_actions": "1-3", "skip_budget": 3, "lstm_cells": 4, **settings}
    network = networks.frame_level("SkipFrameModel", **settings)
    return networks.build(network, name="teacher")


def gradients(model, objective, names):
    """Gradient of the sum of some terms on the first videos, by path of the weight."""
    data = tiny_training.flat(tiny_training.videos())
    batch = tf.nest.map_structure(lambda values: tf.constant(values[:8]), data)
    with tf.GradientTape() as tape:
        terms = objective(model(batch["teacher"], training=True), batch)
        total = tf.add_n([tf.reduce_sum(terms[name]) for name in names])
    return dict(zip((v.path for v in model.trainable_variables), tape.gradient(total, model.trainable_variables)))


@pytest.mark.parametrize("reward", REWARDS)
def test_each_term_moves_only_its_own_weights(reward):
    model, objective = skip_frame(skip_reward=reward), FrameChoiceObjective(reward)
    for name, own in (("policy_loss", "policy"), ("entropy", "policy"), ("baseline_loss", "baseline")):
        for path, gradient in gradients(model, objective, [name]).items():
            assert (gradient is not None and np.any(gradient.numpy() != 0)) == (f"/{own}/" in path), (name, path)
    for path, gradient in gradients(model, objective, ["label_loss"]).items():
        assert (gradient is None) == ("/policy/" in path or "/baseline/" in path), path


def test_the_policys_gradient_is_that_of_reinforce():
    """d(-A log p(a)) / dW = -A s (onehot(a) - p), summed over the decisions."""
    logits, advantage, action = tf.constant([[0.3, -1.2, 0.8]]), 2.5, 1
    with tf.GradientTape() as tape:
        tape.watch(logits)
        logs = keras.ops.log_softmax(logits)
        decisions = {
            "is_made": tf.constant([[True]]),
            "log_probability": logs[:, action][:, None],
            "baseline": tf.constant([[-advantage]]),
        }
        outputs = {"predictions": tf.constant([[0.2, 0.7]]), "decisions": decisions}
        objective = FrameChoiceObjective("gap", 0.0)
        loss = objective(outputs, {"labels": tf.constant([[0, 0]])})["policy_loss"]  # without labels, the reward is 0
    expected = -advantage * (np.eye(3)[action] - oracles.softmax(logits.numpy()[0]))
    np.testing.assert_allclose(tape.gradient(loss, logits)[0], expected, rtol=1e-5)


def puzzle(count, seed):
    """Videos whose first frame says which later frame, 1 or 2, holds the label; the other one shows another class."""
    random = np.random.default_rng(seed)
    frames = np.full((count, 3, networks.NUM_CLASSES + 4), 128, np.uint8)
    where, label = random.integers(1, 3, count), random.integers(0, networks.NUM_CLASSES, count)
    rows = np.arange(count)
    frames[rows, 0, networks.NUM_CLASSES + where] = 255
    frames[rows, where, label] = 255
    frames[rows, 3 - where, random.integers(0, networks.NUM_CLASSES, count)] = 255
    view = {"frames": frames, "num_frames": np.full(count, 3, np.int32)}
    labels = np.eye(networks.NUM_CLASSES, dtype=np.uint8)[label]
    return view, labels, where


@pytest.mark.slow
@pytest.mark.parametrize("reward", REWARDS)
def test_the_policy_learns_to_read_the_frame_that_matters(reward):
    view, labels, where = puzzle(2048, 0)
    features = config.FeatureConfig(names=("rgb",), sizes=(networks.NUM_CLASSES + 4,))
    settings = {"lstm_cells": 16, "lstm_layers": 1, "skip_actions": "1-3", "skip_budget": 2, "skip_reward": reward}
    network = config.network_config("SkipFrameModel", networks.NUM_CLASSES, features, **settings)

    def make():
        return Supervised(networks.build(network, name="teacher"), objective=FrameChoiceObjective(reward))

    scheme = tiny_training.compiled(make, make_strategy(), lambda: keras.optimizers.Adam(0.01))
    data = {"teacher": view, "labels": labels, "epoch": np.zeros(2048, np.int32), "position": np.zeros([2048, 1], np.int64)}
    tiny_training.train(scheme, data, make_strategy(), 600, batch_size=64)
    view, _, where = puzzle(500, 1)
    chosen = np.asarray(scheme.networks["teacher"](view)["decisions"]["frame_indices"])[:, 1]
    assert np.mean(chosen == where) > 0.9
