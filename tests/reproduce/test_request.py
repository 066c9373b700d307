import json

import pytest

from reproduce.cells import HRNN, NETVLAD, SKYLINE, Cell
from reproduce.grid import Grid
from reproduce.request import REQUEST_FILE, Request, add_request, read_request

FIRST = Grid((HRNN,), ("skyline", "uniform"), (6, 30), seeds=1, other_seeds=2)
SECOND = Grid((HRNN, NETVLAD), ("uniform", "last"), (10,), seeds=3, other_seeds=1)
BOTH = Grid((HRNN, NETVLAD), ("skyline", "uniform", "last"), (6, 10, 30), 3, 2)


def test_what_commands_ask_for_adds_up_recipe_by_recipe(tmp_path):
    add_request(tmp_path, Request({"table3": FIRST}))
    assert read_request(tmp_path) == Request({"table3": FIRST})
    add_request(tmp_path, Request({"table3": SECOND, "table1": SECOND}))
    assert read_request(tmp_path) == Request({"table1": SECOND, "table3": BOTH})
    assert list(read_request(tmp_path).grids) == ["table1", "table3"]


def test_a_recipe_that_nobody_asked_for_is_seen_in_the_grid_of_all():
    request = Request({"table1": FIRST, "table3": SECOND})
    assert request.grid_of("table3") == SECOND and request.grid_of("table2") == BOTH


def test_the_k_of_one_recipe_does_not_move_what_another_shows():
    request = Request({"table4": Grid((HRNN,), ks=(20,)), "table5": Grid((NETVLAD,), ks=(30,))})
    assert {cell.k for cell in request.cells() if cell.family == HRNN} == {None, 20}
    assert {cell.k for cell in request.cells() if cell.family == NETVLAD} == {None, 30}
    assert request.cells().count(Cell(HRNN, SKYLINE)) == 1


def test_a_folder_that_no_command_has_trained_in_is_said_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="output_dir=.* holds no experiment"):
        read_request(tmp_path)


@pytest.mark.parametrize(
    "record", [{}, *({"grids": grids} for grids in ([], {}, {"table1": {"ks": [0]}}, {"table1": {"frames": 3}}))]
)
def test_a_file_that_asks_for_nothing_known_is_refused_by_name(tmp_path, record):
    (tmp_path / REQUEST_FILE).write_text(json.dumps({"format": 1, **record}))
    with pytest.raises(ValueError, match=REQUEST_FILE):
        read_request(tmp_path)
