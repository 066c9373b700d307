"""Tables: numbers of ours over several seeds beside the papers', as Markdown for readers and CSV for programs."""

import dataclasses
import pathlib
import statistics

import pandas as pd
import tabulate

from reproduce.cells import BASELINES, SKYLINE
from youtube8m_distill import files

MEASURES = {"gap_at_20": "GAP", "mean_average_precision": "mAP"}  # measure of a Result -> title of its column

# As in Table 1 of the papers.
METHOD_TITLES = {
    SKYLINE: "Teacher-Skyline",
    "uniform": "Uniform-k",
    "random": "Random-k",
    "first": "First-k",
    "middle": "Middle-k",
    "last": "Last-k",
    "first_middle_last": "First-Middle-Last-k",
    "parallel": "Parallel",
    "serial": "Serial",
}
LOSS_TITLES = {"rep": "L_rep", "pred": "L_pred", "ce": "L_CE"}
BASELINE_SECTION, STUDENT_SECTION = "Baseline methods", "Teacher-student methods"

NO_NUMBER = "–"


@dataclasses.dataclass(frozen=True)
class Value:
    """A number of ours, the paper's beside it.

    Attributes:
        mean: float over seeds; None where none is finished.
        deviation: sample standard deviation over seeds; None where there is one, or where the number has none.
        count: int, how many seeds; None for a number that is no mean over seeds.
        paper: the paper's float, or None.
        digits: decimals that are shown.
    """

    mean: float | None
    deviation: float | None
    count: int | None
    paper: float | None = None
    digits: int = 3

    @classmethod
    def of(cls, scores, paper=None, digits=3):
        """The Value of a number under several seeds; None where there is neither one of ours nor the paper's.

        Args:
            scores: list of float, one a seed.
            paper, digits: as above.
        """
        if not scores and paper is None:
            return None
        mean = statistics.fmean(scores) if scores else None
        deviation = statistics.stdev(scores) if len(scores) > 1 else None
        return cls(mean, deviation, len(scores), paper, digits)

    @classmethod
    def plain(cls, number, paper=None, digits=3):
        """The Value of a number that seeds have no part in, or that is made of means; None where there is neither."""
        return None if number is None and paper is None else cls(number, None, None, paper, digits)

    def __str__(self):
        text = NO_NUMBER if self.mean is None else self._rounded(self.mean)
        text += "" if self.deviation is None else f" ± {self._rounded(self.deviation)}"
        return text if self.paper is None else f"{text} ({self._rounded(self.paper)})"

    def _rounded(self, number):
        return f"{number:,.{self.digits}f}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One line.

    Attributes:
        labels: tuple of str, what the line is about.
        values: tuple of Value, str or None, one a column.
        section: heading above the first of several lines.
    """

    labels: tuple[str, ...]
    values: tuple[Value | str | None, ...]
    section: str = ""

    @property
    def is_finished(self):
        """Whether it holds any number of ours."""
        return any(isinstance(value, Value) and value.mean is not None for value in self.values)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table to be written.

    Attributes:
        name: str, of its files.
        title: str.
        labels: tuple of str, titles of the columns that say what a line is about.
        columns: tuple of pairs of str, group and column: ("k=6", "GAP").
        rows: tuple of Row; those of a section stand together.
        note: str, what a reader must know.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    note: str = ""

    def __post_init__(self):
        for row in self.rows:
            assert (len(row.labels), len(row.values)) == (len(self.labels), len(self.columns)), (self.name, row)

    @property
    def titles(self):
        """Titles of the columns of values, one str each."""
        return tuple(" ".join(filter(None, column)) for column in self.columns)

    def to_markdown(self, about_data=""):
        """str: title, table, note, and a sentence on the data."""
        lines, section = [], ""
        for row in self.rows:
            if row.section and row.section != section:
                lines.append([f"**{row.section}**"] + [""] * (len(self.labels) + len(self.columns) - 1))
            section = row.section
            lines.append([text.replace("|", r"\|") for text in (*row.labels, *map(text_of, row.values))])
        sides = ["left"] * len(self.labels) + ["left" if is_text else "right" for is_text in self.are_texts()]
        # As they are: else tabulate would read "0.250" as a number and print 0.25.
        table = tabulate.tabulate(lines, [*self.labels, *self.titles], "pipe", disable_numparse=True, colalign=sides)
        data = f"Data: {about_data}" if about_data else ""
        return "\n\n".join(filter(None, [f"### {self.title}", table, self.note, data])) + "\n"

    def to_csv(self):
        """str: one line a row; of each column of numbers mean, sd, seeds and paper, unrounded; empty where unknown."""
        # Objects: among numbers and gaps, pandas would make seeds floats.
        return pd.DataFrame(map(self._record, self.rows), dtype=object).to_csv(index=False)

    def save(self, folder, about_data=""):
        """Writes NAME.md and NAME.csv into `folder`."""
        path = pathlib.Path(folder) / self.name
        files.write_text(f"{path}.md", self.to_markdown(about_data))
        files.write_text(f"{path}.csv", self.to_csv())

    def _record(self, row):
        record = {"section": row.section} if any(row.section for row in self.rows) else {}
        record |= dict(zip(self.labels, row.labels))
        for title, value, is_text in zip(self.titles, row.values, self.are_texts()):
            if is_text:
                record[title] = value
            else:
                value = value or Value(None, None, 0)
                record |= {
                    f"{title} mean": value.mean,
                    f"{title} sd": value.deviation,
                    f"{title} seeds": value.count,
                    f"{title} paper": value.paper,
                }
        return record

    def are_texts(self):
        """Whether each column of values holds any text. list of bool."""
        return [any(isinstance(row.values[index], str) for row in self.rows) for index in range(len(self.columns))]


def text_of(value):
    """What a reader sees of a Value, str or None."""
    return "" if value is None else str(value)


def loss_title(loss):
    """("rep", "ce") -> "L_rep, L_CE"."""
    return ", ".join(LOSS_TITLES[term] for term in loss)


def section_of(method):
    """Heading of Table 1 under which a method stands."""
    return "" if method == SKYLINE else BASELINE_SECTION if method in BASELINES else STUDENT_SECTION


def score_columns(groups):
    """GAP and mAP in each of several groups of columns, as `score_values` gives them."""
    return tuple((group, title) for group in groups for title in MEASURES.values())


def score_values(results, grid, cells, papers):
    """GAP and mAP of several cells, one beside the other.

    Args:
        results: Results.
        grid: Grid. A cell outside it has no value.
        cells: list of Cell.
        papers: list of the paper's (GAP, mAP) of each, as `published` gives them.
    Returns:
        tuple of Value or None, two a cell.
    """
    return tuple(
        Value.of(results.scores(cell, measure), figure) if grid.wants(cell) else None
        for cell, paper in zip(cells, papers)
        for measure, figure in zip(MEASURES, paper)
    )


def finished(table):
    """What of a table can be shown: [Table] with the rows that hold a number of ours; [] where none does."""
    rows = tuple(row for row in table.rows if row.is_finished)
    return [dataclasses.replace(table, rows=rows)] if rows else []


def reading_note(results, source):
    """How the numbers of a table are to be read. `source`: the paper and its table."""
    counts = sorted({result.score("num_videos") for result in results})
    videos = " or ".join(f"{count:,}" for count in counts)
    return (
        f"Ours on {videos} held-out videos, ± the sample standard deviation where there are several seeds. "
        f"In brackets {source}, on YouTube-8M."
    )


def speed_note(results, family):
    """How videos a second were measured, and how much they scatter; empty where they were not."""
    if not results.speeds(family):
        return ""
    timing = results.timings[family]
    return (
        f" Videos a second: from files to scores, the median of several rounds over {timing['num_videos']:,} videos on "
        f"{timing['machine']}; a network's fastest round was up to {results.speed_scatter(family):.1f} times as fast as "
        "its slowest."
    )
