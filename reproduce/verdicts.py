"""Verdicts on the findings, with the comparisons behind them, as tables and as JSON records."""

import dataclasses
import math
import statistics
from typing import NamedTuple

from reproduce import tables
from reproduce.tables import MEASURES

HOLDS, CONTRADICTED, UNDECIDED, NOT_RUN = "holds", "contradicted", "undecided", "not run"
DOES_NOT_HOLD = "does not hold"


class Comparison(NamedTuple):
    """One comparison of a finding. Unknown numbers are None, for example the margin without a spread over seeds."""

    label: str
    difference: float | None
    margin: float | None
    verdict: str


def pooled_deviation(scores_of_trials):
    """s: the pooled sample standard deviation over seeds; None if no trial has two seeds.

    Args:
        scores_of_trials: iterable of lists with one score per seed.
    """
    several = [scores for scores in scores_of_trials if len(scores) > 1]
    if not several:
        return None
    squares = math.fsum(statistics.variance(scores) * (len(scores) - 1) for scores in several)
    return math.sqrt(squares / sum(len(scores) - 1 for scores in several))


def margin_of(spread, counts):
    """m: the difference of means over these numbers of seeds that chance explains, if s is `spread`."""
    return 2 * spread * math.sqrt(math.fsum(1 / count for count in counts))


def is_above(difference, margin):
    """The verdict on the claim that a difference is positive."""
    if abs(difference) <= margin:
        return UNDECIDED
    return HOLDS if difference > 0 else CONTRADICTED


def is_at_most(limit, difference, margin):
    """The verdict on the claim that a difference is at most `limit`."""
    if abs(difference - limit) < margin:
        return UNDECIDED
    return HOLDS if difference <= limit else CONTRADICTED


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The verdict on a finding by one measure.

    Attributes:
        comparisons: the comparisons behind it.
        spread: s; None if it is unknown.
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
        """The number of comparisons that hold, as in "2 of 3, 1 not run"; empty if none was run."""
        missing = len(self.of(NOT_RUN))
        text = f"{len(self.of(HOLDS))} of {self.num_run}" + (f", {missing} not run" if missing else "")
        return text if self.num_run else ""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding of the papers.

    Attributes:
        statement: a sentence.
        source: where the papers state or show it.
        judgements: dict from measure to Judgement.
        noise: the networks whose spread over seeds applies; "" for those of most findings.
    """

    statement: str
    source: str
    judgements: dict
    noise: str = ""


def as_tables(findings, measures=MEASURES):
    """Two Tables: the verdicts, one row per finding, and all comparisons, grouped by finding.

    Args:
        findings: list of Finding.
        measures: dict from measure to title.
    """
    rows, comparisons = [], []
    for finding in findings:
        judgements = [finding.judgements[measure] for measure in measures]
        shares = [judgement.share for judgement in judgements]
        rows.append(tables.Row((finding.statement,), (*map(_verdict_text, judgements), *shares, finding.source)))
        comparisons += [
            _row(finding, title, comparison)
            for title, judgement in zip(measures.values(), judgements)
            for comparison in judgement.comparisons
        ]
    columns = (
        *((group, title) for group in ("verdict", "comparisons that hold") for title in measures.values()),
        ("", "source"),
    )
    title, note = "Which of the papers' findings hold", _note(findings, measures)
    return (
        tables.Table("findings", title, ("finding",), columns, tuple(rows), note),
        tables.Table(
            "comparisons",
            "All comparisons",
            ("comparison", "measure"),
            (("", "difference"), ("", "margin"), ("", "verdict")),
            tuple(comparisons),
        ),
    )


def _row(finding, measure, comparison):
    numbers = map(tables.Value.plain, (comparison.difference, comparison.margin))
    return tables.Row((comparison.label, measure), (*numbers, comparison.verdict), finding.statement)


def findings_record(findings):
    """The findings with all comparisons, as a list of dicts for JSON."""
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


def _verdict_text(judgement):
    """The verdict as shown in a table, marked if the spread is unknown."""
    return judgement.verdict + (", by sign alone" if judgement.spread is None and judgement.num_run else "")


def _note(findings, measures):
    """How the margins are computed."""
    by_noise = {finding.noise: [finding.judgements[measure].spread for measure in measures] for finding in findings}
    texts = [_spread_text(noise, spreads, measures) for noise, spreads in by_noise.items() if None not in spreads]
    if not texts:
        return (
            "No network has two seeds, so the variation over seeds is unknown, and only the sign of a difference counts. "
            "Treat the verdicts as hints."
        )
    return (
        "The rules were fixed before any two methods were compared. A difference counts if it exceeds 2 s times the square "
        "root of the sum of 1 / (number of seeds) over the means in it, where s is the standard deviation over seeds: "
        f"{'; '.join(texts)}. If two methods are equal, one comparison in twenty exceeds this margin by chance. There is no "
        "correction for the number of comparisons."
    )


def _spread_text(noise, spreads, measures):
    """The values of s: "s = 0.0040 (GAP), 0.0060 (mAP)"."""
    values = ", ".join(f"{spread:.4f} ({title})" for spread, title in zip(spreads, measures.values()))
    return f"for {noise}, s = {values}" if noise else f"s = {values}"
