"""Tables of our numbers next to the papers' numbers, as Markdown for readers and CSV for programs."""

import dataclasses
import pathlib
import statistics

import pandas as pd
import tabulate

from reproduce.trials import BASELINES, SKIPFRAME, SKYLINE
from youtube8m_distill import files

# Measure of a Result -> title of its column.
MEASURES = {"gap_at_20": "GAP", "mean_average_precision": "mAP"}  # of videos
SEGMENT_MEASURES = {"map_at_k": "MAP@K"}

CONTROL = "control"  # the row of the trials with `is_control`

# Row titles from Table 1 of the papers, and that of the control.
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
    CONTROL: "Control: label loss alone",
    SKIPFRAME: "SkipFrame",
}
LOSS_TITLES = {"rep": "L_rep", "pred": "L_pred", "ce": "L_CE", "relation": "relation", "topk_logit": "topk_logit"}
BASELINE_SECTION, STUDENT_SECTION, ADDED_SECTION = "Baseline methods", "Teacher-student methods", "Not in the papers"
CONTROL_NOTE = (
    "The control starts as a serial student does, by default from the teacher's classifier, and trains for as many steps, "
    "but on the label loss alone. Without it, no claim about distillation should be made: only what a student has above the "
    "control comes from the teacher's outputs."
)

NO_NUMBER = "–"


@dataclasses.dataclass(frozen=True)
class Value:
    """One of our numbers, with the paper's number.

    Attributes:
        mean: mean over seeds; None if none is finished.
        deviation: sample standard deviation over seeds; None for fewer than two seeds.
        count: number of finished seeds; None if the number is not a mean over seeds.
        paper: the paper's number, or None.
        digits: number of decimal places shown.
    """

    mean: float | None
    deviation: float | None
    count: int | None
    paper: float | None = None
    digits: int = 3

    @classmethod
    def of(cls, scores, paper=None, digits=3):
        """The Value of a list with one number per seed; None if the list is empty and the paper has no number."""
        if not scores and paper is None:
            return None
        mean = statistics.fmean(scores) if scores else None
        deviation = statistics.stdev(scores) if len(scores) > 1 else None
        return cls(mean, deviation, len(scores), paper, digits)

    @classmethod
    def plain(cls, number, paper=None, digits=3):
        """The Value of a number that is not a mean over seeds; None if neither we nor the paper have one."""
        return None if number is None and paper is None else cls(number, None, None, paper, digits)

    def __str__(self):
        text = self.rounded(self.mean)
        text += "" if self.deviation is None else f" ± {self.rounded(self.deviation)}"
        return text if self.paper is None else f"{text} ({self.rounded(self.paper)})"

    def rounded(self, number):
        """A number as text; a dash for None."""
        return NO_NUMBER if number is None else f"{number:,.{self.digits}f}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        labels: text in the first columns, which identifies the row.
        values: Value, str, or None for each column.
        section: heading above a group of rows.
    """

    labels: tuple[str, ...]
    values: tuple[Value | str | None, ...]
    section: str = ""

    @property
    def is_finished(self):
        """Whether the row contains any of our numbers."""
        return any(isinstance(value, Value) and value.mean is not None for value in self.values)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with a title and a note.

    Attributes:
        name: name of its files.
        title: title of the table.
        labels: titles of the label columns.
        columns: pairs of group and column title, such as ("k=6", "GAP").
        rows: rows; those of a section are consecutive.
        note: how to read the table.
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
        """Titles of the value columns, including the group."""
        return tuple(" ".join(filter(None, column)) for column in self.columns)

    def to_markdown(self, about_data=""):
        """Title, table, note, and a sentence about the data, as Markdown."""
        lines, section = [], ""
        for row in self.rows:
            if row.section and row.section != section:
                lines.append([f"**{row.section}**"] + [""] * (len(self.labels) + len(self.columns) - 1))
            section = row.section
            lines.append([text.replace("|", r"\|") for text in (*row.labels, *map(text_of, row.values))])
        sides = ["left"] * len(self.labels) + ["left" if is_text else "right" for is_text in self.is_text()]
        # With numparse, tabulate would read "0.250" as a number and print 0.25.
        table = tabulate.tabulate(lines, [*self.labels, *self.titles], "pipe", disable_numparse=True, colalign=sides)
        data = f"Data: {about_data}" if about_data else ""
        return "\n\n".join(filter(None, [f"### {self.title}", table, self.note, data])) + "\n"

    def to_csv(self):
        """CSV with mean, sd, seeds, and paper of each numeric column, unrounded; empty if unknown."""
        # dtype object, because pandas would convert seeds with gaps to floats.
        return pd.DataFrame(map(self._record, self.rows), dtype=object).to_csv(index=False)

    def save(self, folder, about_data=""):
        """Writes NAME.md and NAME.csv to a folder."""
        path = pathlib.Path(folder) / self.name
        files.write_text(f"{path}.md", self.to_markdown(about_data))
        files.write_text(f"{path}.csv", self.to_csv())

    def _record(self, row):
        record = {"section": row.section} if any(row.section for row in self.rows) else {}
        record |= dict(zip(self.labels, row.labels))
        for title, value, is_text in zip(self.titles, row.values, self.is_text()):
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

    def is_text(self) -> list[bool]:
        """For each value column, whether it contains text."""
        return [any(isinstance(row.values[index], str) for row in self.rows) for index in range(len(self.columns))]


def text_of(value):
    """A Value, str, or None as shown in Markdown."""
    return "" if value is None else str(value)


def loss_title(loss):
    """The title of a student loss: "L_rep, L_CE" for ("rep", "ce")."""
    return ", ".join(LOSS_TITLES[term] for term in loss)


def row_of(trial):
    """The key in METHOD_TITLES of the row that shows a trial: its method or CONTROL."""
    return CONTROL if trial.is_control else trial.method


def title_of(trial):
    """The title of the row that shows a trial: "Serial", "Control: label loss alone", "Serial, recipe best"."""
    return METHOD_TITLES[row_of(trial)] + (f", recipe {trial.recipe}" if trial.recipe else "")


def section_of(row):
    """The section of Table 1 that contains a row."""
    sections = {SKYLINE: "", CONTROL: ADDED_SECTION, **dict.fromkeys(BASELINES, BASELINE_SECTION)}
    return sections.get(row, STUDENT_SECTION)


def score_columns(groups):
    """GAP and mAP columns for each group, which match the values from `score_values`."""
    return tuple((group, title) for group in groups for title in MEASURES.values())


def score_values(results, grid, trials, papers):
    """GAP and mAP of several trials: two Values for each trial, or None if it is not in the grid.

    Args:
        results: Results.
        grid: Grid.
        trials: list of Trial.
        papers: the paper's (GAP, mAP) for each trial, from `published`; left out for trials that the papers do not have.
    """
    return tuple(
        Value.of(results.scores(trial, measure), None if trial.is_added else figure) if grid.wants(trial) else None
        for trial, paper in zip(trials, papers)
        for measure, figure in zip(MEASURES, paper)
    )


def finished(table):
    """A list of the table with only the rows that contain our numbers; [] if there are no such rows."""
    rows = tuple(row for row in table.rows if row.is_finished)
    return [dataclasses.replace(table, rows=rows)] if rows else []


def reading_note(results, source):
    """A note that explains the numbers of a table. `source` is the paper and its table."""
    return f"{scores_note(results)} In parentheses: {source}, on YouTube-8M."


def scores_note(results):
    """A note that explains the numbers of a table that the papers do not have."""
    counts = sorted({result.score("num_videos") for result in results})
    videos = " or ".join(f"{count:,}" for count in counts)
    return (
        f"Our scores on {videos} held-out videos with the recipe {results.recipe}, ± the sample standard deviation over "
        f"seeds."
    )


def speed_note(results, family):
    """A note that explains how videos per second were measured and how much they vary; empty if they were not."""
    if not results.speeds(family):
        return ""
    timing = results.timings[family]
    return (
        f" Videos per second: from files to scores, the median of several rounds over {timing['num_videos']:,} videos on "
        f"{timing['machine']}. The fastest round of a network was up to {results.speed_scatter(family):.1f} times as fast "
        "as its slowest."
    )
