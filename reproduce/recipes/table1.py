"""Table 1: which k frames should a network read, and how much does a teacher that reads all frames help?

    python -m reproduce table1 --data=yt8m/frame --output_dir=experiments

Compares the Skyline, six ways to choose frames without a teacher, and eight students at each k. A control is added: a serial
student of the label loss alone. --student_recipes=best adds serial students of other recipes.

Paper (CVPR 2019, Table 1; the earlier paper lacks the serial rows of L_pred and of L_pred, L_CE): of the six, evenly
spaced frames are best at every k, and the last frames are worst. Every student is above Uniform-k. Serial and parallel
training differ little. In GAP, no student is above the serial student with all three losses, which is 0.005 below the
Skyline at k=30.

Cost: 76 trainings per seed. The Skyline and the 15 parallel students read all frames and take most of the time. The 25
serial students of the paper share one teacher's targets, which are computed once; the controls need none.
"""

from reproduce import published, tables
from reproduce.trials import BASELINES, CONTROL_LOSS, HRNN, SKYLINE, Trial
from youtube8m_distill.config import RECIPES

TITLE = "Table 1: H-RNN with k frames, with and without a teacher"
QUESTION = "Which k frames should a network read, and how much does a teacher that reads all frames help?"
EXPECTED = (
    "Uniform-k is the best baseline and Last-k the worst at every k (GAP 0.795 and 0.317 at k=30). Every student is "
    "above Uniform-k. The serial student with all three losses comes closest to the Skyline: 0.806 of 0.811 at k=30."
)

PARALLEL_LOSSES = (("rep",), ("rep", "ce"), ("rep", "pred", "ce"))
SERIAL_LOSSES = (("rep",), ("pred",), ("rep", "ce"), ("pred", "ce"), ("rep", "pred", "ce"))
# The paper's rows, in its order.
METHODS_AND_LOSSES = (
    (SKYLINE, ()),
    *((method, ()) for method in BASELINES),
    *(("parallel", loss) for loss in PARALLEL_LOSSES),
    *(("serial", loss) for loss in SERIAL_LOSSES),
)


def plan(grid):
    trials = [Trial(HRNN, SKYLINE)]
    for k in grid.ks:
        trials += [Trial(HRNN, method, k) for method in BASELINES]
        trials += [Trial(HRNN, "parallel", k, loss) for loss in PARALLEL_LOSSES]
        trials += [Trial(HRNN, "serial", k, loss) for loss in SERIAL_LOSSES]
        trials += _added(k, grid)
    return trials


def outputs(results, grid):
    rows = [_row(results, grid, *_at_each_k(grid, method, loss)) for method, loss in METHODS_AND_LOSSES]
    rows += [_row(results, grid, *trials) for trials in zip(*(_added(k, grid) for k in grid.ks))]
    return tables.finished(
        tables.Table(
            "table1",
            TITLE,
            ("Training", "Student loss"),
            tables.score_columns(f"k={k}" for k in grid.ks),
            tuple(rows),
            f"{tables.reading_note(results, 'CVPR 2019, Table 1')} {tables.CONTROL_NOTE}",
        )
    )


def _added(k, grid):
    """The trials that the paper does not have: the control, and a student of each recipe in the grid."""
    of_recipes = [Trial(HRNN, "serial", k, RECIPES[name].student_loss, recipe=name) for name in grid.student_recipes]
    return [Trial(HRNN, "serial", k, CONTROL_LOSS), *of_recipes]


def _at_each_k(grid, method, loss):
    # The Skyline has no k. Its scores are repeated in every column, as an upper bound for the rows below.
    return [Trial(HRNN, method, None if method == SKYLINE else k, loss) for k in grid.ks]


def _row(results, grid, *trials):
    papers = [published.table1(trial.method, trial.student_loss, trial.k) for trial in trials]
    first = trials[0]
    return tables.Row(
        (tables.title_of(first), tables.loss_title(first.student_loss)),
        tables.score_values(results, grid, trials, papers),
        tables.ADDED_SECTION if first.is_added else tables.section_of(first.method),
    )
