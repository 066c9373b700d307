"""Table 6: do fewer frames still save computation, and does a teacher still help, when the network is already small?

    python -m reproduce table6 --data=yt8m/frame --output_dir=experiments

Compares the Skyline, Uniform-30, and the serial student with all three losses, with the multiply-adds of each. A
control is added: a serial student of the label loss alone.

Paper (CVPR 2019, Table 6): 30 frames take a tenth of the FLOPs. The student is above Uniform-30 by 0.015 in mAP and by 0.006
in GAP.

Cost: 4 trainings, one of them on all frames.
"""

from reproduce import flops, published, tables
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, NEXTVLAD, SKYLINE, Trial
from youtube8m_distill import schema

TITLE = "Table 6: NeXtVLAD with k frames"
QUESTION = "Do fewer frames still save computation, and does a teacher still help, when the network is already small?"
EXPECTED = (
    "With a tenth of the FLOPs (0.134 of 1.337 billion), the student reaches a GAP of 0.818 and an mAP of 0.439. Uniform-30 "
    "reaches 0.812 and 0.424, and the Skyline 0.831 and 0.464."
)

K = 30
METHODS_AND_LOSSES = ((SKYLINE, ()), ("uniform", ()), ("serial", CONTROL_LOSS), ("serial", ALL_LOSSES))  # the rows
GIGA = "1e9 multiply-adds per video"
NOTE = (
    "The paper's FLOPs are the multiply-adds of the work on each frame's rgb at the published size, so they are "
    "proportional to the number of frames. In the network as run, the hidden layer and the classifier cost the same at any "
    "k."
)


def plan(grid):
    k = grid.k_of(K)
    return [Trial(NEXTVLAD, method, None if method == SKYLINE else k, loss) for method, loss in METHODS_AND_LOSSES]


def outputs(results, grid):
    k = grid.k_of(K)
    rows = tuple(_row(results, grid, trial) for trial in plan(grid))
    columns = (*tables.score_columns([f"k={k}"]), (GIGA, "paper's formula"), (GIGA, "network as run"))
    note = f"{NOTE} {tables.reading_note(results, 'CVPR 2019, Table 6')} {tables.CONTROL_NOTE}"
    return tables.finished(tables.Table("table6", TITLE, ("Model",), columns, rows, note))


def _row(results, grid, trial):
    scores = tables.score_values(results, grid, [trial], [published.table6(trial.method, trial.k)])
    # All seeds of a trial cost the same.
    costs = results.scores(trial, "multiply_adds") if grid.wants(trial) else []
    formula = flops.papers_nextvlad_multiply_adds(trial.k or schema.MAX_FRAMES) / 1e9 if costs else None
    paper = None if trial.is_added else published.TABLE6_GIGA.get((trial.method, trial.k))
    by_formula = tables.Value.plain(formula, paper)
    as_run = tables.Value.plain(costs[0] / 1e9 if costs else None)
    return tables.Row((tables.title_of(trial),), (*scores, by_formula, as_run))
