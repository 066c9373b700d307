import contextlib
import types

import keras
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import tiny_training
from youtube8m_distill import display
from youtube8m_distill.engine import callbacks
from youtube8m_distill.engine.checkpoints import Checkpoints, read_progress
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.schemes.objectives import StudentTerms
from youtube8m_distill.schemes.parallel import ParallelDistiller
from youtube8m_distill.schemes.supervised import Supervised

STUDENT_GAP, TEACHER_GAP = "student/validation_gap_at_20", "teacher/validation_gap_at_20"


class FakeCheckpoints:
    """Records which steps are saved, and with what progress."""

    def __init__(self):
        self.saved, self.best = [], []

    def save(self, scheme, progress):
        self.saved.append((progress.step, progress.best_step))

    def save_best(self, scheme, progress):
        self.best.append((progress.step, progress.best_value))


class FakeScheme:
    """A scheme with finite weights, unless `diverged` is set."""

    networks = {}
    optimizer, auxiliary_variables = types.SimpleNamespace(variables=()), ()
    diverged = None
    averaged_weights = contextlib.nullcontext

    def first_divergence(self):
        return self.diverged


def drive(found, progress, steps, epoch_steps=(), logs=lambda step: {}, scheme=None):
    """Calls callbacks as the loop does: in order, with the same logs."""
    for callback in found:
        callback.set_model(scheme or FakeScheme())
        callback.on_train_begin()
    for _ in range(steps):
        progress.count_step()
        values = logs(progress.step)
        if progress.step in epoch_steps:
            progress.count_epoch()
        batch_logs, epoch_logs = dict(values), dict(values)
        for callback in found:
            callback.on_train_batch_end(progress.step, batch_logs)
        if progress.step in epoch_steps:
            for callback in found:
                callback.on_epoch_end(progress.epoch, epoch_logs)
    end_logs = {}
    for callback in found:
        callback.on_train_end(end_logs)


def _validation(progress, every_steps=None, values=None):
    steps = []

    def measure():
        steps.append(progress.step)
        return {"gap_at_20": values[progress.step] if values else 0.5, "loss": 3.0}

    return callbacks.Validation({"student": measure}, progress, every_steps), steps


@pytest.mark.parametrize(
    "every_steps, epoch_steps, steps, expected",
    [
        (None, (3,), 5, [3, 5]),  # also at the end, where no epoch ends
        (2, (3, 6), 6, [2, 3, 4, 6]),  # once at 6, where an epoch ends too
    ],
)
def test_validation_runs_every_n_steps_and_after_epochs_and_once_per_step(every_steps, epoch_steps, steps, expected):
    progress = Progress()
    validation, found = _validation(progress, every_steps)
    drive([validation], progress, steps, epoch_steps)
    assert found == expected


def test_validation_adds_the_metrics_of_each_network_to_the_logs():
    progress, logs = Progress(step=7), {"loss": 1.0}
    measures = {"student": lambda: {"gap_at_20": 0.25, "perr": 0.5}, "teacher": lambda: {"gap_at_20": 0.75, "perr": 0.6}}
    validation = callbacks.Validation(measures, progress)
    validation.set_model(FakeScheme())
    validation.on_epoch_end(1, logs)
    assert logs == {
        "loss": 1.0,
        STUDENT_GAP: 0.25,
        "student/validation_perr": 0.5,
        TEACHER_GAP: 0.75,
        "teacher/validation_perr": 0.6,
    }


def test_the_logs_of_an_epoch_hold_the_validation_of_its_last_step():
    progress, seen = Progress(), []

    class Reader(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(logs.get(STUDENT_GAP))

    validation, _ = _validation(progress, every_steps=2, values={2: 0.2, 4: 0.4})
    drive([validation, Reader()], progress, 4, (4,))
    assert seen == [0.4]


@pytest.mark.parametrize(
    "every_steps, epoch_steps, steps, expected",
    [(None, (3,), 5, [3, 5]), (2, (3, 6), 7, [2, 3, 4, 6, 7]), (5, (5,), 5, [5])],
)
def test_checkpoints_are_saved_every_n_steps_and_after_epochs_and_once_per_step(every_steps, epoch_steps, steps, expected):
    progress, checkpoints = Progress(), FakeCheckpoints()
    drive([callbacks.Checkpointing(checkpoints, progress, "student", every_steps)], progress, steps, epoch_steps)
    assert [step for step, _ in checkpoints.saved] == expected
    assert checkpoints.best == []  # without validation no state is known to be the best


def test_a_run_that_trains_no_step_saves_nothing():
    progress, checkpoints = Progress(step=5), FakeCheckpoints()
    drive([callbacks.Checkpointing(checkpoints, progress, "student")], progress, 0)
    assert checkpoints.saved == []


def test_the_best_checkpoint_has_the_highest_validation_gap_of_the_main_network():
    progress, checkpoints = Progress(), FakeCheckpoints()
    student, teacher = {1: 0.3, 2: 0.5, 3: 0.4, 4: 0.5, 5: 0.6}, {1: 0.9, 2: 0.8, 3: 0.99, 4: 0.7, 5: 0.6}
    drive(
        [callbacks.Checkpointing(checkpoints, progress, "student", every_steps=1)],
        progress,
        5,
        logs=lambda step: {STUDENT_GAP: student[step], TEACHER_GAP: teacher[step], "student/gap_at_20": 1.0},
    )
    assert checkpoints.best == [(1, 0.3), (2, 0.5), (5, 0.6)]  # an equal one later is not better
    assert checkpoints.saved == [(1, 1), (2, 2), (3, 2), (4, 2), (5, 5)]
    assert (progress.best_step, progress.best_value) == (5, 0.6)


def test_a_resumed_run_keeps_its_earlier_best_checkpoint():
    progress, checkpoints = Progress(step=10, best_step=4, best_value=0.7), FakeCheckpoints()
    saving = callbacks.Checkpointing(checkpoints, progress, "student")
    drive([saving], progress, 2, (12,), lambda step: {STUDENT_GAP: 0.6})
    assert checkpoints.best == [] and checkpoints.saved == [(12, 4)]


@pytest.mark.parametrize("epoch_steps", [(4,), ()], ids=["end of epoch", "end of run"])
def test_a_checkpoint_is_saved_again_if_its_step_turns_out_to_be_the_best(epoch_steps):
    progress, checkpoints = Progress(), FakeCheckpoints()
    validation, _ = _validation(progress)
    saving = callbacks.Checkpointing(checkpoints, progress, "student", every_steps=2)
    drive([validation, saving], progress, 4, epoch_steps)
    assert checkpoints.best == [(4, 0.5)]
    assert checkpoints.saved[-1] == (4, 4)


def test_a_run_leaves_its_newest_and_its_best_checkpoint(tmp_path):
    strategy, progress = make_strategy(), Progress()
    scheme = tiny_training.compiled(lambda: Supervised(tiny_training.network()), strategy)
    values = iter([0.5, 0.9, 0.1])
    found = [
        callbacks.Validation({"teacher": lambda: {"gap_at_20": next(values)}}, progress, every_steps=2),
        callbacks.Checkpointing(Checkpoints(tmp_path, max_to_keep=2), progress, "teacher", every_steps=1),
    ]
    with tiny_training.eagerly():
        tiny_training.train(scheme, tiny_training.flat(tiny_training.videos()), strategy, 5, found, progress)
    assert read_progress(tmp_path / "best").step == 4
    assert Checkpoints(tmp_path).steps() == [4, 5]
    assert Checkpoints(tmp_path).newest_progress() == progress
    assert (progress.best_step, progress.best_value) == (4, 0.9)


def _scalars(folder):
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [
            (event.step, pytest.approx(float(tf.make_ndarray(event.tensor_proto)), rel=1e-6))
            for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }


def test_teacher_and_student_write_the_same_tags_into_separate_runs(tmp_path):
    progress = Progress()
    logs = {
        "loss": 5.0,
        "learning_rate": 0.1,
        "teacher/label_loss": 1.0,
        "student/label_loss": 2.0,
        "student/prediction_loss": 3.0,
        "teacher/gap_at_20": 0.25,
        "student/gap_at_20": 0.5,
    }
    measures = {"student": lambda: {"gap_at_20": 0.6}, "teacher": lambda: {"gap_at_20": 0.7}}
    found = [
        callbacks.Validation(measures, progress),
        callbacks.TensorBoardScalars(tmp_path, ["student", "teacher"], "student", progress),
    ]
    drive(found, progress, 4, (2, 4), lambda step: logs if step == 2 else {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["student", "teacher"]
    assert _scalars(tmp_path / "teacher") == {
        "loss/label_loss": [(2, 1.0)],
        "train/gap_at_20": [(2, 0.25)],
        "validation/gap_at_20": [(2, 0.7), (4, 0.7)],
        "epoch/gap_at_20": [(1, 0.7), (2, 0.7)],
    }
    assert _scalars(tmp_path / "student") == {
        "loss/label_loss": [(2, 2.0)],
        "loss/prediction_loss": [(2, 3.0)],
        "train/gap_at_20": [(2, 0.5)],
        "loss/loss": [(2, 5.0)],
        "train/learning_rate": [(2, 0.1)],
        "validation/gap_at_20": [(2, 0.6), (4, 0.6)],
        "epoch/gap_at_20": [(1, 0.6), (2, 0.6)],
    }


def test_a_validation_is_written_once_per_step(tmp_path):
    progress = Progress()
    validation, _ = _validation(progress, every_steps=2)
    drive([validation, callbacks.TensorBoardScalars(tmp_path, ["student"], "student", progress)], progress, 4, (4,))
    assert _scalars(tmp_path / "student")["validation/gap_at_20"] == [(2, 0.5), (4, 0.5)]


def test_a_diverged_step_is_neither_validated_nor_saved():
    """It may diverge between two logs."""
    scheme, measured = FakeScheme(), []
    scheme.diverged = 3, {"loss": float("nan"), "student/label_loss": 0.5}
    for make in (
        lambda progress, checkpoints: callbacks.Validation({"student": lambda: measured.append(1)}, progress, 4),
        lambda progress, checkpoints: callbacks.Checkpointing(checkpoints, progress, "student", 4),
    ):
        progress, checkpoints = Progress(), FakeCheckpoints()
        with pytest.raises(FloatingPointError, match=r"diverged at step 3: loss is nan \(student/label_loss 0.5\)"):
            drive([make(progress, checkpoints)], progress, 4, scheme=scheme)
        assert (checkpoints.saved, checkpoints.best, measured) == ([], [], [])


def test_a_parallel_run_writes_the_terms_of_both_networks(tmp_path):
    def parallel():
        teacher = tiny_training.network("teacher")
        student = tiny_training.network("student", teacher.classifier)
        return ParallelDistiller(student, teacher, StudentTerms(tiny_training.ALL_TERMS))

    strategy, progress = make_strategy(), Progress()
    scheme = tiny_training.compiled(parallel, strategy)
    board = callbacks.TensorBoardScalars(tmp_path, list(scheme.networks), "student", progress)
    with tiny_training.eagerly():
        tiny_training.train(scheme, tiny_training.videos(), strategy, 2, [board], progress)
    teacher, student = _scalars(tmp_path / "teacher"), _scalars(tmp_path / "student")
    assert set(teacher) == {"loss/label_loss", "train/gap_at_20", "train/hit_at_one"}
    assert set(student) == set(teacher) | {f"loss/{term}" for term in tiny_training.ALL_TERMS} | {
        "loss/loss",
        "loss/regularization_loss",
        "train/learning_rate",
        "train/examples_per_second",
    }


LOGS = {
    "loss": 12.346,
    "examples_per_second": 250.0,
    "student/hit_at_one": 0.5,
    "student/gap_at_20": 0.25,
    "teacher/hit_at_one": 0.9,
    "teacher/gap_at_20": 0.95,
}


def test_progress_is_shown_as_plain_lines_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(display, "LINE_SECONDS", 0.0)
    progress = Progress(step=100, stage_step=10, epoch=4)
    shown = callbacks.ProgressDisplay("run, serial", 13, "student", progress)
    logs = {101: {}, 102: LOGS, 103: {STUDENT_GAP: 0.4321}}
    drive([shown], progress, 3, (103,), logs.get)
    text = capsys.readouterr().err
    lines = text.splitlines()
    assert [line.split(" steps,")[0] for line in lines[:3]] == [f"run, serial: {count}/13" for count in (11, 12, 13)]
    note = "Loss: 12.35 Examples/sec: 250 | Hit@1: 0.500 GAP: 0.250"
    assert note not in lines[0] and lines[1].endswith(note) and lines[2].endswith(note)
    assert lines[3] == "run, serial: epoch 5 ends at step 103. Validation: gap_at_20 0.4321"
    assert len(lines) == 4  # the last count has been printed already
    assert "\r" not in text and "\x1b" not in text


def test_validation_of_two_networks_is_shown_with_their_roles(capsys):
    shown = callbacks.ProgressDisplay("run", None, "student", Progress(step=7))
    shown.on_train_begin()
    shown.on_epoch_end(2, {STUDENT_GAP: 0.25, STUDENT_GAP.replace("student", "teacher"): 0.5})
    assert "Validation: student gap_at_20 0.2500, teacher gap_at_20 0.5000" in capsys.readouterr().err


def test_the_end_of_an_epoch_is_shown_without_validation(capsys):
    progress = Progress()
    drive([callbacks.ProgressDisplay("run", None, "student", progress)], progress, 2, (2,))
    assert capsys.readouterr().err.splitlines()[0] == "run: epoch 1 ends at step 2."


def test_a_checkpoint_is_saved_when_enough_time_has_passed(monkeypatch):
    # At the start; steps 1 and 2, and the save; steps 3 and 4, and the save; step 5.
    clock = iter([0.0, 100.0, 301.0, 301.0, 400.0, 700.0, 700.0])
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(clock, 800.0))
    progress, checkpoints = Progress(), FakeCheckpoints()
    drive([callbacks.Checkpointing(checkpoints, progress, "student", every_minutes=5)], progress, 5)
    assert [step for step, _ in checkpoints.saved] == [2, 4, 5]
