"""Trials on segments have names, prerequisites, and an order of work, and refuse invalid settings."""

import pytest

from reproduce.grid import Grid
from reproduce.recipes import SEGMENT_RECIPES
from reproduce.segment_trials import DBOF, FINETUNED, MIX, MIX_LARGE, MOD, NEXTVLAD, PRETRAINED, SCRATCH, SegmentTrial
from reproduce.trials import with_prerequisites

TRIALS = {trial for recipe in SEGMENT_RECIPES.values() for trial in Grid().trials(recipe.plan(Grid()))}


def test_the_tables_need_15_trainings_of_which_5_are_on_videos():
    """On segments, Table 1 needs 5 networks, one of them the MOD, and Table 2 adds 5."""
    assert len(TRIALS) == 15 and len({trial for trial in TRIALS if trial.method == PRETRAINED}) == 5
    assert len({trial.name for trial in TRIALS}) == 15


def test_all_temperatures_share_their_pretraining():
    trials = [SegmentTrial(MIX, FINETUNED, temperature, seed=2) for temperature in (0.0, 1.0, 10.0, 20.0)]
    assert {trial.prerequisite for trial in trials} == {SegmentTrial(MIX, PRETRAINED, seed=2)}
    assert trials[0].name == "MixNeXtVLAD-finetuned-T0-seed2" and trials[3].name == "MixNeXtVLAD-finetuned-T20-seed2"


def test_networks_that_are_not_fine_tuned_need_nothing():
    assert SegmentTrial(DBOF, SCRATCH).prerequisite is SegmentTrial(NEXTVLAD, PRETRAINED).prerequisite is None


def test_a_seed_is_finished_before_the_next_begins_and_pretraining_comes_first():
    trials = with_prerequisites([SegmentTrial(NEXTVLAD, FINETUNED, seed=seed) for seed in (1, 0)])
    assert [(trial.seed, trial.method) for trial in trials] == [
        (0, PRETRAINED),
        (0, FINETUNED),
        (1, PRETRAINED),
        (1, FINETUNED),
    ]


def test_only_the_two_most_expensive_networks_have_other_seeds():
    grid = Grid(seeds=3, other_seeds=2)
    seeds = {trial.network: grid.num_seeds(trial) for trial in TRIALS}
    assert {network for network, count in seeds.items() if count == 2} == {MIX_LARGE, MOD}
    assert set(seeds.values()) == {2, 3}


@pytest.mark.parametrize(
    "values, words",
    [
        (("LSTM", SCRATCH), "network=LSTM: is unknown; choose one of DBoF, NeXtVLAD"),
        ((DBOF, "serial"), "method=serial: is unknown"),
        ((MIX, FINETUNED), "temperature"),
        ((MIX, PRETRAINED, 1.0), "temperature=1"),
        ((NEXTVLAD, FINETUNED, 20.0), "temperature=20"),
    ],
)
def test_an_invalid_trial_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        SegmentTrial(*values)
