"""From result files to the page: what cannot be shown does not keep the rest from being shown."""

import json

import numpy as np
import pytest

from tests.experiments.made_up import made_up_result
from youtube8m_distill.experiments.cells import ALL_LOSSES, HRNN, SKYLINE, Cell
from youtube8m_distill.experiments.grid import Grid
from youtube8m_distill.experiments.publish import publish
from youtube8m_distill.experiments.results import FOLDER, path_of, write_result

GRID = Grid((HRNN,), ks=(10,))
CELLS = (Cell(HRNN, SKYLINE), Cell(HRNN, "uniform", 10), Cell(HRNN, "serial", 10, ALL_LOSSES))


@pytest.fixture
def folder(tmp_path):
    for cell in CELLS:
        classes = {"average_precision": np.linspace(0.1, 0.9, 40), "num_positives": np.full(40, 20)}
        write_result(tmp_path, made_up_result(cell), classes)
    return tmp_path


def test_everything_is_written(folder):
    path = publish(folder, ["table1", "classes"], GRID, "Made up.", ["another cell"])
    page = path.read_text()
    assert path == folder / "report.html" and "Made up." in page and "another cell" in page
    assert {path.name for path in (folder / "tables").iterdir()} == {
        f"{name}.{kind}" for name in ("table1", "classes", "findings", "comparisons") for kind in ("md", "csv")}
    assert {path.name for path in (folder / "figures").iterdir()} == {"classes.png", "classes.svg"}
    record = json.loads((folder / "findings.json").read_text())
    assert record["format"] == 1 and len(record["findings"]) == 8


def test_of_nothing_there_is_a_page_that_says_so(tmp_path):
    assert "Not run yet" in publish(tmp_path, ["table1"], GRID).read_text()


def test_a_recipe_whose_files_are_gone_is_left_out_with_a_line(folder):
    path_of(folder, CELLS[0]).with_name(f"{CELLS[0].name}.classes.csv").unlink()
    lines = []
    publish(folder, ["table1", "classes"], GRID, say=lines.append)
    assert (folder / "tables" / "table1.md").exists() and not (folder / "tables" / "classes.md").exists()
    assert len(lines) == 1 and lines[0].startswith("classes is not shown: ") and "is missing" in lines[0]


def test_a_skyline_that_scores_nothing_has_no_share_to_keep(folder):
    for path in (folder / FOLDER).glob("*skyline*.json"):
        path.unlink()
    classes = {"average_precision": np.zeros(40), "num_positives": np.ones(40)}
    write_result(folder, made_up_result(CELLS[0], gap=0.0), classes)
    publish(folder, ["cost"], GRID, say=pytest.fail)
    assert "GAP kept" in (folder / "tables" / "cost.md").read_text()
