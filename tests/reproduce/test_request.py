"""Requests of several commands are combined and read back."""

import json

import pytest

from reproduce.grid import Grid
from reproduce.request import REQUEST_FILE, Request, add_request, read_request
from reproduce.trials import HRNN, NETVLAD, SKYLINE, Trial
from youtube8m_distill.errors import SettingError

FIRST = Grid(families=(HRNN,), methods=("skyline", "uniform"), ks=(6, 30), seeds=1, other_seeds=2)
SECOND = Grid(families=(HRNN, NETVLAD), methods=("uniform", "last"), ks=(10,), seeds=3, other_seeds=1)
BOTH = Grid(families=(HRNN, NETVLAD), methods=("skyline", "uniform", "last"), ks=(6, 10, 30), seeds=3, other_seeds=2)


def test_requests_of_several_commands_are_combined_per_recipe(tmp_path):
    add_request(tmp_path, Request({"table3": FIRST}))
    assert read_request(tmp_path) == Request({"table3": FIRST})
    add_request(tmp_path, Request({"table3": SECOND, "table1": SECOND}))
    assert read_request(tmp_path) == Request({"table1": SECOND, "table3": BOTH})
    assert list(read_request(tmp_path).grids) == ["table1", "table3"]


def test_the_student_recipes_of_all_commands_are_combined(tmp_path):
    for names in (("best",), (), ("release", "best")):
        add_request(tmp_path, Request({"table1": Grid(student_recipes=names)}))
    assert read_request(tmp_path).grid_of("table1").student_recipes == ("best", "release")


def test_the_skips_of_the_last_command_apply(tmp_path):
    for actions in ("5-25", "1-4"):
        add_request(tmp_path, Request({"skipframe": Grid(skip_actions=actions)}))
    assert read_request(tmp_path).grid_of("skipframe").skip_actions == "1-4"


def test_a_recipe_that_was_not_requested_gets_the_union_of_all_grids():
    request = Request({"table1": FIRST, "table3": SECOND})
    assert request.grid_of("table3") == SECOND and request.grid_of("table2") == BOTH


def test_the_k_of_one_recipe_does_not_change_another_recipe():
    request = Request({"table4": Grid(families=(HRNN,), ks=(20,)), "table5": Grid(families=(NETVLAD,), ks=(30,))})
    assert {trial.k for trial in request.trials() if trial.family == HRNN} == {None, 20}
    assert {trial.k for trial in request.trials() if trial.family == NETVLAD} == {None, 30}
    assert request.trials().count(Trial(HRNN, SKYLINE)) == 1


def test_a_folder_without_an_experiment_is_reported(tmp_path):
    with pytest.raises(SettingError, match="output_dir=.* contains no experiment"):
        read_request(tmp_path)


@pytest.mark.parametrize(
    "record", [{}, *({"grids": grids} for grids in ([], {}, {"table1": {"ks": [0]}}, {"table1": {"frames": 3}}))]
)
def test_an_invalid_request_file_is_reported_by_name(tmp_path, record):
    (tmp_path / REQUEST_FILE).write_text(json.dumps({"format": 1, **record}))
    with pytest.raises(ValueError, match=REQUEST_FILE):
        read_request(tmp_path)


def test_a_request_of_format_1_is_read(tmp_path):
    grid = {"families": [HRNN], "methods": ["skyline"], "ks": [6, 10], "seeds": 3, "other_seeds": 1}
    (tmp_path / REQUEST_FILE).write_text(json.dumps({"format": 1, "grids": {"table1": grid}}))
    assert read_request(tmp_path) == Request(
        {"table1": Grid(families=(HRNN,), methods=("skyline",), ks=(6, 10), seeds=3, other_seeds=1)}
    )
