"""What is said of a finding: comparisons and verdicts, as tables and as plain records."""

import dataclasses
from typing import NamedTuple

from reproduce import tables
from reproduce.tables import MEASURES

HOLDS, CONTRADICTED, UNDECIDED, NOT_RUN = "holds", "contradicted", "undecided", "not run"
DOES_NOT_HOLD = "does not hold"


class Comparison(NamedTuple):
    """One difference of a finding; None where it is not known.

    `margin` is None for one that is not run and where the spread over seeds is unknown.
    """

    label: str
    difference: float | None
    margin: float | None
    verdict: str


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What one measure says of a finding.

    Attributes:
        comparisons: tuple of Comparison.
        spread: float, s; None where it is unknown.
    """

    comparisons: tuple[Comparison, ...]
    spread: float | None

    def of(self, verdict):
        """The comparisons with a verdict."""
        return [comparison for comparison in self.comparisons if comparison.verdict == verdict]

    @property
    def num_run(self):
        return len(self.comparisons) - len(self.of(NOT_RUN))

    @property
    def verdict(self):
        if not self.num_run:
            return NOT_RUN
        if self.of(CONTRADICTED):
            return DOES_NOT_HOLD
        return UNDECIDED if self.of(UNDECIDED) else HOLDS

    @property
    def share(self):
        """How many of the comparisons hold, of those that are run, in words; empty where none is."""
        missing = len(self.of(NOT_RUN))
        told = f"{len(self.of(HOLDS))} of {self.num_run}" + (f", {missing} not run" if missing else "")
        return told if self.num_run else ""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that the papers found.

    Attributes:
        statement: str, a sentence.
        source: str, where the papers say or show it.
        judgements: dict measure (a key of tables.MEASURES) -> Judgement.
    """

    statement: str
    source: str
    judgements: dict


def as_tables(findings):
    """Two tables.Table: one finding a row, with the verdicts; and below each finding every comparison."""
    rows, comparisons = [], []
    for finding in findings:
        judgements = [finding.judgements[measure] for measure in MEASURES]
        shares = [judgement.share for judgement in judgements]
        rows.append(tables.Row((finding.statement,), (*map(_shown, judgements), *shares, finding.source)))
        comparisons += [
            _row(finding, title, comparison)
            for title, judgement in zip(MEASURES.values(), judgements)
            for comparison in judgement.comparisons
        ]
    columns = (
        *((group, title) for group in ("verdict", "comparisons that hold") for title in MEASURES.values()),
        ("", "source"),
    )
    return (
        tables.Table("findings", "Which of the papers' findings hold", ("finding",), columns, tuple(rows), _note(findings)),
        tables.Table(
            "comparisons",
            "Every comparison",
            ("comparison", "measure"),
            (("", "difference"), ("", "margin"), ("", "verdict")),
            tuple(comparisons),
        ),
    )


def _row(finding, measure, comparison):
    numbers = map(tables.Value.plain, (comparison.difference, comparison.margin))
    return tables.Row((comparison.label, measure), (*numbers, comparison.verdict), finding.statement)


def findings_record(findings):
    """The findings as a list of plain dicts, ready for JSON, with every comparison."""
    return [
        {
            "statement": finding.statement,
            "source": finding.source,
            "measures": {
                measure: {
                    "verdict": judgement.verdict,
                    "spread": judgement.spread,
                    "comparisons": [comparison._asdict() for comparison in judgement.comparisons],
                }
                for measure, judgement in finding.judgements.items()
            },
        }
        for finding in findings
    ]


def _shown(judgement):
    """The verdict as a table has it: one that chance may have made says so."""
    return judgement.verdict + (", by sign alone" if judgement.spread is None and judgement.num_run else "")


def _note(findings):
    """What the margins come from."""
    spreads = {title: findings[0].judgements[measure].spread for measure, title in MEASURES.items()}
    if None in spreads.values():
        return (
            "No network has two seeds, so how much chance is in a difference is unknown, and the sign alone decides: "
            "take it for a hint."
        )
    told = ", ".join(f"{spread:.4f} ({title})" for title, spread in spreads.items())
    return (
        "Judged by rules fixed before any two methods were compared: a difference counts if it is beyond 2 s times the "
        f"root of the summed 1 / seeds of the means in it, s being the standard deviation over seeds; s = {told}. Where "
        "two methods are alike, one comparison in twenty is beyond that by chance: nothing corrects for their number."
    )
