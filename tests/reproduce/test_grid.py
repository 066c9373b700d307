"""A grid selects trials and their seeds."""

import pytest

from reproduce.grid import Grid
from reproduce.recipes import table1
from reproduce.trials import ALL_LOSSES, HRNN, NETVLAD, SKYLINE, Trial

PLAN = [
    Trial(HRNN, SKYLINE),
    Trial(HRNN, "uniform", 6),
    Trial(HRNN, "last", 10),
    Trial(HRNN, "serial", 10, ALL_LOSSES),
    Trial(NETVLAD, SKYLINE),
]


def test_the_default_grid_has_all_trials_of_table_1():
    assert len(Grid().trials(table1.plan(Grid()))) == 1 + 5 * (6 + 3 + 5)


def test_seeds_apply_to_the_main_trials_and_other_seeds_to_the_rest():
    trials = Grid(seeds=3, other_seeds=2).trials(
        [
            *PLAN,
            Trial(HRNN, "serial", 10, ALL_LOSSES, match_intermediate=True),
            Trial(HRNN, "serial", 10, ("rep",)),
            Trial(HRNN, "uniform", 6, train_fraction=0.5),
        ]
    )
    counts = {}
    for trial in trials:
        counts[trial.with_seed(0)] = counts.get(trial.with_seed(0), 0) + 1
    assert list(counts.values()) == [3, 3, 2, 3, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "options, remaining",
    [
        ({"families": (NETVLAD,)}, PLAN[4:]),
        ({"ks": (6,)}, [PLAN[0], PLAN[1], PLAN[4]]),
        ({"methods": ("last",)}, [PLAN[2]]),
        ({"methods": ("serial",)}, [PLAN[0], PLAN[3]]),
    ],
    ids=["families", "ks", "methods", "a student needs its teacher"],
)
def test_a_grid_restricts_a_plan(options, remaining):
    assert list(Grid(**options).trials(PLAN)) == remaining


@pytest.mark.parametrize("ks, wanted, found", [((6, 10, 30), 30, 30), ((6, 10), 30, 10), ((6, 10, 20), 15, 10)])
def test_the_k_nearest_to_the_papers_is_used(ks, wanted, found):
    assert Grid(ks=ks).k_of(wanted) == found


@pytest.mark.parametrize(
    "options, words",
    [
        ({"ks": (10, 6)}, "ks=10,6: give increasing whole numbers from 1 to 300"),
        ({"ks": ()}, "ks=: give"),
        ({"ks": (0, 6)}, "ks=0,6"),
        ({"families": ("DbofModel",)}, "families=DbofModel: is unknown; choose"),
        ({"methods": ()}, "methods: is empty"),
        ({"methods": ("first", "first")}, "methods=first,first: contains duplicates"),
        ({"seeds": 0}, "seeds=0"),
    ],
)
def test_an_invalid_grid_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Grid(**options)
