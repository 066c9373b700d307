"""Table 1: which k frames should a network see, and how much does a teacher that sees all of them help?

    python -m reproduce table1 --data=yt8m/frame --output_dir=experiments

The Skyline, six ways to choose frames without a teacher, and eight students, at each k.

Found (CVPR 2019, Table 1; the earlier paper has it without the serial rows of L_pred and of L_pred, L_CE): evenly
spaced frames are the best of the six at every k, the last ones the worst. Every student is above Uniform-k. Serial and
parallel training differ little; the serial student of all three losses is nowhere below another in GAP, and at k=30 it
is 0.005 below the Skyline.

Cost: 71 trainings with one seed. Those of the Skyline and of the 15 parallel students see all frames and take most of
the time; the 25 serial students share one teacher's targets, computed once.
"""

from reproduce import published, tables
from reproduce.cells import BASELINES, HRNN, SKYLINE, Cell

TITLE = "Table 1: H-RNN with k frames, with and without a teacher"
QUESTION = "Which k frames should a network see, and how much does a teacher that sees all of them help?"
EXPECTED = (
    "Uniform-k is the best baseline and Last-k the worst at every k (at k=30 GAP 0.795 and 0.317). Every "
    "student is above Uniform-k; the serial one of all three losses comes closest to the Skyline, 0.806 of "
    "0.811 at k=30."
)

PARALLEL_LOSSES = (("rep",), ("rep", "ce"), ("rep", "pred", "ce"))
SERIAL_LOSSES = (("rep",), ("pred",), ("rep", "ce"), ("pred", "ce"), ("rep", "pred", "ce"))
# The lines, in the paper's order.
METHODS_AND_LOSSES = (
    (SKYLINE, ()),
    *((method, ()) for method in BASELINES),
    *(("parallel", loss) for loss in PARALLEL_LOSSES),
    *(("serial", loss) for loss in SERIAL_LOSSES),
)


def plan(grid):
    cells = [Cell(HRNN, SKYLINE)]
    for k in grid.ks:
        cells += [Cell(HRNN, method, k) for method in BASELINES]
        cells += [Cell(HRNN, "parallel", k, loss) for loss in PARALLEL_LOSSES]
        cells += [Cell(HRNN, "serial", k, loss) for loss in SERIAL_LOSSES]
    return cells


def outputs(results, grid):
    rows = tuple(_row(results, grid, method, loss) for method, loss in METHODS_AND_LOSSES)
    return tables.finished(
        tables.Table(
            "table1",
            TITLE,
            ("Training", "Student loss"),
            tables.score_columns(f"k={k}" for k in grid.ks),
            rows,
            tables.reading_note(results, "CVPR 2019, Table 1"),
        )
    )


def _row(results, grid, method, loss):
    # The Skyline has no k. Its scores stand in every column, so that each can be read downwards against its bound.
    cells = [Cell(HRNN, method, None if method == SKYLINE else k, loss) for k in grid.ks]
    papers = [published.table1(method, loss, cell.k) for cell in cells]
    return tables.Row(
        (tables.METHOD_TITLES[method], tables.loss_title(loss)),
        tables.score_values(results, grid, cells, papers),
        tables.section_of(method),
    )
