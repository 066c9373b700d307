"""Results are plain files that are read back, and invalid files are reported."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

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
from reproduce.trials import HRNN, SKYLINE, Trial
from tests.reproduce.made_up import made_up_result, made_up_results

TRIAL = Trial(HRNN, "serial", 10, ("rep", "ce"), match_intermediate=True, train_fraction=0.25, seed=2)
CLASSES = {"average_precision": np.array([0.5, np.nan]), "num_positives": np.array([3, 0])}


def test_a_result_is_read_back_unchanged(tmp_path):
    result = made_up_result(TRIAL)
    write_result(tmp_path, result, CLASSES)
    assert read_result(path_of(tmp_path, TRIAL)) == result
    found = read_results(tmp_path)
    assert list(found) == [result] and found.get(TRIAL) == result
    assert found.classes(TRIAL)["num_positives"].tolist() == [3, 0]


def test_a_result_from_before_student_recipes_is_read(tmp_path):
    result = made_up_result(TRIAL)
    write_result(tmp_path, result, CLASSES)
    path = path_of(tmp_path, TRIAL)
    record = json.loads(path.read_text())
    assert record["trial"].pop("recipe") == ""
    path.write_text(json.dumps(record))
    assert read_result(path) == result


def test_results_with_a_student_recipe_are_read_back_and_do_not_name_the_experiments(tmp_path):
    own = dataclasses.replace(TRIAL, recipe="best")
    for trial in (own, TRIAL):
        write_result(tmp_path, made_up_result(trial), CLASSES)
    found = read_results(tmp_path)
    assert found.get(own) == made_up_result(own) and found.recipe == "cvpr2019"


def test_the_seeds_of_a_trial_are_found_in_order():
    results = made_up_results(Grid(ks=(6,), seeds=3))
    found = results.seeds(Trial(HRNN, SKYLINE, seed=1))
    assert [result.trial for result in found] == [Trial(HRNN, SKYLINE, seed=seed) for seed in range(3)]
    assert results.scores(Trial(HRNN, SKYLINE)) == [result.networks["teacher"]["gap_at_20"] for result in found]
    assert results.scores(Trial(HRNN, "uniform", 7)) == []


def test_the_score_of_a_parallel_trial_is_the_students_by_default():
    result = made_up_result(Trial(HRNN, "parallel", 10, ("rep",)))
    result.networks["teacher"]["gap_at_20"] = 0.9
    assert result.score() == result.networks["student"]["gap_at_20"] != 0.9
    assert result.score(role="teacher") == 0.9


@pytest.mark.parametrize(
    "change, words",
    [
        ({"format": 3}, "format 3. This version reads formats 1 and 2"),
        ({"format": None}, "has format None"),
        ({"trial": {"family": HRNN}}, "is not a valid result"),
        ({"extra": 1}, "is not a valid result"),
        ({"trial": {**vars(TRIAL), "method": "magic"}}, "is not a valid result"),
        (
            {"networks": {"student": {"gap_at_20": 0.5, "num_videos": 3}}},
            "lacks mean_average.*, multiply_adds of its student",
        ),
        ({"networks": []}, "is not a valid result"),
        ({"networks": {}}, "is not a valid result"),
    ],
)
def test_an_invalid_result_is_reported_by_name(tmp_path, change, words):
    write_result(tmp_path, made_up_result(TRIAL), CLASSES)
    path = path_of(tmp_path, TRIAL)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=words) as error:
        read_results(tmp_path)
    assert str(path) in str(error.value)


def test_a_result_of_format_1_is_read(tmp_path):
    result = made_up_result(TRIAL)
    record = dataclasses.asdict(result)
    path = path_of(tmp_path, TRIAL)
    path.parent.mkdir()
    path.write_text(json.dumps({"format": 1, "cell": record.pop("trial"), **record}))
    assert read_result(path) == result


@pytest.mark.parametrize("text", ["", "[]", "no JSON", "{}"])
def test_a_file_that_is_not_a_result_is_reported_by_name(tmp_path, text):
    path = path_of(tmp_path, TRIAL)
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError, match="cannot be read") as error:
        read_results(tmp_path)
    assert str(path) in str(error.value)


def test_class_names_are_stored_with_the_results(tmp_path):
    assert read_class_names(tmp_path / "results") == {}
    write_class_names(tmp_path, pd.Series({0: "Game", 2: "Concert, live", 3: None}))
    assert read_class_names(tmp_path / "results") == {0: "Game", 2: "Concert, live"}


def with_settings(result, settings):
    return dataclasses.replace(result, about={**result.about, "settings": settings})


def test_results_of_different_settings_are_refused(tmp_path):
    write_result(tmp_path, with_settings(made_up_result(TRIAL), "one"), CLASSES)
    write_result(tmp_path, with_settings(made_up_result(TRIAL.with_seed(3)), "one"), CLASSES)
    assert len(read_results(tmp_path)) == 2
    write_result(tmp_path, with_settings(made_up_result(TRIAL.with_seed(4)), "another"), CLASSES)
    with pytest.raises(ValueError, match="results of different settings or data, among them .*seed3.json and .*seed4.json"):
        read_results(tmp_path)


def test_results_of_other_settings_than_the_commands_are_refused(tmp_path):
    write_result(tmp_path, with_settings(made_up_result(TRIAL), "one"), CLASSES)
    assert len(read_results(tmp_path, "one")) == 1
    with pytest.raises(ValueError, match="output_dir=.* results of other settings or data, among them .*seed2.json"):
        read_results(tmp_path, "another")
    assert len(read_results(tmp_path / "empty", "another")) == 0


@pytest.mark.parametrize("name", ["timing/HierarchicalLstmModel", "encodings/a-trial"])
def test_measurements_of_other_settings_are_refused(tmp_path, name):
    write_result(tmp_path, with_settings(made_up_result(TRIAL), "one"), CLASSES)
    write_versioned(tmp_path / "results" / f"{name}.json", {"settings": "another"})
    with pytest.raises(ValueError, match=f"different settings or data, among them .*{name.split('/')[1]}"):
        read_results(tmp_path)


def test_speed_scatter_is_the_largest_of_all_networks():
    networks = [
        {"k": 6, "videos_per_second": [20, 30]},
        {"k": None, "videos_per_second": [10, 5, 20]},
        {"k": 10, "videos_per_second": []},
    ]
    assert Results(timings={HRNN: {"networks": networks}}).speed_scatter(HRNN) == 4


def test_a_result_under_another_name_is_refused(tmp_path):
    write_result(tmp_path, made_up_result(TRIAL), CLASSES)
    path = path_of(tmp_path, TRIAL)
    shutil.copy(path, path.with_name("copy.json"))
    with pytest.raises(ValueError, match=f"copy.json is the result of {re.escape(TRIAL.name)}"):
        read_results(tmp_path)


def test_a_missing_class_file_is_reported_with_a_remedy(tmp_path):
    write_result(tmp_path, made_up_result(TRIAL), CLASSES)
    path_of(tmp_path, TRIAL).with_name(f"{TRIAL.name}.classes.csv").unlink()
    with pytest.raises(ValueError, match=r"classes.csv is missing. Remove .*\.json"):
        read_results(tmp_path).classes(TRIAL)
