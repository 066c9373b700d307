"""Judges which findings of the MOD paper hold. The rules were fixed before any two rows were compared.

Measure. MAP@K over the rated segments of held-out videos.

Noise. s is the pooled sample standard deviation over seeds of all rows of Tables 1 and 2 that have two or more seeds. The
margin of a difference of two means over n1 and n2 seeds is m = 2 s sqrt(1/n1 + 1/n2). If no row has two seeds, m is unknown
and only the sign counts. Networks of the same seed share their data, and those that differ only in T share their
pretraining. Their differences vary less than m assumes, so m is cautious.

Findings. Each row of the tables is above the row before it (or the one that the text of the paper names), by more than m. It
is contradicted if it is below by more than m, and undecided otherwise. MixNeXtVLAD (T=0) has "similar performance" to
NeXtVLAD_large: |d| + m is at most 0.005. This is contradicted if |d| - m exceeds 0.005, and undecided otherwise.
"""

import statistics

from reproduce import verdicts
from reproduce.segment_rows import ALSO_ABOVE, ROWS, Claim
from reproduce.tables import SEGMENT_MEASURES
from reproduce.verdicts import NOT_RUN, Comparison, Finding, Judgement

SIMILAR = 0.005
SOURCE = "MOD 2019, Tables 1 and 2 and section 4.3"


def judge(results, _):
    """Judges every finding by the finished trials.

    Args:
        results: Results.
    Returns:
        list of Finding, in the order of the rows.
    """
    scores = SegmentScoresByRow(results)
    claims = [(row.title, row.claim) for row in ROWS.values() if row.claim]
    claims += [(better, Claim(worse)) for better, worse in ALSO_ABOVE]
    (measure,) = SEGMENT_MEASURES
    return [
        Finding(_statement(title, claim), SOURCE, {measure: Judgement((scores.compare(title, claim),), scores.spread)})
        for title, claim in claims
    ]


def _statement(title, claim):
    if claim.is_similar:
        return f"{title} is within {SIMILAR} of {claim.reference}."
    return f"{title} is above {claim.reference}."


class SegmentScoresByRow:
    """The scores of all finished seeds of each row, and their spread."""

    def __init__(self, results):
        self.by_title = {title: results.scores(row.trial, role=row.role) for title, row in ROWS.items()}
        self.spread = verdicts.pooled_deviation(self.by_title.values())

    def compare(self, title, claim: Claim) -> Comparison:
        """Compares the mean of a row with that of the row in the paper's claim."""
        label, both = f"{title} − {claim.reference}", (self.by_title[title], self.by_title[claim.reference])
        if not all(both):
            return Comparison(label, None, None, NOT_RUN)
        ours, reference = map(statistics.fmean, both)
        margin = None if self.spread is None else verdicts.margin_of(self.spread, map(len, both))
        return Comparison(label, ours - reference, margin, _verdict(claim, ours - reference, margin or 0.0))


def _verdict(claim, difference, margin):
    if claim.is_similar:
        return verdicts.is_at_most(SIMILAR, abs(difference), margin)
    return verdicts.is_above(difference, margin)
