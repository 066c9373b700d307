"""From result files to the page: what cannot be shown does not keep the rest from being shown."""

import json
import re

import numpy as np
import pytest

from reproduce.cells import ALL_LOSSES, HRNN, SKYLINE, Cell
from reproduce.grid import Grid
from reproduce.publish import publish
from reproduce.request import Request
from reproduce.results import FOLDER, path_of, write_result, write_versioned
from tests.reproduce.made_up import made_up_result

GRID = Grid((HRNN,), ks=(10,))
CELLS = (Cell(HRNN, SKYLINE), Cell(HRNN, "uniform", 10), Cell(HRNN, "serial", 10, ALL_LOSSES))


@pytest.fixture
def folder(tmp_path):
    for cell in CELLS:
        classes = {"average_precision": np.linspace(0.1, 0.9, 40), "num_positives": np.full(40, 20)}
        write_result(tmp_path, made_up_result(cell), classes)
    return tmp_path


def test_everything_is_written(folder):
    path = publish(folder, Request({"table1": GRID, "classes": GRID}), "Made up.")
    page = path.read_text()
    assert path == folder / "report.html" and "Made up." in page and CELLS[1].name.replace("uniform", "random") in page
    assert {path.name for path in (folder / "tables").iterdir()} == {
        f"{name}.{kind}" for name in ("table1", "classes", "findings", "comparisons") for kind in ("md", "csv")
    }
    assert {path.name for path in (folder / "figures").iterdir()} == {"classes.png", "classes.svg"}
    record = json.loads((folder / "findings.json").read_text())
    assert record["format"] == 1 and len(record["findings"]) == 8


def test_of_nothing_there_is_a_page_that_says_so(tmp_path):
    assert "Not run yet" in publish(tmp_path, Request({"table1": GRID})).read_text()


def test_a_recipe_whose_files_are_gone_is_left_out_with_a_line(folder):
    path_of(folder, CELLS[0]).with_name(f"{CELLS[0].name}.classes.csv").unlink()
    lines = []
    publish(folder, Request({"table1": GRID, "classes": GRID}), say=lines.append)
    assert (folder / "tables" / "table1.md").exists() and not (folder / "tables" / "classes.md").exists()
    assert len(lines) == 1 and lines[0].startswith("classes is not shown: ") and "is missing" in lines[0]


def test_encodings_without_their_places_are_left_out_with_a_line(folder):
    write_versioned(folder / FOLDER / "encodings" / f"{CELLS[2].name}.json", {"classes": []})
    lines = []
    publish(folder, Request({"table1": GRID, "figure3": GRID}), say=lines.append)
    assert (folder / "tables" / "table1.md").exists()
    assert len(lines) == 1 and lines[0].startswith("figure3 is not shown: ") and "csv is missing. Remove" in lines[0]
    assert "Not shown: " in (folder / "report.html").read_text()


def test_tables_and_page_name_the_data(folder):
    path = publish(folder, Request({"table1": GRID}), "Made up.")
    assert "Made up." in path.read_text()
    for name in ("table1", "findings"):
        assert (folder / "tables" / f"{name}.md").read_text().endswith("\n\nData: Made up.\n")


def test_the_page_tells_which_recipes_have_which_grid(folder):
    grids = {"table1": GRID, "classes": GRID, "cost": Grid((HRNN,), ks=(6, 10))}
    page = publish(folder, Request(grids)).read_text()
    assert re.search(r"<dd>table1, classes: families", page) and re.search(r"<dd>cost: families", page)
    assert "<dd>families" in publish(folder, Request({"table1": GRID})).read_text()


def test_a_skyline_that_scores_nothing_has_no_share_to_keep(folder):
    for path in (folder / FOLDER).glob("*skyline*.json"):
        path.unlink()
    classes = {"average_precision": np.zeros(40), "num_positives": np.ones(40)}
    write_result(folder, made_up_result(CELLS[0], gap=0.0), classes)
    publish(folder, Request({"cost": GRID}), say=pytest.fail)
    assert "GAP kept" in (folder / "tables" / "cost.md").read_text()
