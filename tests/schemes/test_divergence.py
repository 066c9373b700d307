"""Training that diverges: the error names the step and the terms, and nothing of the bad step is saved."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests import tiny_training
from youtube8m_distill.engine.callbacks import Checkpointing, Validation
from youtube8m_distill.engine.checkpoints import Checkpoints
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes.divergence import refuse_bad_numbers, refuse_divergence
from youtube8m_distill.schemes.scheme import TrainingScheme
from youtube8m_distill.schemes.supervised import Supervised

WEIGHTS = {"student/a_loss": 2.0, "student/b_loss": 0.5}


class Planted(TrainingScheme):
    """A scheme whose loss terms are numbers in the batch, plus a little that depends on the classifier."""

    def __init__(self, **options):
        super().__init__({"student": tiny_training.network("student")}, WEIGHTS, **options)

    def loss_names(self):
        return [*WEIGHTS, "student/reported_loss"]

    def compute_losses(self, batch, training):
        predictions = self.networks["student"](batch["student"], training=training)["predictions"]
        moving = ops.mean(predictions, axis=-1) * 1e-6
        return {f"student/{name}": batch[name] + moving for name in ("a_loss", "b_loss", "reported_loss")}, {
            "student": predictions
        }


def batch_of(a=1.0, b=1.0, reported=1.0, video=7):
    """8 videos; the arguments are the numbers of one of them."""
    found = tiny_training.videos(8)
    for name, value in (("a_loss", a), ("b_loss", b), ("reported_loss", reported)):
        found[name] = np.ones(8, np.float32)
        found[name][video] = value
    return found


def train_on(devices, batches, make_scheme=Planted, before=lambda scheme: None):
    """A scheme after a step on each batch, on one or two devices. The last video belongs to the last device."""
    strategy = make_strategy(devices=devices)
    scheme = tiny_training.compiled(make_scheme, strategy)
    before(scheme)
    whole = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
    for batch in strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(whole).batch(8)):
        strategy.run(scheme.train_step, (batch,))  # eager: compiling takes longer than a few small steps
    return scheme


@pytest.mark.parametrize(
    "devices, term, value", [(None, "a", math.nan), (None, "b", -math.inf), (tiny_training.TWO_CPUS, "b", math.inf)]
)
def test_the_first_step_that_is_not_finite_is_reported_with_its_terms(devices, term, value):
    fine, bad, worse = batch_of(), batch_of(**{term: value}), batch_of(a=math.nan, b=math.nan)
    scheme = train_on(devices, [fine, bad, worse])
    step, values = scheme.first_divergence()
    assert step == 2
    assert list(values) == ["loss", "student/a_loss", "student/b_loss", "regularization_loss", "gradient_norm"]
    other = {"a": "b", "b": "a"}[term]
    expected = {f"student/{term}_loss": value, "loss": value, f"student/{other}_loss": 1.0}
    assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-5, nan_ok=True)
    penalty = values["regularization_loss"]
    assert 0 < penalty < 1e-6


def test_finite_terms_and_terms_that_are_only_logged_do_not_stop_training():
    scheme = train_on(None, [batch_of(), batch_of(reported=math.nan), batch_of(a=1e30)])
    assert scheme.first_divergence() is None
    refuse_divergence(scheme)
    refuse_bad_numbers(scheme, 3)


def test_an_infinite_sum_of_finite_terms_counts_as_divergence():
    step, values = train_on(None, [batch_of(), batch_of(a=2e38, b=1.0)]).first_divergence()
    assert step == 2 and values["loss"] == math.inf and values["student/a_loss"] == pytest.approx(2.5e37)


def test_a_regularization_loss_that_is_not_finite_is_reported_separately():
    def grow(scheme):
        scheme.networks["student"].classifiers[0].weights[0].assign(tf.fill([4, 5], 1e25))

    step, values = train_on(None, [batch_of()], before=grow).first_divergence()
    assert step == 1 and values["regularization_loss"] == math.inf and math.isfinite(values["student/a_loss"])


class Steep(Supervised):
    """A finite loss whose gradient is not: the square root at 0."""

    def compute_losses(self, batch, training):
        losses, predictions = super().compute_losses(batch, training)
        steep = ops.sqrt(losses["teacher/label_loss"] * ops.cast(batch["epoch"], "float32"))
        return {"teacher/label_loss": steep}, predictions


@pytest.mark.parametrize("devices, clip", [(None, 0.0), pytest.param(tiny_training.TWO_CPUS, 1.0, marks=pytest.mark.slow)])
def test_a_gradient_that_is_not_finite_counts_as_divergence(devices, clip):
    def steps(*epochs):
        return [{**batch_of(), "epoch": np.full(8, epoch, np.int32)} for epoch in epochs]

    scheme = train_on(devices, steps(1, 0), lambda: Steep(tiny_training.network(), clip_gradient_norm=clip))
    step, values = scheme.first_divergence()
    assert step == 2 and values["loss"] == pytest.approx(values["regularization_loss"])
    assert not math.isfinite(values["gradient_norm"])


def test_the_reported_norm_covers_all_variables_before_clipping():
    scheme = tiny_training.compiled(lambda: Supervised(tiny_training.network(), regularization_penalty=0.0), make_strategy())
    batch = batch_of()
    with tf.GradientTape() as tape:
        losses, _ = scheme.compute_losses(batch, training=True)
        loss = tf.reduce_mean(losses["teacher/label_loss"])
    expected = np.concatenate([gradient.numpy().ravel() for gradient in tape.gradient(loss, scheme.trainable_variables)])
    scheme.train_step(batch)
    found = dict(zip(scheme.divergence.names, scheme.divergence._values.numpy()))
    assert found["gradient_norm"] == pytest.approx(np.linalg.norm(expected), rel=1e-5)


def test_a_resumed_training_reports_the_step_of_the_whole_run():
    scheme = train_on(None, [batch_of(), batch_of(a=math.nan)], before=lambda scheme: scheme.divergence.count_from(40))
    assert scheme.first_divergence()[0] == 42
    words = (
        r"diverged at step 42: loss is nan, student/a_loss is nan \(student/b_loss 1, regularization_loss \S+, "
        r"gradient_norm \S+\)\. Try a smaller base_learning_rate"
    )
    with pytest.raises(FloatingPointError, match=words):
        refuse_divergence(scheme)


@pytest.mark.parametrize("where, number", [("weight", math.nan), ("slot", math.inf)])
def test_variables_that_are_not_finite_are_named_in_the_error(where, number):
    scheme = tiny_training.compiled(lambda: Supervised(tiny_training.network()), make_strategy(), keras.optimizers.Adam)
    variable = {"weight": scheme.networks["teacher"].weights[0], "slot": scheme.optimizer.variables[-1]}[where]
    refuse_bad_numbers(scheme, 5)
    value = variable.numpy()
    value.flat[-1] = number
    variable.assign(value)
    with pytest.raises(FloatingPointError, match=f"diverged at step 5: .* not finite in {variable.path}. Try a"):
        refuse_bad_numbers(scheme, 5)


@pytest.mark.parametrize("settings, number", [({"checkpoint_steps": 1, "validation_steps": 1}, math.nan), ({}, math.inf)])
def test_nothing_of_a_diverged_step_is_saved_or_validated(tmp_path, settings, number):
    """A label of step 4 of 10 is not finite; step 10 is logged, saving and validation happen before."""
    data = tiny_training.flat(tiny_training.videos(80))
    data["labels"] = data["labels"].astype(np.float32)
    data["labels"][3 * 8 + 5, 2] = number
    checkpoints, progress, strategy = Checkpoints(tmp_path, max_to_keep=100), Progress(), make_strategy()
    scheme = tiny_training.compiled(lambda: Supervised(tiny_training.network()), strategy)
    validated = []
    callbacks = [
        Validation(
            {"teacher": lambda: {"gap_at_20": validated.append(progress.step) or progress.step}},
            progress,
            settings.get("validation_steps"),
        ),
        Checkpointing(checkpoints, progress, "teacher", settings.get("checkpoint_steps")),
    ]
    with pytest.raises(FloatingPointError, match="diverged at step 4: "):
        tiny_training.train(scheme, data, strategy, 10, callbacks, progress)
    assert checkpoints.steps() == (list(range(1, 4)) if "checkpoint_steps" in settings else [])
    assert validated == (list(range(1, 4)) if "validation_steps" in settings else [])
    assert (tmp_path / "best").exists() == ("validation_steps" in settings)
