"""Table 6: do fewer frames still save computation, and a teacher still help, where the network is small already?

    python -m reproduce table6 --data=yt8m/frame --output_dir=experiments

Skyline, Uniform-30 and serial student of all three losses, with the multiply-adds of each.

Found (CVPR 2019, Table 6): a tenth of the FLOPs; the student is above Uniform-30 by 0.015 mAP, in GAP by 0.006 only.

Cost: 3 trainings, one of them of all frames.
"""

from reproduce import flops, published, tables
from reproduce.cells import ALL_LOSSES, NEXTVLAD, SKYLINE, Cell
from youtube8m_distill import schema

TITLE = "Table 6: NeXtVLAD with k frames"
QUESTION = "Do fewer frames still save computation, and a teacher still help, where the network is small already?"
EXPECTED = (
    "With a tenth of the FLOPs (0.134 of 1.337 billion) the student reaches GAP 0.818 and mAP 0.439, "
    "Uniform-30 0.812 and 0.424; the Skyline has 0.831 and 0.464."
)

K = 30
LOSSES = {SKYLINE: (), "uniform": (), "serial": ALL_LOSSES}  # method -> student's loss, in the order of the lines
GIGA = "1e9 multiply-adds a video"
NOTE = (
    "The paper's FLOPs are the multiply-adds of what is done to each frame's rgb, at the published size, and so "
    "proportional to the frames. In the whole network as run, hidden layer and classifier cost the same at any k."
)


def plan(grid):
    k = grid.k_of(K)
    return [Cell(NEXTVLAD, SKYLINE), Cell(NEXTVLAD, "uniform", k), Cell(NEXTVLAD, "serial", k, ALL_LOSSES)]


def outputs(results, grid):
    k = grid.k_of(K)
    rows = tuple(_row(results, grid, method, k) for method in LOSSES)
    columns = (*tables.score_columns([f"k={k}"]), (GIGA, "by the paper's formula"), (GIGA, "of the network as run"))
    note = f"{NOTE} {tables.reading_note(results, 'CVPR 2019, Table 6')}"
    return tables.finished(tables.Table("table6", TITLE, ("Model",), columns, rows, note))


def _row(results, grid, method, k):
    cell = Cell(NEXTVLAD, method, None if method == SKYLINE else k, LOSSES[method])
    scores = tables.score_values(results, grid, [cell], [published.table6(method, cell.k)])
    # All seeds of a cell cost the same.
    costs = results.scores(cell, "multiply_adds") if grid.wants(cell) else []
    formula = flops.papers_nextvlad_multiply_adds(cell.k or schema.MAX_FRAMES) / 1e9 if costs else None
    by_formula = tables.Value.plain(formula, published.TABLE6_GIGA.get((method, cell.k)))
    as_run = tables.Value.plain(costs[0] / 1e9 if costs else None)
    return tables.Row((tables.METHOD_TITLES[method],), (*scores, by_formula, as_run))
