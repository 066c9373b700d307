"""A grid selects trials and their seeds."""

import pytest

from reproduce.grid import Grid
from reproduce.recipes import skipframe, table1
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, HRNN, NETVLAD, SKIP_NETWORK, SKYLINE, Trial

PLAN = [
    Trial(HRNN, SKYLINE),
    Trial(HRNN, "uniform", 6),
    Trial(HRNN, "last", 10),
    Trial(HRNN, "serial", 10, ALL_LOSSES),
    Trial(NETVLAD, SKYLINE),
]


def test_the_default_grid_has_all_trials_of_table_1():
    assert len(Grid().trials(table1.plan(Grid()))) == 1 + 5 * (6 + 3 + 5 + 1)


def test_seeds_apply_to_the_main_trials_and_other_seeds_to_the_rest():
    trials = Grid(seeds=3, other_seeds=2).trials(
        [
            *PLAN,
            Trial(HRNN, "serial", 10, ALL_LOSSES, match_intermediate=True),
            Trial(HRNN, "serial", 10, ("rep",)),
            Trial(HRNN, "serial", 10, CONTROL_LOSS),
            Trial(HRNN, "uniform", 6, train_fraction=0.5),
        ]
    )
    counts = {}
    for trial in trials:
        counts[trial.with_seed(0)] = counts.get(trial.with_seed(0), 0) + 1
    assert list(counts.values()) == [3, 3, 2, 3, 2, 2, 2, 3, 2]


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


@pytest.mark.parametrize(
    "options, num_trials",
    [
        ({}, 2 + 2 + 4 + 2 + 5 * 2),
        ({"methods": ("skipframe",)}, 5 * 2),
        ({"methods": ("uniform", "random")}, 2 + 1 + 2),
        ({"families": (HRNN,)}, 2 + 2 + 4),
        ({"families": (SKIP_NETWORK,)}, 2 + 5 * 2),
        ({"families": (NETVLAD,)}, 0),
    ],
)
def test_a_grid_restricts_skipframe_and_its_baselines(options, num_trials):
    """With two seeds of the Skyline, of both networks on Uniform, and of the five SkipFrames, and one seed of the rest."""
    grid = Grid(seeds=2, other_seeds=1, **options)
    assert len(grid.trials(skipframe.plan(grid))) == num_trials


def test_the_budget_and_the_skips_of_a_grid_are_those_of_its_trials():
    grid = Grid(ks=(3, 4), skip_actions="1-4")
    trials = [trial for trial in grid.trials(skipframe.plan(grid)) if trial.method == "skipframe"]
    assert {(trial.k, trial.actions) for trial in trials} == {(4, "1-4"), (4, "alt-1-4")}
    assert trials[0].name == "SkipFrameModel-skipframe-k4-delayed-1-4-seed0"


@pytest.mark.parametrize(
    "values",
    [
        {"family": SKIP_NETWORK, "method": "skipframe", "k": 4, "reward": "gap"},
        {"family": SKIP_NETWORK, "method": "skipframe", "k": 4, "actions": "1-4"},
        {"family": HRNN, "method": "uniform", "k": 4, "actions": "1-4"},
    ],
)
def test_only_skipframe_has_a_reward_and_actions(values):
    with pytest.raises(ValueError, match="reward=.*and actions must be given for the method skipframe"):
        Trial(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"family": HRNN, "method": "skipframe", "k": 4, "reward": "gap", "actions": "1-4"},
        {"family": SKIP_NETWORK, "method": "first", "k": 4},
    ],
)
def test_only_the_network_of_skipframe_chooses_frames_and_its_only_baseline_is_uniform(values):
    with pytest.raises(ValueError, match="family=.* is invalid for the method"):
        Trial(**values)


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
        ({"skip_actions": "5"}, "skip_actions=5: must be FROM-TO"),
        ({"student_recipes": ("worst",)}, "student_recipes=worst: is unknown; choose among default"),
        ({"student_recipes": ("starter",)}, "student_recipes=starter: describes LogisticModel"),
        ({"student_recipes": ("best", "best")}, "student_recipes: contains duplicates"),
        ({"skip_actions": "alt-5-25"}, "skip_actions=alt-alt-5-25"),
    ],
)
def test_an_invalid_grid_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Grid(**options)


def test_a_student_of_another_recipe_has_the_recipe_in_its_name_and_the_same_teacher():
    trial = Trial(HRNN, "serial", 10, ALL_LOSSES)
    of_recipe = Trial(HRNN, "serial", 10, ALL_LOSSES, recipe="best")
    assert trial.name == "HierarchicalLstmModel-serial-k10-rep+pred+ce-seed0"
    assert of_recipe.name == "HierarchicalLstmModel-serial-k10-rep+pred+ce-recipe_best-seed0"
    assert of_recipe.teacher == trial.teacher and of_recipe.is_added and not trial.is_added


@pytest.mark.parametrize(
    "recipe, words", [("best", "recipe=best: is only for the method serial"), ("worst", "recipe=worst")]
)
def test_only_serial_students_have_a_recipe_of_their_own(recipe, words):
    with pytest.raises(ValueError, match=words):
        Trial(HRNN, "parallel" if recipe == "best" else "serial", 10, ALL_LOSSES, recipe=recipe)
