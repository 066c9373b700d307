"""Table 4: does it help to match the teacher's intermediate encodings as well?

    python -m reproduce table4 --data=yt8m/frame --output_dir=experiments

Compares parallel and serial students with three losses, with and without L_rep^I, at 30 frames. A control is added: a serial
student of the label loss alone.

Paper (CVPR 2019, Table 4): no. In each pair, GAP differs by at most 0.002.

Cost: 13 trainings, seven of which are in Table 1, and a teacher. Six of them are parallel and read all frames.
"""

from reproduce import published, tables
from reproduce.trials import CONTROL_LOSS, HRNN, STUDENTS, Trial

TITLE = "Table 4: H-RNN with k frames, matching intermediate encodings or only the final one"
QUESTION = "Does it help a student to match the teacher's intermediate encodings as well?"
EXPECTED = (
    "It does not: at k=30, the serial student with all three losses has a GAP of 0.806 with and without it, and no pair "
    "differs by more than 0.002."
)

K = 30
LOSSES = (("rep",), ("rep", "ce"), ("rep", "pred", "ce"))
NOTE = (
    "Intermediate is with L_rep^I, and final is without it. The papers call the third row of each training L_rep + L_pred. "
    "Its final numbers are those of L_rep, L_pred, L_CE in Table 1, so these three terms are trained."
)


def plan(grid):
    k = grid.k_of(K)
    students = [
        Trial(HRNN, method, k, loss, match_intermediate=intermediate)
        for method in STUDENTS
        for loss in LOSSES
        for intermediate in (False, True)
    ]
    return [*students, _control(k)]


def outputs(results, grid):
    k = grid.k_of(K)
    rows = [_row(results, grid, method, k, loss) for method in STUDENTS for loss in LOSSES]
    rows.append(_control_row(results, grid, k))
    note = f"{NOTE} {tables.reading_note(results, 'CVPR 2019, Table 4')} {tables.CONTROL_NOTE}"
    return tables.finished(
        tables.Table(
            "table4",
            f"{TITLE}, k={k}",
            ("Training", "Student loss"),
            tables.score_columns(("Intermediate", "Final")),
            tuple(rows),
            note,
        )
    )


def _row(results, grid, method, k, loss):
    trials = [Trial(HRNN, method, k, loss, match_intermediate=intermediate) for intermediate in (True, False)]
    papers = [published.table4(method, loss, trial.match_intermediate, k) for trial in trials]
    return tables.Row(
        (tables.METHOD_TITLES[method], tables.loss_title(loss)), tables.score_values(results, grid, trials, papers)
    )


def _control(k):
    return Trial(HRNN, "serial", k, CONTROL_LOSS)


def _control_row(results, grid, k):
    """The control matches nothing, so it has only the numbers without intermediate matching."""
    values = tables.score_values(results, grid, [_control(k)], [published.UNKNOWN])
    return tables.Row((tables.METHOD_TITLES[tables.CONTROL], tables.loss_title(CONTROL_LOSS)), (None, None, *values))
