"""Cells are trained once each, with their teachers, and scored on what no training has seen."""

import json

import pytest

from reproduce import settings as settings_module
from reproduce import worker as worker_module
from reproduce.cells import ALL_LOSSES, HRNN, SKYLINE, Cell
from reproduce.results import path_of, read_result, read_results, write_result
from reproduce.settings import Settings, run_folder
from reproduce.worker import Worker
from tests import commands
from tests.reproduce.made_up import made_up_result
from youtube8m_distill import config, runs
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics import Evaluator

STUDENT = Cell(HRNN, "serial", 4, ALL_LOSSES)
PARALLEL = Cell(HRNN, "parallel", 4, ("rep",))


@pytest.fixture
def worker(tmp_path, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    videos = commands.frame_videos(32)
    patterns = [
        commands.write_files(tmp_path / "data", name, part)
        for name, part in (("train", videos[:12]), ("validate", videos[12:20]), ("eval", videos[20:]))
    ]
    features = config.FeatureConfig(("rgb", "audio"), (6, 3))
    settings = Settings(
        *patterns,
        features,
        commands.NUM_CLASSES,
        {"lstm_cells": 4, "lstm_layers": 1},
        {"batch_size": 4, "num_epochs": 2, "base_learning_rate": 0.05},
    )
    shards = runs.find_shards("eval_data_pattern", patterns[2], features)
    lines = []
    found = Worker(tmp_path / "out", settings, make_strategy(), shards, {"machine": "this one"}, lines.append)
    found.lines = lines
    return found


@pytest.mark.slow
def test_a_student_brings_its_teacher_and_all_are_trained_once_and_kept_as_plain_files(worker, monkeypatch):
    assert worker.work([STUDENT, PARALLEL]) == {}
    results = read_results(worker.folder)
    assert {result.cell for result in results} == {STUDENT, STUDENT.teacher, PARALLEL}
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
    assert classes["num_positives"].sum() == 12  # one label a video
    assert not (run.folder / "checkpoints").exists() and (run.folder / "best").is_dir()
    assert (worker.folder / "targets" / STUDENT.teacher.name / "manifest.json").exists()
    before = path_of(worker.folder, STUDENT).read_bytes()
    monkeypatch.setattr(runs, "train_run", lambda *_: pytest.fail("trained again"))
    assert worker.work([STUDENT, PARALLEL]) == {}
    assert path_of(worker.folder, STUDENT).read_bytes() == before


@pytest.mark.slow
def test_a_cell_of_another_process_is_left_to_it(worker, monkeypatch):
    cells = [Cell(HRNN, "first", 2), Cell(HRNN, "last", 2)]
    held = runs.lock_run(run_folder(worker.folder, cells[0]))
    held.__enter__()
    sleeps = []

    def sleep(seconds):
        sleeps.append([path_of(worker.folder, cell).exists() for cell in cells])
        held.__exit__(None, None, None)

    monkeypatch.setattr(worker_module.time, "sleep", sleep)
    assert worker.work(cells) == {}
    assert sleeps == [[False, True]]  # the other cell was done meanwhile
    assert all(path_of(worker.folder, cell).exists() for cell in cells)
    assert [line for line in worker.lines if "Waiting" in line] == [
        f"Waiting for what other processes train: {cells[0].name}"
    ]


def test_a_student_whose_teachers_run_is_gone_is_left_out_with_what_to_do(worker):
    teacher = path_of(worker.folder, STUDENT.teacher)
    write_result(worker.folder, made_up_result(STUDENT.teacher), {"average_precision": [0.5], "num_positives": [1]})
    (failure,) = worker.work([STUDENT]).values()
    assert failure == f"its teacher's run is gone. Remove {teacher}, and the teacher is trained again."


def test_numbers_that_go_wrong_end_one_cell_and_its_students(worker, monkeypatch):
    train_run = runs.train_run

    def diverge(run, *arguments):
        if run.folder.name == Cell(HRNN, SKYLINE).name:
            raise FloatingPointError("step 3: the loss is nan")
        return train_run(run, *arguments)

    monkeypatch.setattr(runs, "train_run", diverge)
    others = Cell(HRNN, "first", 2)
    failures = worker.work([STUDENT, others])
    assert failures == {
        STUDENT.teacher: "step 3: the loss is nan",
        STUDENT: f"its teacher {STUDENT.teacher.name} could not be trained",
    }
    assert any("could not be trained: step 3: the loss is nan" in line for line in worker.lines)
    assert read_result(path_of(worker.folder, others)).cell == others
    assert not path_of(worker.folder, STUDENT).exists()
