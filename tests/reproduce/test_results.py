import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from reproduce.cells import HRNN, SKYLINE, Cell
from reproduce.grid import Grid
from reproduce.results import (
    Results,
    path_of,
    read_class_names,
    read_result,
    read_results,
    write_class_names,
    write_result,
    write_versioned,
)
from tests.reproduce.made_up import made_up_result, made_up_results

CELL = Cell(HRNN, "serial", 10, ("rep", "ce"), match_intermediate=True, train_fraction=0.25, seed=2)
CLASSES = {"average_precision": np.array([0.5, np.nan]), "num_positives": np.array([3, 0])}


def test_a_result_comes_back_as_it_was_written(tmp_path):
    result = made_up_result(CELL)
    write_result(tmp_path, result, CLASSES)
    assert read_result(path_of(tmp_path, CELL)) == result
    found = read_results(tmp_path)
    assert list(found) == [result] and found.get(CELL) == result
    assert found.classes(CELL)["num_positives"].tolist() == [3, 0]


def test_seeds_of_a_cell_come_together_and_in_order():
    results = made_up_results(Grid(ks=(6,), seeds=3))
    found = results.seeds(Cell(HRNN, SKYLINE, seed=1))
    assert [result.cell for result in found] == [Cell(HRNN, SKYLINE, seed=seed) for seed in range(3)]
    assert results.scores(Cell(HRNN, SKYLINE)) == [result.networks["teacher"]["gap_at_20"] for result in found]
    assert results.scores(Cell(HRNN, "uniform", 7)) == []


def test_of_a_parallel_run_the_student_counts_unless_the_teacher_is_asked_for():
    result = made_up_result(Cell(HRNN, "parallel", 10, ("rep",)))
    result.networks["teacher"]["gap_at_20"] = 0.9
    assert result.score() == result.networks["student"]["gap_at_20"] != 0.9
    assert result.score(role="teacher") == 0.9


@pytest.mark.parametrize(
    "change, words",
    [
        ({"format": 2}, "format 2; this version reads format 1"),
        ({"format": None}, "has format None"),
        ({"cell": {"family": HRNN}}, "is not a result of ours"),
        ({"extra": 1}, "is not a result of ours"),
        ({"cell": {**vars(CELL), "method": "magic"}}, "is not a result of ours"),
        (
            {"networks": {"student": {"gap_at_20": 0.5, "num_videos": 3}}},
            "lacks mean_average.*, multiply_adds of its student",
        ),
        ({"networks": []}, "is not a result of ours"),
        ({"networks": {}}, "is not a result of ours"),
    ],
)
def test_what_is_no_result_is_refused_by_name(tmp_path, change, words):
    write_result(tmp_path, made_up_result(CELL), CLASSES)
    path = path_of(tmp_path, CELL)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=words) as error:
        read_results(tmp_path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "no JSON", "{}"])
def test_a_file_of_something_else_is_refused_by_name(tmp_path, text):
    path = path_of(tmp_path, CELL)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError, match="cannot be read as a result") as error:
        read_results(tmp_path)
    assert str(path) in str(error.value)


def test_class_names_stay_with_the_results(tmp_path):
    assert read_class_names(tmp_path / "results") == {}
    write_class_names(tmp_path, pd.Series({0: "Game", 2: "Concert, live", 3: None}))
    assert read_class_names(tmp_path / "results") == {0: "Game", 2: "Concert, live"}


def with_settings(result, settings):
    return dataclasses.replace(result, about={**result.about, "settings": settings})


def test_results_of_different_settings_are_not_read_together(tmp_path):
    write_result(tmp_path, with_settings(made_up_result(CELL), "one"), CLASSES)
    write_result(tmp_path, with_settings(made_up_result(CELL.with_seed(3)), "one"), CLASSES)
    assert len(read_results(tmp_path)) == 2
    write_result(tmp_path, with_settings(made_up_result(CELL.with_seed(4)), "another"), CLASSES)
    with pytest.raises(ValueError, match="results of different settings or data, among them .*seed3.json and .*seed4.json"):
        read_results(tmp_path)


def test_results_of_other_settings_than_those_asked_for_are_refused(tmp_path):
    write_result(tmp_path, with_settings(made_up_result(CELL), "one"), CLASSES)
    assert len(read_results(tmp_path, "one")) == 1
    with pytest.raises(ValueError, match="output_dir=.* holds results of other settings or data, among them .*seed2.json"):
        read_results(tmp_path, "another")
    assert len(read_results(tmp_path / "empty", "another")) == 0


@pytest.mark.parametrize("name", ["timing/HierarchicalLstmModel", "encodings/a-cell"])
def test_what_was_measured_with_other_settings_is_refused_too(tmp_path, name):
    write_result(tmp_path, with_settings(made_up_result(CELL), "one"), CLASSES)
    write_versioned(tmp_path / "results" / f"{name}.json", {"settings": "another"})
    with pytest.raises(ValueError, match=f"different settings or data, among them .*{name.split('/')[1]}"):
        read_results(tmp_path)


def test_the_scatter_of_speed_is_that_of_the_network_that_scatters_most():
    networks = [
        {"k": 6, "videos_per_second": [20, 30]},
        {"k": None, "videos_per_second": [10, 5, 20]},
        {"k": 10, "videos_per_second": []},
    ]
    assert Results(timings={HRNN: {"networks": networks}}).speed_scatter(HRNN) == 4


def test_a_copy_under_another_name_is_refused(tmp_path):
    write_result(tmp_path, made_up_result(CELL), CLASSES)
    path = path_of(tmp_path, CELL)
    shutil.copy(path, path.with_name("copy.json"))
    with pytest.raises(ValueError, match=f"copy.json is the result of {re.escape(CELL.name)}"):
        read_results(tmp_path)


def test_a_result_without_its_classes_says_what_to_do(tmp_path):
    write_result(tmp_path, made_up_result(CELL), CLASSES)
    path_of(tmp_path, CELL).with_name(f"{CELL.name}.classes.csv").unlink()
    with pytest.raises(ValueError, match=r"classes.csv is missing. Remove .*\.json"):
        read_results(tmp_path).classes(CELL)
