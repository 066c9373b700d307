"""Table 5: does a teacher also help a NetVLAD student?

    python -m reproduce table5 --data=yt8m/frame --output_dir=experiments

Compares the Skyline, Uniform-k, and the serial student with all three losses, the best of Table 1, at 10 and 30 frames.
A control is added: a serial student of the label loss alone.

Paper (CVPR 2019, Table 5): yes. The student's GAP is above that of Uniform-k by 0.011 at k=10 and by 0.009 at k=30.

Cost: 7 trainings, one of them on all frames.
"""

from reproduce import published, tables
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, NETVLAD, SKYLINE, Trial

TITLE = "Table 5: NetVLAD with k frames"
QUESTION = "Does a teacher also help a student of another family, NetVLAD?"
EXPECTED = (
    "The student is above Uniform-k: their GAPs are 0.784 and 0.773 at k=10, and 0.812 and 0.803 at k=30. The Skyline has "
    "0.823."
)

KS = (10, 30)
METHODS_AND_LOSSES = ((SKYLINE, ()), ("uniform", ()), ("serial", CONTROL_LOSS), ("serial", ALL_LOSSES))  # the rows


def plan(grid):
    trials = [_trial(method, k, loss) for k in _ks(grid) for method, loss in METHODS_AND_LOSSES]
    return list(dict.fromkeys(trials))  # the Skyline is the same for all k


def outputs(results, grid):
    ks = _ks(grid)
    rows = tuple(_row(results, grid, method, loss, ks) for method, loss in METHODS_AND_LOSSES)
    return tables.finished(
        tables.Table(
            "table5",
            TITLE,
            ("Model",),
            tables.score_columns(f"k={k}" for k in ks),
            rows,
            f"{tables.reading_note(results, 'CVPR 2019, Table 5')} {tables.CONTROL_NOTE}",
        )
    )


def _ks(grid):
    """The k of the grid that are nearest to the paper's, without duplicates."""
    return tuple(dict.fromkeys(grid.k_of(k) for k in KS))


def _trial(method, k, loss):
    return Trial(NETVLAD, method, None if method == SKYLINE else k, loss)


def _row(results, grid, method, loss, ks):
    # The Skyline's scores are repeated in every column, as in Table 1.
    trials = [_trial(method, k, loss) for k in ks]
    papers = [published.table5(method, trial.k) for trial in trials]
    title = tables.title_of(trials[0])
    return tables.Row((title,), tables.score_values(results, grid, trials, papers))
