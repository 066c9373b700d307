"""Table 5: does a teacher help a NetVLAD student, too?

    python -m reproduce table5 --data=yt8m/frame --output_dir=experiments

Skyline, Uniform-k and serial student of all three losses, the best of Table 1, at 10 and 30 frames.

Found (CVPR 2019, Table 5): yes. The student is above Uniform-k by 0.011 GAP at k=10, and by 0.009 at k=30.

Cost: 5 trainings, one of them of all frames.
"""

from reproduce import published, tables
from reproduce.cells import ALL_LOSSES, NETVLAD, SKYLINE, Cell

TITLE = "Table 5: NetVLAD with k frames"
QUESTION = "Does a teacher help a student of another kind, NetVLAD, too?"
EXPECTED = "The student is above Uniform-k: GAP 0.784 and 0.773 at k=10, 0.812 and 0.803 at k=30; the Skyline has 0.823."

KS = (10, 30)
LOSSES = {SKYLINE: (), "uniform": (), "serial": ALL_LOSSES}  # method -> student's loss, in the order of the lines


def plan(grid):
    return [
        Cell(NETVLAD, SKYLINE),
        *(cell for k in _ks(grid) for cell in (Cell(NETVLAD, "uniform", k), Cell(NETVLAD, "serial", k, ALL_LOSSES))),
    ]


def outputs(results, grid):
    ks = _ks(grid)
    rows = tuple(_row(results, grid, method, ks) for method in LOSSES)
    return tables.finished(
        tables.Table(
            "table5",
            TITLE,
            ("Model",),
            tables.score_columns(f"k={k}" for k in ks),
            rows,
            tables.reading_note(results, "CVPR 2019, Table 5"),
        )
    )


def _ks(grid):
    """The grid's k nearest to the paper's, none twice."""
    return tuple(dict.fromkeys(grid.k_of(k) for k in KS))


def _row(results, grid, method, ks):
    # The Skyline's scores stand in every column, as in Table 1.
    cells = [Cell(NETVLAD, method, None if method == SKYLINE else k, LOSSES[method]) for k in ks]
    papers = [published.table5(method, cell.k) for cell in cells]
    return tables.Row((tables.METHOD_TITLES[method],), tables.score_values(results, grid, cells, papers))
