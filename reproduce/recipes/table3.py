"""Table 3: what does a video cost with k frames, in multiply-adds and in time?

    python -m reproduce table3 --data=yt8m/frame --output_dir=experiments

A student costs at inference what Uniform-k does, so Skyline and Uniform-k are measured: multiply-adds by the papers'
formula and of the whole network, and videos a second from files to scores, one network beside the other in several
rounds.

Found (CVPR 2019, Table 3): with 30 frames a tenth of the FLOPs, and 9.11 hours instead of 13.00 for the original
validation set on Tesla K80s.

Cost: 6 trainings, all of them in Table 1, and several readings of the held-out videos by each network.
"""

from reproduce import flops, published, tables
from reproduce.cells import HRNN, SKYLINE, Cell
from youtube8m_distill import config as configs
from youtube8m_distill import schema

TITLE = "Table 3: what a video costs an H-RNN with k frames"
QUESTION = "What does a video cost with k frames, in multiply-adds and in time?"
EXPECTED = (
    "With 30 frames 0.520 of 5.058 billion FLOPs, a tenth, and 9.11 of 13.00 hours; with 10 frames 0.167 "
    "billion and 7.61 hours."
)

GIGA, SHARE = "1e9 multiply-adds a video", "share of the Skyline's"
COLUMNS = (
    ("", "frames"),
    (GIGA, "by the papers' formula"),
    (GIGA, "of the network as run"),
    (SHARE, "multiply-adds"),
    ("", "videos a second"),
    (SHARE, "time"),
)
NOTE = (
    "What the papers call FLOPs are multiply-adds; products and sums counted apart are twice as many. Their "
    "formula has the lower LSTM on rgb alone, and a logistic classifier, at the published sizes; the network as "
    "run is whole, at the sizes it was run with. Their figures of k=10 and k=20 are what the formula gives for 9 "
    "and 15 frames. In brackets CVPR 2019, Table 3, whose time is in hours on Tesla K80s."
)


def plan(grid):
    return [Cell(HRNN, SKYLINE), *(Cell(HRNN, "uniform", k) for k in grid.ks)]


def timing(grid):
    return plan(grid)


def outputs(results, grid):
    costs = {cell.k: _multiply_adds(results, cell) for cell in plan(grid) if grid.wants(cell)}
    rates = {k: rate for k, rate in results.speeds(HRNN).items() if k in costs}
    rows = tuple(_row(k, costs, rates) for k in costs if costs[k] is not None or k in rates)
    note = f"{NOTE}{tables.speed_note(results, HRNN)}"
    found = tables.finished(tables.Table("table3", TITLE, ("Model",), COLUMNS, rows, note))
    return [*found, flops.cost_table(configs.network_config(HRNN))] if found else []


def _multiply_adds(results, cell):
    """int of the whole network at k frames, as run; None where it is not finished. All seeds cost the same."""
    return next(iter(results.scores(cell, "multiply_adds")), None)


def _row(k, costs, rates):
    frames = schema.MAX_FRAMES if k is None else k
    formula = flops.papers_multiply_adds(frames, flops.CVPR_CLASSES)
    paper, skyline = published.table3(k), published.table3(None)
    return tables.Row(
        ("Teacher-Skyline" if k is None else f"k={k}",),
        (
            str(frames),
            tables.Value.plain(formula / 1e9, paper.giga),
            tables.Value.plain(_over(costs[k], 1e9)),
            tables.Value.plain(_over(costs[k], costs.get(None)), _over(paper.giga, skyline.giga)),
            tables.Value.plain(rates.get(k), digits=0),
            tables.Value.plain(_over(rates.get(None), rates.get(k)), _over(paper.hours, skyline.hours)),
        ),
    )


def _over(numerator, denominator):
    """A quotient; None where either number is unknown."""
    return None if numerator is None or denominator is None else numerator / denominator
