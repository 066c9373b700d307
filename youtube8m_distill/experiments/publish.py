"""From result files to everything that is shown: tables, figures, findings and the page that holds them all."""

import dataclasses
import pathlib

from youtube8m_distill.experiments import findings, report, verdicts
from youtube8m_distill.experiments.recipes import RECIPES
from youtube8m_distill.experiments.results import read_results, write_versioned
from youtube8m_distill.experiments.tables import Table

TITLE = "Efficient Video Classification Using Fewer Frames: the experiments"


def publish(folder, names, grid, about_data="", unfinished=(), say=print):
    """Writes tables/, figures/, findings.json and report.html of an experiment from its results/ alone.

    Args:
        folder: of the experiment.
        names: recipes to show, keys of RECIPES.
        grid: Grid.
        about_data: a sentence on what data it is about.
        unfinished: names of cells that belong to it and have no result.
        say: where a line goes on what cannot be shown.
    Returns:
        pathlib.Path of the report.
    """
    folder = pathlib.Path(folder)
    results = read_results(folder)
    sections = [(name, RECIPES[name], _outputs(name, results, grid, say)) for name in names]
    for _, _, outputs in sections:
        for output in outputs:
            output.save(folder / ("tables" if isinstance(output, Table) else "figures"))
    judged = findings.judge(results, grid)
    found = verdicts.as_tables(judged)
    for table in found:
        table.save(folder / "tables")
    write_versioned(folder / "findings.json", {"findings": verdicts.findings_record(judged)})
    about = {"title": TITLE, "data": about_data, "grid": dataclasses.asdict(grid), "unfinished": list(unfinished),
             "machine": "; ".join(_distinct(results, "machine")),
             "versions": "; ".join(", ".join(" ".join(item) for item in versions.items())
                                   for versions in _distinct(results, "versions")),
             "commands": _distinct(results, "experiment")}
    path = folder / "report.html"
    report.write_report(path, sections, found, results, about)
    return path


def _outputs(name, results, grid, say):
    """What a recipe shows; nothing, and a line, where something that it needs is not there."""
    try:
        return RECIPES[name].outputs(results, grid)
    except ValueError as error:
        say(f"{name} is not shown: {error}")
        return []


def _distinct(results, what):
    """What the results say of themselves, each once, in order."""
    found = []
    for result in results:
        value = result.about.get(what)
        if value and value not in found:
            found.append(value)
    return found
