"""What is said of a finding: comparisons, verdicts and evidence, as a table and as plain records."""

import dataclasses
from typing import NamedTuple

from youtube8m_distill.experiments import tables
from youtube8m_distill.experiments.tables import MEASURES

HOLDS, CONTRADICTED, UNDECIDED, NOT_RUN = "holds", "contradicted", "undecided", "not run"
DOES_NOT_HOLD = "does not hold"
MOST_LISTED = 4                         # comparisons of one verdict in the evidence; the record has all


class Comparison(NamedTuple):
    """One difference of a finding; None where it is not known.

    `margin` is None for one that is not run and where the spread over seeds is unknown.
    """

    label: str
    difference: float | None
    margin: float | None
    verdict: str

    def __str__(self):
        if self.difference is None:
            return self.label
        margin = "" if self.margin is None else f" (margin {self.margin:.3f})"
        return f"{self.label} = {_signed(self.difference)}{margin}"


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
    def evidence(self):
        """One line: how many comparisons hold, and which do not."""
        if not self.num_run:
            return NOT_RUN
        said = [f"{len(self.of(HOLDS))} of {self.num_run} hold"]
        said += [f"{verdict}: {_listed(self.of(verdict))}" for verdict in (CONTRADICTED, UNDECIDED) if self.of(verdict)]
        if self.of(NOT_RUN):
            said.append(f"not judged, since not run: {_listed(self.of(NOT_RUN))}")
        if self.spread is None:
            said.append("one seed, spread unknown")
        return "; ".join(said)


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


def as_table(findings):
    """tables.Table: one finding a row, the verdict by each measure, and the evidence."""
    rows = []
    for finding in findings:
        verdicts = [_shown(finding.judgements[measure]) for measure in MEASURES]
        evidence = ". ".join(f"{title}: {finding.judgements[measure].evidence}" for measure, title in MEASURES.items())
        rows.append(tables.Row((finding.statement, finding.source), (*verdicts, f"{evidence}.")))
    columns = (*(("verdict", title) for title in MEASURES.values()), ("", "evidence"))
    return tables.Table("findings", "Which of the papers' findings hold", ("finding", "source"), columns, tuple(rows),
                        _note(findings))


def findings_record(findings):
    """The findings as a list of plain dicts, ready for JSON, with every comparison."""
    return [{"statement": finding.statement, "source": finding.source,
             "measures": {measure: {"verdict": judgement.verdict, "evidence": judgement.evidence,
                                    "spread": judgement.spread,
                                    "comparisons": [comparison._asdict() for comparison in judgement.comparisons]}
                          for measure, judgement in finding.judgements.items()}}
            for finding in findings]


def _shown(judgement):
    """The verdict as a table has it: one that chance may have made says so."""
    return judgement.verdict + (", by sign alone" if judgement.spread is None and judgement.num_run else "")


def _signed(difference):
    return f"{difference:+.3f}".replace("-", "−")


def _listed(comparisons):
    more = len(comparisons) - MOST_LISTED
    return ", ".join(map(str, comparisons[:MOST_LISTED])) + (f" and {more} more" if more > 0 else "")


def _note(findings):
    """What the margins come from."""
    spreads = {title: findings[0].judgements[measure].spread for measure, title in MEASURES.items()}
    if None in spreads.values():
        return ("No network has two seeds, so how much chance is in a difference is unknown, and the sign alone decides: "
                "take it for a hint.")
    told = ", ".join(f"{spread:.4f} ({title})" for title, spread in spreads.items())
    return ("Judged by rules fixed before any two methods were compared: a difference counts if it is beyond 2 s times the "
            f"root of the summed 1 / seeds of the means in it, s being the standard deviation over seeds; s = {told}.")
