"""The layout of the MOD paper's tables, with a sentence about each row."""

from reproduce import tables
from reproduce.segment_findings import SegmentScoresByRow
from reproduce.segment_rows import ROWS
from reproduce.segment_trials import EXTRACTED
from reproduce.verdicts import CONTRADICTED, HOLDS, NOT_RUN, UNDECIDED

COLUMNS = (
    ("", "base networks"),
    ("", "parameters in millions"),
    ("", "MAP@K"),
    ("paper", "private"),
    ("paper", "public"),
    ("", "difference"),
    ("", "compared with"),
    ("", "what held"),
)
ONE_OF = ("", "MAP@K of one network")
VERDICTS = {HOLDS: "holds", CONTRADICTED: "does not hold", UNDECIDED: "undecided"}


def segment_table(name, title, rows, results, with_extracted=False):
    """A list of the table of the finished rows; [] if there are none.

    Args:
        name: name of the table's files.
        title: title of the table.
        rows: SegmentRows.
        results: Results.
        with_extracted: whether a column shows the score of a single network that is taken out of each mixture.
    """
    scores = SegmentScoresByRow(results)
    found = [row for row in rows if scores.by_title[row.title]]
    columns = (*COLUMNS[:3], ONE_OF, *COLUMNS[3:]) if with_extracted else COLUMNS
    lines = tuple(_line(row, results, scores, with_extracted) for row in found)
    return [tables.Table(name, title, ("Model",), columns, lines, _note(results, scores))] if found else []


def _line(row, results, scores, with_extracted):
    parameters = results.scores(row.trial, "parameters", row.role)
    paper = [f"{score:.5f}" for score in (row.paper.private, row.paper.public)]
    single = [tables.Value.of(results.scores(row.trial, role=EXTRACTED))] if with_extracted else []
    values = (
        str(row.num_base),
        tables.Value.plain(parameters[0] / 1e6, row.paper.parameters, digits=1),
        tables.Value.of(scores.by_title[row.title]),
        *single,
        *paper,
        *_comparison(row, results, scores),
    )
    return tables.Row((row.title,), values, row.section)


def _comparison(row, results, scores):
    """Difference over common seeds, the row that it is compared with, and a sentence."""
    if row.claim is None:
        return None, "", "The row with which others are compared."
    compared = scores.compare(row.title, row.claim)
    if compared.verdict == NOT_RUN:
        return None, row.claim.reference, "Not run."
    return tables.Value.of(paired_differences(row, results)), row.claim.reference, sentence(row, compared)


def paired_differences(row, results):
    """The differences of a row from the row that it is compared with, for each seed that both have."""
    reference = ROWS[row.claim.reference]
    theirs = {result.trial.seed: result.score(role=reference.role) for result in results.seeds(reference.trial)}
    ours = {result.trial.seed: result.score(role=row.role) for result in results.seeds(row.trial)}
    return [ours[seed] - theirs[seed] for seed in ours if seed in theirs]


def sentence(row, compared):
    """What held of the paper's claim about a row, with the difference of the means and that of the paper."""
    claim = "About as good as" if row.claim.is_similar else "Better than"
    paper = row.paper.private - ROWS[row.claim.reference].paper.private
    margin = "unknown" if compared.margin is None else f"{compared.margin:.3f}"
    return (
        f"{claim} {row.claim.reference}: {VERDICTS[compared.verdict]}. The means differ by {compared.difference:+.3f} "
        f"(margin {margin}, paper {paper:+.3f})."
    )


def _note(results, scores):
    counts = sorted({result.score("num_rated") for result in results})
    pairs = " or ".join(f"{count:,}" for count in counts)
    spread = "which is unknown" if scores.spread is None else f"s = {scores.spread:.4f}"
    return (
        f"MAP@K over the {pairs} rated pairs of segment and class of held-out videos, ± the sample standard deviation over "
        "seeds. Every network scores the rated segments alone, without candidates. The dummy prediction gives all segments "
        "of a video the probabilities of the video. All mixtures of a size are pretrained once, with T = 1. In parentheses "
        "and under paper: MOD 2019, on the leaderboards of the YouTube-8M challenge. A difference counts if it exceeds its "
        f"margin, which comes from the pooled standard deviation over seeds, {spread}. The column of differences is "
        "over the seeds that both rows have."
    )
