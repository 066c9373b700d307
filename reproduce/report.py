"""The report: one HTML file with all tables, figures and runs of an experiment, which opens without a network.

Everything is inside it, and its Content-Security-Policy forbids the browser to fetch anything else. Figures are SVG,
which stays sharp on any screen and on paper, at 20 to 200 KB each. Each is the source of an <img>: as parts of the
page, their ids would meet each other, and an <img> runs no script whatever is written in it.
"""

import base64
import importlib.resources
import itertools
import json

import jinja2

from reproduce.cells import METHODS
from reproduce.figures import Figure
from reproduce.tables import NO_NUMBER
from youtube8m_distill import files

TEMPLATE = "report.html.jinja"
LONG = 24  # letters of a cell beyond which it is wrapped
NO_DATA = "Nobody has said what data this is (--about_data): do not take any number here for one of YouTube-8M."
# What is shown of each network of a run: title and decimals.
MEASURES = {
    "gap_at_20": ("GAP", 4),
    "mean_average_precision": ("mAP", 4),
    "hit_at_one": ("Hit@1", 4),
    "perr": ("PERR", 4),
    "loss": ("loss", 4),
    "num_videos": ("videos", 0),
    "max_frames": ("frames", 0),
    "multiply_adds": ("multiply-adds", 0),
    "parameters": ("parameters", 0),
    "epoch": ("epoch", 0),
    "step": ("step", 0),
}


def write_report(path, sections, findings, results, about):
    """Writes report.html, complete or not at all.

    Args:
        path: where it goes.
        sections: list of (name, recipe module, list of tables.Table and figures.Figure), in the order of the page.
        findings: two tables.Table, which findings hold and every comparison, as of verdicts.as_tables; None for none.
        results: Results; every one of its cells is listed.
        about: dict of `title`, `data` (one sentence on what data this is; "" where nobody has said), `machine`,
            `versions`, `commands` (list of str), `grids` (list of (names of recipes, dict)), `not_shown` (dict, name of a
            recipe -> why nothing of it can be shown) and `unfinished` (names of cells).
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {
        "pretty": _pretty,
        "rounded": _rounded,
        "picture": _picture,
        "of_section": _of_section,
        "of_group": _of_group,
        "sort_key": _sort_key,
    }
    environment.tests["figure"] = lambda output: isinstance(output, Figure)
    template = importlib.resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    page = environment.from_string(template).render(
        sections=sections,
        findings=findings,
        families=_families(results),
        num_cells=len(results),
        seconds=sum(result.about.get("seconds", 0) for result in results),
        about={**about, "data": about["data"] or NO_DATA},
        measures=MEASURES,
        LONG=LONG,
        zip=zip,
    )
    files.write_text(path, page + "\n")


def _pretty(record):
    """A dict as JSON to be read."""
    return json.dumps(record, indent=2, ensure_ascii=False)


def _rounded(number, digits):
    return NO_NUMBER if number is None else f"{number:,.{digits}f}"


def _picture(figure):
    """A Figure as the source of an <img>."""
    return f"data:image/svg+xml;base64,{base64.b64encode(figure.to_svg().encode()).decode()}"


def _of_section(rows):
    """list of (section, its rows), as they follow each other."""
    return [(section, list(of_it)) for section, of_it in itertools.groupby(rows, lambda row: row.section)]


def _of_group(columns):
    """list of (group, titles of its columns), as they follow each other."""
    return [(group, [title for _, title in of_it]) for group, of_it in itertools.groupby(columns, lambda column: column[0])]


def _sort_key(value):
    """What the page sorts by: a Value's mean, or the text as it stands; empty where there is nothing."""
    mean = getattr(value, "mean", value)
    return "" if mean is None else str(mean)


def _families(results):
    """list of (family, its Results), rows in the order of the papers' tables."""
    ordered = sorted(results, key=lambda result: _place(result.cell))
    return [(family, list(of_it)) for family, of_it in itertools.groupby(ordered, lambda result: result.cell.family)]


def _place(cell):
    return (
        cell.family,
        METHODS.index(cell.method),
        len(cell.student_loss),
        cell.student_loss,
        cell.match_intermediate,
        -cell.train_fraction,
        cell.k or 0,
        cell.seed,
    )
