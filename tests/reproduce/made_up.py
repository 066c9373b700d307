"""Results of trainings that never were, with scores near the papers', for tests of what is made of results."""

import math
import random

from reproduce.cells import BASELINES, SKYLINE
from reproduce.recipes import RECIPES
from reproduce.results import Result, Results
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
    "parallel": 0.16,
}


def made_up_gap(cell, noise=0.001):
    """A GAP that falls with fewer frames and fewer videos; the same for the same cell."""
    gap = SKYLINE_GAP * cell.train_fraction**0.05
    if cell.method != SKYLINE:
        fewer_videos = cell.train_fraction ** (-0.3 if cell.method in BASELINES else 0)
        gap -= BELOW_SKYLINE[cell.method] * fewer_videos / math.sqrt(cell.k)
    return gap + noise * random.Random(cell.name).gauss(0, 1)


def made_up_result(cell, gap=None):
    """A Result with everything that a real one has."""
    gap = made_up_gap(cell) if gap is None else gap
    frames = cell.k or schema.MAX_FRAMES

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
        for role in cell.roles
    }
    history = {role: [{"epoch": epoch, **measures(gap - 0.1 / epoch)} for epoch in range(1, 6)] for role in cell.roles}
    return Result(
        cell,
        networks,
        history,
        f"python train.py --train_dir=runs/{cell.name}",
        {"mode": "teacher"},
        {"seconds": 12.5, "machine": "2 cores", "data": "made up"},
    )


def made_up_results(grid):
    """Results of all cells of all recipes, timings too."""
    cells = {cell: None for recipe in RECIPES.values() for cell in grid.cells(recipe.plan(grid))}
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
    return Results(map(made_up_result, cells), timings)
