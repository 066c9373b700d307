"""Made-up results with scores near the papers', for tests of tables, figures, and the report."""

import math
import random

from reproduce.recipes import RECIPES
from reproduce.results import Result, Results
from reproduce.tables import row_of
from reproduce.trials import BASELINES, SKYLINE
from youtube8m_distill import schema

SKYLINE_GAP = 0.811
BELOW_SKYLINE = {
    "uniform": 0.25,
    "random": 0.4,
    "first_middle_last": 0.6,
    "middle": 0.8,
    "first": 1.0,
    "last": 1.8,
    "serial": 0.15,
    "control": 0.18,
    "parallel": 0.16,
    "skipframe": 0.2,
}
BELOW_GAP_REWARD = {"delayed": 0.02, "immediate": 0.04}  # of SkipFrame


def made_up_gap(trial, noise=0.001):
    """A GAP that decreases with fewer frames and fewer videos; deterministic for each trial."""
    gap = SKYLINE_GAP * trial.train_fraction**0.05 + (0.01 if trial.recipe else 0)
    if trial.method != SKYLINE:
        fewer_videos = trial.train_fraction ** (-0.3 if trial.method in BASELINES else 0)
        below = BELOW_SKYLINE[row_of(trial)] * fewer_videos / math.sqrt(trial.k)
        gap -= below + BELOW_GAP_REWARD.get(trial.reward, 0)
    return gap + noise * random.Random(trial.name).gauss(0, 1)


def made_up_result(trial, gap=None):
    """A Result with all keys of a real one."""
    gap = made_up_gap(trial) if gap is None else gap
    frames = trial.k or schema.MAX_FRAMES

    def measures(gap):
        return {
            "gap_at_20": gap,
            "mean_average_precision": gap / 2,
            "hit_at_one": gap + 0.05,
            "perr": gap - 0.05,
            "loss": 10 - gap,
            "num_videos": 1000,
        }

    networks = {
        role: {
            **measures(gap),
            "multiply_adds": 19_000_000 * frames + 16_000_000,
            "parameters": 125_000_000,
            "max_frames": frames,
            "step": 500,
            "epoch": 5,
        }
        for role in trial.roles
    }
    history = {role: [{"epoch": epoch, **measures(gap - 0.1 / epoch)} for epoch in range(1, 6)] for role in trial.roles}
    return Result(
        trial,
        networks,
        history,
        f"yt8m train --train_dir=runs/{trial.name}",
        {"mode": "teacher", "recipe": trial.recipe or "cvpr2019"},
        {"seconds": 12.5, "machine": "2 cores", "data": "made up"},
    )


def made_up_results(grid):
    """Results of all trials of all recipes, with timings."""
    trials = {trial: None for recipe in RECIPES.values() for trial in grid.trials(recipe.plan(grid))}
    timings = {
        family: {
            "networks": [
                {
                    "k": k,
                    "max_frames": k or 300,
                    "multiply_adds": 19_000_000 * (k or 300),
                    "videos_per_second": [30_000 / (k or 300), 30_300 / (k or 300)],
                }
                for k in (None, *grid.ks)
            ],
            "num_videos": 1000,
            "machine": "2 cores",
        }
        for family in grid.families
    }
    return Results(map(made_up_result, trials), timings)
