"""A cell's run is the one that its command gives train.py, whatever the cell."""

import dataclasses
import shlex

import pytest

from reproduce import settings as settings_module
from reproduce.cells import ALL_LOSSES, HRNN, NETVLAD, NEXTVLAD, SKYLINE, Cell
from reproduce.grid import Grid
from reproduce.recipes import RECIPES
from reproduce.settings import Settings, check_settings, keep_settings, run_folder
from tests import commands
from youtube8m_distill import config
from youtube8m_distill.cli import run_config

CELLS = sorted({cell for recipe in RECIPES.values() for cell in Grid(seeds=2).cells(recipe.plan(Grid(seeds=2)))})


@pytest.fixture
def settings(tmp_path):
    patterns = [
        commands.write_files(tmp_path / "data", name, commands.frame_videos(4)) for name in ("train", "validate", "eval")
    ]
    return Settings(
        *patterns,
        config.FeatureConfig(("rgb", "audio"), (6, 3)),
        commands.NUM_CLASSES,
        network={"lstm_cells": 4, "nextvlad_cluster_size": 4, "groups": 2, "expansion": 2, "dropout": 0.25},
        training={"batch_size": 4, "num_epochs": 3, "finetune_epochs": 2, "base_learning_rate": 0.01},
    )


def by_command(cell, settings, folder):
    """The RunConfig that train.py makes of a cell's command. Its teacher must be there."""
    program, *arguments = shlex.split(settings_module.command(cell, settings, folder))[1:]
    assert program == "train.py"
    with commands.parsed("train", *arguments):
        return run_config.config_from_flags()


@pytest.mark.parametrize("family", [HRNN, pytest.param(NETVLAD, marks=pytest.mark.slow), NEXTVLAD])
def test_command_and_configuration_are_one(tmp_path, settings, family):
    for cell in (cell for cell in CELLS if cell.family == family):
        if cell.teacher:
            teacher = settings_module.run_config(cell.teacher, settings, tmp_path).networks["teacher"]
            if not run_folder(tmp_path, cell.teacher).exists():
                commands.save_run(run_folder(tmp_path, cell.teacher), teacher)
        assert by_command(cell, settings, tmp_path) == settings_module.run_config(cell, settings, tmp_path), cell.name


def test_every_cell_has_a_name_and_a_run_of_its_own(settings, tmp_path):
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    configs = [config.to_json(settings_module.run_config(cell, settings, tmp_path)) for cell in CELLS]
    assert len(set(configs)) == len(CELLS)


def test_the_rate_given_is_the_hrnns_and_others_keep_their_published_proportion(settings, tmp_path):
    rates = {
        family: settings_module.run_config(Cell(family, SKYLINE), settings, tmp_path).training.base_learning_rate
        for family in (HRNN, NETVLAD, NEXTVLAD)
    }
    assert rates == pytest.approx({HRNN: 0.01, NETVLAD: 0.002, NEXTVLAD: 0.002})  # 0.001, 0.0002, 0.0002 published


@pytest.mark.parametrize("fraction, epochs", [(1.0, 3), (0.5, 6), (0.1, 30)])
def test_with_fewer_videos_there_are_as_many_steps_where_that_is_asked_for(settings, tmp_path, fraction, epochs):
    cell = Cell(HRNN, "uniform", 10, train_fraction=fraction)
    assert settings_module.run_config(cell, settings, tmp_path).training.num_epochs == 3
    same = dataclasses.replace(settings, same_steps=True)
    assert settings_module.run_config(cell, same, tmp_path).training.num_epochs == epochs
    assert by_command(cell, same, tmp_path) == settings_module.run_config(cell, same, tmp_path)


@pytest.mark.parametrize(
    "cell, stored",
    [
        (Cell(HRNN, "serial", 10, ALL_LOSSES), True),
        (Cell(HRNN, "serial", 10, ALL_LOSSES, True), False),
        (Cell(HRNN, "serial", 10, ALL_LOSSES, train_fraction=0.5), False),
        (Cell(HRNN, "parallel", 10, ALL_LOSSES), False),
    ],
)
def test_targets_are_stored_where_several_students_share_a_teachers(settings, tmp_path, cell, stored):
    found = settings_module.run_config(cell, settings, tmp_path).teacher_targets_dir
    assert found == (str(tmp_path / "targets" / cell.teacher.name) if stored else "")
    none = dataclasses.replace(settings, store_targets=False)
    assert settings_module.run_config(cell, none, tmp_path).teacher_targets_dir == ""


def test_an_experiment_goes_on_with_the_same_settings_only(settings, tmp_path):
    check_settings(settings, tmp_path)
    keep_settings(settings, tmp_path)
    check_settings(dataclasses.replace(settings, train_data_pattern="elsewhere/*", store_targets=False), tmp_path)
    other = dataclasses.replace(settings, training={**settings.training, "batch_size": 8})
    with pytest.raises(ValueError, match=r"output_dir=.* other settings: training is .*'batch_size': 4.* there and .*8"):
        check_settings(other, tmp_path)


def test_what_was_said_of_the_data_stays_until_something_else_is_said(settings, tmp_path):
    for said, kept in (("Made up.", "Made up."), ("", "Made up."), ("Other words.", "Other words.")):
        keep_settings(dataclasses.replace(settings, about_data=said), tmp_path)
        assert settings_module.read_settings(tmp_path)["about_data"] == kept


def test_of_two_experiments_begun_at_once_the_first_counts(settings, tmp_path):
    other = dataclasses.replace(settings, num_classes=7)
    for each in (settings, other):  # both find an empty folder
        check_settings(each, tmp_path)
    keep_settings(settings, tmp_path)
    with pytest.raises(ValueError, match="num_classes is 5 there and 7 now"):
        keep_settings(other, tmp_path)
    check_settings(settings, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != "data"] == ["settings.json"]


def test_the_digest_tells_what_cannot_be_compared(settings):
    same = dataclasses.replace(settings, train_data_pattern="elsewhere/*", about_data="Other words.", store_targets=False)
    assert settings_module.digest(same) == settings_module.digest(settings)
    for change in ({"num_classes": 7}, {"same_steps": True}, {"fingerprints": {"eval_data_pattern": "3 files"}}):
        assert settings_module.digest(dataclasses.replace(settings, **change)) != settings_module.digest(settings)
