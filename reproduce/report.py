"""The report: one HTML file with all tables, figures, and runs of an experiment, which works offline.

Its Content-Security-Policy prevents the browser from loading anything else. Tables are rendered by pandas. Figures are SVG
images of 20 to 200 KB each. They are embedded as <img>, so their ids cannot collide and they cannot run scripts.
"""

import base64
import itertools
import pathlib

import jinja2
import pandas as pd
from markupsafe import Markup, escape
from pandas.io.formats.style import Styler

from reproduce.figures import Figure
from reproduce.results import Result, Results
from reproduce.tables import NO_NUMBER, Table, Value
from youtube8m_distill import files

TEMPLATE = "report.html.jinja"
LONG = 24  # longer texts are wrapped
NO_DATA = "The data were not described (--about_data). Do not assume that any number here was measured on YouTube-8M."
# Title and decimal places of each measure that is shown for the networks of a run.
MEASURES = {
    "gap_at_20": ("GAP", 4),
    "mean_average_precision": ("mAP", 4),
    "map_at_k": ("MAP@K", 4),
    "hit_at_one": ("Hit@1", 4),
    "perr": ("PERR", 4),
    "loss": ("loss", 4),
    "num_videos": ("videos", 0),
    "num_rated": ("rated pairs", 0),
    "max_frames": ("frames", 0),
    "multiply_adds": ("multiply-adds", 0),
    "parameters": ("parameters", 0),
    "epoch": ("epoch", 0),
    "step": ("step", 0),
}
VERDICT_CLASSES = {"holds": "good", "does not hold": "bad", "contradicted": "bad", "undecided": "open"}


class Heading(str):
    """The heading of a section, which has a row of its own."""


def write_report(path, sections, findings, results: Results, about: dict):
    """Writes report.html atomically.

    Args:
        path: path of the file.
        sections: list of (name, recipe module, list of tables.Table and figures.Figure), in the order of the page.
        findings: the two tables of verdicts.as_tables; None for none.
        results: Results; the page lists all of its trials.
        about: dict with `title`, `data` (a sentence that describes the data, or ""), `machine`, `versions`, `commands` (list
            of str), `grids` (dict from recipe name to Grid as a dict), `not_shown` (dict from recipe name to the reason why
            it has no output), and `unfinished` (names of trials).
    """
    loader = jinja2.FileSystemLoader(pathlib.Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    environment.globals["measure_title"] = lambda trial: MEASURES[trial.measure][0]
    environment.filters |= {"table": table_html, "networks": networks_html, "picture": picture_source}
    environment.tests["figure"] = lambda output: isinstance(output, Figure)
    ordered = sorted(results, key=lambda result: result.trial.paper_order)
    page = environment.get_template(TEMPLATE).render(
        sections=sections,
        findings=findings,
        families=[(family, list(group)) for family, group in itertools.groupby(ordered, lambda one: one.trial.family)],
        num_trials=len(ordered),
        hours=sum(result.about.get("seconds", 0) for result in ordered) / 3600,
        about={**about, "data": about["data"] or NO_DATA},
        grids=_grids_html(about["grids"]),
    )
    files.write_text(path, page + "\n")


def table_html(table: Table, heading="") -> Markup:
    """A Table as HTML, with section headings as rows, and with its title as the caption unless it equals `heading`."""
    columns = [("", label) for label in table.labels] + list(table.columns)
    if not any(group for group, _ in columns):
        columns = [title for _, title in columns]
    rows = []
    for section, members in itertools.groupby(table.rows, lambda row: row.section):
        rows += [[Heading(section)] + [None] * (len(columns) - 1)] if section else []
        rows += [[*row.labels, *row.values] for row in members]
    index = pd.MultiIndex.from_tuples(columns) if isinstance(columns[0], tuple) else pd.Index(columns)
    frame = pd.DataFrame(rows, columns=index, dtype=object)
    styler = Styler(frame, uuid=table.name, cell_ids=False).hide(axis="index")
    styler.format(_value_html, escape="html", na_rep="").format_index(escape="html", axis="columns")
    styler.set_table_attributes('class="sortable"')
    if table.title != heading:
        styler.set_caption(escape(table.title))
    styler.set_td_classes(frame.apply(_css_classes, axis="columns", result_type="broadcast"))
    return Markup(styler.to_html().partition("</style>")[2])


def _css_classes(row):
    """The CSS classes of each cell in a row."""
    if isinstance(row.iloc[0], Heading):
        return ["section text"] + ["section"] * (len(row) - 1)
    return [_text_classes(value) if isinstance(value, str) else "" for value in row]


def _text_classes(text):
    return " ".join(filter(None, ["text", "long" if len(text) > LONG else "", VERDICT_CLASSES.get(text)]))


def _value_html(value):
    """The content of a cell as HTML. pandas has already escaped text."""
    if not isinstance(value, Value):
        return value
    seeds = Markup(' title="{} seed{}"').format(value.count, "s" if value.count > 1 else "") if value.count else ""
    parts = [Markup('<span class="ours"{}>{}</span>').format(seeds, value.rounded(value.mean))]
    if value.deviation is not None:
        parts.append(Markup("<small>± {}</small>").format(value.rounded(value.deviation)))
    if value.paper is not None:
        parts.append(Markup('<small><span class="hidden">paper: </span>({})</small>').format(value.rounded(value.paper)))
    return Markup(" ").join(parts)


def networks_html(result: Result) -> Markup:
    """The scores of a run's networks as an HTML table."""
    known = [name for name in MEASURES if any(name in network for network in result.networks.values())]
    frame = pd.DataFrame(result.networks, index=known, dtype=object).T
    frame.columns = [MEASURES[name][0] for name in known]
    formatters = {title: f"{{:,.{digits}f}}".format for title, digits in MEASURES.values()}
    return Markup(frame.to_html(formatters=formatters, na_rep=NO_NUMBER, border=0, classes="networks"))


def _grids_html(grids):
    """The grid of each recipe as an HTML table."""
    frame = pd.DataFrame(grids).T.map(lambda value: ", ".join(map(str, value)) if isinstance(value, list) else value)
    return Markup(frame.to_html(border=0))


def picture_source(figure: Figure) -> str:
    """A Figure as a data URL, for the src of an <img>."""
    return f"data:image/svg+xml;base64,{base64.b64encode(figure.to_svg().encode()).decode()}"
