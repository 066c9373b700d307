"""From result files to everything that is shown: tables, figures, findings and the page that holds them all."""

import dataclasses
import pathlib

from reproduce import findings, report, verdicts
from reproduce.recipes import RECIPES
from reproduce.results import read_results, write_versioned
from reproduce.tables import Table

TITLE = "Efficient Video Classification Using Fewer Frames: the experiments"


def publish(folder, request, about_data="", say=print):
    """Writes tables/, figures/, findings.json and report.html of an experiment from its results/ alone.

    Args:
        folder: of the experiment.
        request: Request, what to show.
        about_data: a sentence on what data it is about.
        say: where a line goes on what cannot be shown.
    Returns:
        pathlib.Path of the report.
    """
    folder = pathlib.Path(folder)
    results = read_results(folder)
    not_shown = {}
    sections = [(name, RECIPES[name], _outputs(name, results, grid, not_shown)) for name, grid in request.grids.items()]
    for name, reason in not_shown.items():
        say(f"{name} is not shown: {reason}")
    judged = findings.judge(results, request.grid_of)
    found = verdicts.as_tables(judged)
    for output in (*(output for _, _, outputs in sections for output in outputs), *found):
        if isinstance(output, Table):
            output.save(folder / "tables", about_data)
        else:
            output.save(folder / "figures")
    write_versioned(folder / "findings.json", {"findings": verdicts.findings_record(judged)})
    about = {
        "title": TITLE,
        "data": about_data,
        "grids": _grids(request),
        "not_shown": not_shown,
        "unfinished": [cell.name for cell in request.cells() if results.get(cell) is None],
        "machine": "; ".join(_distinct(results, "machine")),
        "versions": "; ".join(
            ", ".join(" ".join(item) for item in versions.items()) for versions in _distinct(results, "versions")
        ),
        "commands": _distinct(results, "experiment"),
    }
    path = folder / "report.html"
    report.write_report(path, sections, found, results, about)
    return path


def _grids(request):
    """What the page says of the grids: list of (names of recipes, their Grid as a dict)."""
    names_of = {}
    for name, grid in request.grids.items():
        names_of.setdefault(grid, []).append(name)
    return [(names, dataclasses.asdict(grid)) for grid, names in names_of.items()]


def _outputs(name, results, grid, not_shown):
    """What a recipe shows; nothing, and why in `not_shown`, where something that it needs is not there."""
    try:
        return RECIPES[name].outputs(results, grid)
    except ValueError as error:
        not_shown[name] = str(error)
        return []


def _distinct(results, what):
    """What the results say of themselves, each once, in order."""
    found = []
    for result in results:
        value = result.about.get(what)
        if value and value not in found:
            found.append(value)
    return found
