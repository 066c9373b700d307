"""Table 3: how many multiply-adds and how much time does a video with k frames cost?

    python -m reproduce table3 --data=yt8m/frame --output_dir=experiments

At inference, a student costs the same as Uniform-k, so only Skyline and Uniform-k are measured. The table shows
multiply-adds by the papers' formula and for the whole network, and videos per second from files to scores. Speeds are
measured with one network after the other, in several rounds.

Paper (CVPR 2019, Table 3): 30 frames take a tenth of the FLOPs. On Tesla K80s, the original validation set takes 9.11 hours
instead of 13.00.

Cost: 6 trainings, all of them in Table 1, and several passes over the held-out videos with each network.
"""

from reproduce import flops, published, tables
from reproduce.trials import HRNN, SKYLINE, Trial
from youtube8m_distill import config as configs
from youtube8m_distill import schema

TITLE = "Table 3: cost of a video for H-RNN with k frames"
QUESTION = "How many multiply-adds and how much time does a video with k frames cost?"
EXPECTED = (
    "30 frames take a tenth of the FLOPs (0.520 of 5.058 billion) and 9.11 of 13.00 hours. 10 frames take 0.167 billion and "
    "7.61 hours."
)

GIGA, FRACTION = "1e9 multiply-adds per video", "fraction of the Skyline's"
COLUMNS = (
    ("", "frames"),
    (GIGA, "papers' formula"),
    (GIGA, "network as run"),
    (FRACTION, "multiply-adds"),
    ("", "videos per second"),
    (FRACTION, "time"),
)
NOTE = (
    "The papers' FLOPs are multiply-adds. Counting products and sums separately gives twice as many. The papers' formula "
    "covers the lower LSTM on rgb alone and a logistic classifier, at the published sizes. The network as run is the whole "
    "network at the sizes of this experiment. The papers' numbers for k=10 and k=20 are those that the formula gives for 9 "
    "and 15 frames. In parentheses: CVPR 2019, Table 3, whose time is in hours on Tesla K80s."
)


def plan(grid):
    return [Trial(HRNN, SKYLINE), *(Trial(HRNN, "uniform", k) for k in grid.ks)]


def timing(grid):
    return plan(grid)


def outputs(results, grid):
    costs = {trial.k: _multiply_adds(results, trial) for trial in plan(grid) if grid.wants(trial)}
    rates = {k: rate for k, rate in results.speeds(HRNN).items() if k in costs}
    rows = tuple(_row(k, costs, rates) for k in costs if costs[k] is not None or k in rates)
    note = f"{NOTE}{tables.speed_note(results, HRNN)}"
    found = tables.finished(tables.Table("table3", TITLE, ("Model",), COLUMNS, rows, note))
    return [*found, flops.cost_table(configs.network_config(HRNN))] if found else []


def _multiply_adds(results, trial):
    """Multiply-adds of the whole network as run; None if the trial is not finished. They are the same for all seeds."""
    return next(iter(results.scores(trial, "multiply_adds")), None)


def _row(k, costs, rates):
    frames = schema.MAX_FRAMES if k is None else k
    formula = flops.papers_multiply_adds(frames, flops.CVPR_CLASSES)
    paper, skyline = published.table3(k), published.table3(None)
    return tables.Row(
        ("Teacher-Skyline" if k is None else f"k={k}",),
        (
            str(frames),
            tables.Value.plain(formula / 1e9, paper.giga),
            tables.Value.plain(_quotient(costs[k], 1e9)),
            tables.Value.plain(_quotient(costs[k], costs.get(None)), _quotient(paper.giga, skyline.giga)),
            tables.Value.plain(rates.get(k), digits=0),
            tables.Value.plain(_quotient(rates.get(None), rates.get(k)), _quotient(paper.hours, skyline.hours)),
        ),
    )


def _quotient(numerator, denominator):
    """The quotient; None if either number is unknown."""
    return None if numerator is None or denominator is None else numerator / denominator
