"""Trials are trained once, with their teachers, and scored on held-out videos."""

import json
import logging

import pytest

from reproduce import settings as settings_module
from reproduce import worker as worker_module
from reproduce.results import path_of, read_results, write_result
from reproduce.settings import ExperimentSettings, run_folder
from reproduce.trials import ALL_LOSSES, HRNN, Trial
from reproduce.worker import Worker
from tests import commands
from tests.reproduce.made_up import made_up_result
from youtube8m_distill import config, runs
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics.evaluate import Evaluator

STUDENT = Trial(HRNN, "serial", 4, ALL_LOSSES)
PARALLEL = Trial(HRNN, "parallel", 4, ("rep",))


@pytest.fixture
def worker(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("reproduce"), "propagate", True)
    caplog.set_level(logging.INFO)
    commands.use_quick_encoder(monkeypatch)
    videos = commands.frame_videos(32)
    patterns = [
        commands.write_files(tmp_path / "data", name, part)
        for name, part in (("train", videos[:12]), ("validate", videos[12:20]), ("eval", videos[20:]))
    ]
    features = config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3))
    settings = ExperimentSettings(
        train_data_pattern=patterns[0],
        validation_data_pattern=patterns[1],
        eval_data_pattern=patterns[2],
        features=features,
        num_classes=commands.NUM_CLASSES,
        network={"lstm_cells": 4, "lstm_layers": 1},
        training={"batch_size": 4, "num_epochs": 2, "base_learning_rate": 0.05},
    )
    shards = runs.find_shards("eval_data_pattern", patterns[2], features)
    return Worker(tmp_path / "out", settings, make_strategy(), shards, {"machine": "this one"})


@pytest.mark.slow
def test_a_student_is_trained_after_its_teacher_and_each_only_once(worker, monkeypatch):
    assert worker.work([STUDENT, PARALLEL]) == {}
    results = read_results(worker.folder)
    assert {result.trial for result in results} == {STUDENT, STUDENT.teacher, PARALLEL}
    assert {role for role in results.get(PARALLEL).networks} == {"teacher", "student"}
    result = results.get(STUDENT)
    run = runs.open_run(run_folder(worker.folder, STUDENT))
    loaded = runs.LoadedNetwork(run, worker.strategy)
    measures = loaded.evaluate(worker.eval_shards, None, Evaluator(commands.NUM_CLASSES))
    assert measures.items() <= result.networks["student"].items() and measures["num_videos"] == 12
    assert result.networks["student"]["multiply_adds"] == loaded.network.multiply_adds(4)
    assert [point["epoch"] for point in result.history["student"]] == [1, 2]
    assert max(point["gap_at_20"] for point in result.history["student"]) == pytest.approx(loaded.progress.best_value)
    assert result.config == json.loads(config.to_json(run.config)) and result.about["machine"] == "this one"
    assert result.command == settings_module.command(STUDENT, worker.settings, worker.folder)
    classes = results.classes(STUDENT)
    assert list(classes) == ["class", "num_positives", "average_precision"] and len(classes) == commands.NUM_CLASSES
    assert classes["num_positives"].sum() == 12  # one label per video
    assert not (run.folder / "checkpoints").exists() and (run.folder / "best").is_dir()
    assert (worker.folder / "targets" / STUDENT.teacher.name / "manifest.json").exists()
    before = path_of(worker.folder, STUDENT).read_bytes()
    monkeypatch.setattr(runs, "train_run", lambda *_: pytest.fail("trained again"))
    assert worker.work([STUDENT, PARALLEL]) == {}
    assert path_of(worker.folder, STUDENT).read_bytes() == before


@pytest.mark.slow
def test_a_trial_of_another_process_is_skipped_meanwhile(worker, monkeypatch, caplog):
    trials = [Trial(HRNN, "first", 2), Trial(HRNN, "last", 2)]
    held = runs.lock_run(run_folder(worker.folder, trials[0]))
    held.__enter__()
    sleeps = []

    def sleep(seconds):
        sleeps.append([path_of(worker.folder, trial).exists() for trial in trials])
        held.__exit__(None, None, None)

    monkeypatch.setattr(worker_module.time, "sleep", sleep)
    assert worker.work(trials) == {}
    assert sleeps == [[False, True]]  # the other trial was trained first
    assert all(path_of(worker.folder, trial).exists() for trial in trials)
    assert caplog.messages.count(f"Waiting for trials of other processes: {trials[0].name}") == 1


def test_a_student_whose_teachers_run_is_missing_fails_with_a_remedy(worker):
    teacher = path_of(worker.folder, STUDENT.teacher)
    write_result(worker.folder, made_up_result(STUDENT.teacher), {"average_precision": [0.5], "num_positives": [1]})
    (failure,) = worker.work([STUDENT]).values()
    name = STUDENT.teacher.name
    assert failure == f"the run of {name}, which it needs, is missing. Remove {teacher} to train it again."


def test_a_trial_that_diverges_fails_with_its_students_and_others_continue(worker, monkeypatch, caplog):
    def diverge(trial, _):
        if trial == STUDENT.teacher:
            raise FloatingPointError("step 3: the loss is nan")
        write_result(worker.folder, made_up_result(trial), {"average_precision": [0.5], "num_positives": [1]})

    monkeypatch.setattr(worker, "_train_and_evaluate", diverge)
    other = Trial(HRNN, "first", 2)
    failures = worker.work([STUDENT, other])
    assert failures == {
        STUDENT.teacher: "step 3: the loss is nan",
        STUDENT: f"{STUDENT.teacher.name}, which it needs, could not be trained",
    }
    assert any("could not be trained: step 3: the loss is nan" in line for line in caplog.messages)
    assert path_of(worker.folder, other).exists()
    assert not path_of(worker.folder, STUDENT).exists()
