"""From result files to the page. Missing files do not affect the rest."""

import json
import logging

import numpy as np
import pytest

from reproduce.grid import Grid
from reproduce.publish import publish
from reproduce.request import Request
from reproduce.results import FOLDER, path_of, write_result, write_versioned
from reproduce.trials import ALL_LOSSES, HRNN, SKYLINE, Trial
from tests.reproduce.made_up import made_up_result

GRID = Grid(families=(HRNN,), ks=(10,))
TRIALS = (Trial(HRNN, SKYLINE), Trial(HRNN, "uniform", 10), Trial(HRNN, "serial", 10, ALL_LOSSES))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.getLogger("reproduce"), "propagate", True)
    for trial in TRIALS:
        classes = {"average_precision": np.linspace(0.1, 0.9, 40), "num_positives": np.full(40, 20)}
        write_result(tmp_path, made_up_result(trial), classes)
    return tmp_path


def test_all_outputs_are_written(folder):
    path = publish(folder, Request({"table1": GRID, "classes": GRID}), "Made up.")
    page = path.read_text()
    assert path == folder / "report.html" and "Made up." in page and TRIALS[1].name.replace("uniform", "random") in page
    assert {path.name for path in (folder / "tables").iterdir()} == {
        f"{name}.{kind}" for name in ("table1", "classes", "findings", "comparisons") for kind in ("md", "csv")
    }
    assert {path.name for path in (folder / "figures").iterdir()} == {"classes.png", "classes.svg"}
    record = json.loads((folder / "findings.json").read_text())
    assert record["format"] == 2 and len(record["findings"]) == 15


def test_without_results_the_page_says_not_run_yet(tmp_path):
    assert "Not run yet" in publish(tmp_path, Request({"table1": GRID})).read_text()


def test_a_recipe_with_missing_files_is_skipped_and_logged(folder, caplog):
    path_of(folder, TRIALS[0]).with_name(f"{TRIALS[0].name}.classes.csv").unlink()
    publish(folder, Request({"table1": GRID, "classes": GRID}))
    assert (folder / "tables" / "table1.md").exists() and not (folder / "tables" / "classes.md").exists()
    (line,) = caplog.messages
    assert line.startswith("classes is not shown: ") and "is missing" in line


def test_encodings_without_points_are_skipped_and_logged(folder, caplog):
    write_versioned(folder / FOLDER / "encodings" / f"{TRIALS[2].name}.json", {"classes": []})
    publish(folder, Request({"table1": GRID, "figure3": GRID}))
    assert (folder / "tables" / "table1.md").exists()
    (line,) = caplog.messages
    assert line.startswith("figure3 is not shown: ") and "csv is missing. Remove" in line
    assert "Not shown: " in (folder / "report.html").read_text()


def test_tables_and_page_name_the_data(folder):
    path = publish(folder, Request({"table1": GRID}), "Made up.")
    assert "Made up." in path.read_text()
    for name in ("table1", "findings"):
        assert (folder / "tables" / f"{name}.md").read_text().endswith("\n\nData: Made up.\n")


def test_the_page_shows_the_grid_of_each_recipe(folder):
    page = publish(folder, Request({"table1": GRID, "table5": Grid(families=(HRNN,), ks=(6, 10))})).read_text()
    assert "<th>table1</th>" in page and "<th>table5</th>" in page and "<td>6, 10</td>" in page


def test_a_skyline_with_score_zero_does_not_break_the_cost_table(folder, caplog):
    for path in (folder / FOLDER).glob("*skyline*.json"):
        path.unlink()
    classes = {"average_precision": np.zeros(40), "num_positives": np.ones(40)}
    write_result(folder, made_up_result(TRIALS[0], gap=0.0), classes)
    publish(folder, Request({"cost": GRID.replace(methods=("skyline",))}))
    assert not caplog.messages and "GAP kept" in (folder / "tables" / "cost.md").read_text()
