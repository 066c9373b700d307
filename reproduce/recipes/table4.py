"""Table 4: does it help to match the teacher's intermediate encodings too?

    python -m reproduce table4 --data=yt8m/frame --output_dir=experiments

Three losses, parallel and serial, with L_rep^I added and without, at 30 frames.

Found (CVPR 2019, Table 4): no. The GAP of each pair differs by 0.002 at most.

Cost: 12 trainings, six of which are in Table 1, and a teacher. Half of them are parallel, which see all frames.
"""

from reproduce import published, tables
from reproduce.cells import HRNN, STUDENTS, Cell

TITLE = "Table 4: H-RNN with k frames, matching intermediate encodings or the final one alone"
QUESTION = "Does it help a student to match the teacher's intermediate encodings too?"
EXPECTED = (
    "It does not: at k=30, the serial student of all three losses has GAP 0.806 with and without, and no pair "
    "differs by more than 0.002."
)

K = 30
LOSSES = (("rep",), ("rep", "ce"), ("rep", "pred", "ce"))
NOTE = (
    "Intermediate: with L_rep^I added; final: without. The papers call the third line of each training L_rep + "
    "L_pred. Its final figures are those of L_rep, L_pred, L_CE in Table 1, so these three terms are what is run."
)


def plan(grid):
    k = grid.k_of(K)
    return [
        Cell(HRNN, method, k, loss, match_intermediate=intermediate)
        for method in STUDENTS
        for loss in LOSSES
        for intermediate in (False, True)
    ]


def outputs(results, grid):
    k = grid.k_of(K)
    rows = tuple(_row(results, grid, method, k, loss) for method in STUDENTS for loss in LOSSES)
    note = f"{NOTE} {tables.reading_note(results, 'CVPR 2019, Table 4')}"
    return tables.finished(
        tables.Table(
            "table4",
            f"{TITLE}, k={k}",
            ("Training", "Student loss"),
            tables.score_columns(("Intermediate", "Final")),
            rows,
            note,
        )
    )


def _row(results, grid, method, k, loss):
    cells = [Cell(HRNN, method, k, loss, match_intermediate=intermediate) for intermediate in (True, False)]
    papers = [published.table4(method, loss, cell.match_intermediate, k) for cell in cells]
    return tables.Row(
        (tables.METHOD_TITLES[method], tables.loss_title(loss)), tables.score_values(results, grid, cells, papers)
    )
