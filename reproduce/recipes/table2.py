"""Table 2: does a teacher help more when there are fewer training videos?

    python -m reproduce table2 --data=yt8m/frame --output_dir=experiments

Compares the teacher, Uniform-30, and the serial student with all three losses. Each is trained on the same tenth, quarter,
and half of the videos, and on all of them. The papers do not show the teachers.

Paper (CVPR 2019, Table 2): the student's GAP is above that of Uniform-30 by 0.056 with a tenth of the videos, by 0.020 with
half of them, and by 0.011 with all (Table 1).

Cost: 12 trainings, three of which are in Table 1. The others take a tenth, a quarter, or half of the time.
"""

from reproduce import published, tables
from reproduce.trials import ALL_LOSSES, HRNN, SKYLINE, Trial

TITLE = "Table 2: H-RNN with k frames, trained on a fraction of the videos"
QUESTION = "Does a teacher help more when there are fewer training videos?"
EXPECTED = (
    "With fewer videos, the student's lead in GAP over Uniform-30 grows: it is 0.056 with 10% of them (0.774 and 0.718), "
    "0.032 with 25%, and 0.020 with 50%."
)

FRACTIONS = (0.1, 0.25, 0.5)
K = 30
LOSSES = {SKYLINE: (), "uniform": (), "serial": ALL_LOSSES}  # method -> student loss, in the order of the rows


def plan(grid):
    k = grid.k_of(K)
    return [
        trial
        for fraction in (*FRACTIONS, 1.0)
        for trial in (
            Trial(HRNN, SKYLINE, train_fraction=fraction),
            Trial(HRNN, "uniform", k, train_fraction=fraction),
            Trial(HRNN, "serial", k, ALL_LOSSES, train_fraction=fraction),
        )
    ]


def outputs(results, grid):
    k = grid.k_of(K)
    fractions = (*FRACTIONS, 1.0)
    rows = tuple(_row(results, grid, method, k, fractions) for method in LOSSES)
    columns = tables.score_columns(f"{fraction:.0%} of the videos" for fraction in fractions)
    note = tables.reading_note(results, "CVPR 2019, Table 2 (Table 1 for all videos)")
    return tables.finished(tables.Table("table2", f"{TITLE}, k={k}", ("Model",), columns, rows, note))


def _row(results, grid, method, k, fractions):
    trials = [
        Trial(HRNN, method, None if method == SKYLINE else k, LOSSES[method], train_fraction=fraction)
        for fraction in fractions
    ]
    papers = [published.table2(method, fraction, k) for fraction in fractions]
    return tables.Row((tables.METHOD_TITLES[method],), tables.score_values(results, grid, trials, papers))
