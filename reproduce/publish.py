"""Writes tables, figures, findings, and the report page from the result files."""

import logging
import pathlib

from reproduce import report, verdicts
from reproduce.experiments import experiment_of
from reproduce.recipes import EVERY_RECIPE
from reproduce.request import Request
from reproduce.results import read_results, write_versioned
from reproduce.tables import Table

logger = logging.getLogger(__name__)


def publish(folder, request: Request, about_data="") -> pathlib.Path:
    """Writes tables/, figures/, findings.json, and report.html of an experiment from its results/ alone.

    Args:
        folder: the experiment's folder.
        request: what to show.
        about_data: a sentence that describes the data.
    Returns:
        path of the report.
    """
    folder, experiment = pathlib.Path(folder), experiment_of(request.grids)
    results = read_results(folder)
    not_shown = {}
    sections = [(name, EVERY_RECIPE[name], _outputs(name, results, grid, not_shown)) for name, grid in request.grids.items()]
    for name, reason in not_shown.items():
        logger.warning("%s is not shown: %s", name, reason)
    judged = experiment.judge(results, request.grid_of)
    found = verdicts.as_tables(judged, experiment.measures)
    for output in (*(output for _, _, outputs in sections for output in outputs), *found):
        if isinstance(output, Table):
            output.save(folder / "tables", about_data)
        else:
            output.save(folder / "figures")
    write_versioned(folder / "findings.json", {"findings": verdicts.findings_record(judged)})
    versions = _distinct(results, "versions")
    about = {
        "title": experiment.title,
        "data": about_data,
        "grids": {
            name: {option: grid.to_dict()[option] for option in experiment.options} for name, grid in request.grids.items()
        },
        "not_shown": not_shown,
        "unfinished": [trial.name for trial in request.trials() if results.get(trial) is None],
        "machine": "; ".join(_distinct(results, "machine")),
        "versions": "; ".join(", ".join(" ".join(item) for item in each.items()) for each in versions),
        "commands": _distinct(results, "experiment"),
    }
    path = folder / "report.html"
    report.write_report(path, sections, found, results, about)
    return path


def _outputs(name, results, grid, not_shown):
    """The outputs of a recipe. If a file that it needs is missing: none, and the reason is added to `not_shown`."""
    try:
        return EVERY_RECIPE[name].outputs(results, grid)
    except ValueError as error:
        not_shown[name] = str(error)
        return []


def _distinct(results, key):
    """The distinct values of a key in the results' `about`, in order."""
    found = []
    for result in results:
        value = result.about.get(key)
        if value and value not in found:
            found.append(value)
    return found
