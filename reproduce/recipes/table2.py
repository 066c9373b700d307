"""Table 2: does a teacher help more when there are fewer training videos?

    python -m reproduce table2 --data=yt8m/frame --output_dir=experiments

Compares the teacher, Uniform-30, and the serial student with all three losses. Each is trained on the same tenth, quarter,
and half of the videos, and on all of them. The papers do not show the teachers. A control is added: a serial student of the
label loss alone.

Paper (CVPR 2019, Table 2): the student's GAP is above that of Uniform-30 by 0.056 with a tenth of the videos, by 0.020 with
half of them, and by 0.011 with all (Table 1).

Cost: 16 trainings, four of which are in Table 1. The others take a tenth, a quarter, or half of the time.
"""

from reproduce import published, tables
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, HRNN, SKYLINE, Trial

TITLE = "Table 2: H-RNN with k frames, trained on a fraction of the videos"
QUESTION = "Does a teacher help more when there are fewer training videos?"
EXPECTED = (
    "With fewer videos, the student's lead in GAP over Uniform-30 grows: it is 0.056 with 10% of them (0.774 and 0.718), "
    "0.032 with 25%, and 0.020 with 50%."
)

FRACTIONS = (0.1, 0.25, 0.5)
K = 30
METHODS_AND_LOSSES = ((SKYLINE, ()), ("uniform", ()), ("serial", CONTROL_LOSS), ("serial", ALL_LOSSES))  # the rows


def plan(grid):
    k = grid.k_of(K)
    return [_trial(method, k, loss, fraction) for fraction in (*FRACTIONS, 1.0) for method, loss in METHODS_AND_LOSSES]


def outputs(results, grid):
    k = grid.k_of(K)
    fractions = (*FRACTIONS, 1.0)
    rows = tuple(_row(results, grid, method, k, loss, fractions) for method, loss in METHODS_AND_LOSSES)
    columns = tables.score_columns(f"{fraction:.0%} of the videos" for fraction in fractions)
    note = f"{tables.reading_note(results, 'CVPR 2019, Table 2 (Table 1 for all videos)')} {tables.CONTROL_NOTE}"
    return tables.finished(tables.Table("table2", f"{TITLE}, k={k}", ("Model",), columns, rows, note))


def _trial(method, k, loss, fraction):
    return Trial(HRNN, method, None if method == SKYLINE else k, loss, train_fraction=fraction)


def _row(results, grid, method, k, loss, fractions):
    trials = [_trial(method, k, loss, fraction) for fraction in fractions]
    papers = [published.table2(method, fraction, k) for fraction in fractions]
    title = tables.title_of(trials[0])
    return tables.Row((title,), tables.score_values(results, grid, trials, papers))
