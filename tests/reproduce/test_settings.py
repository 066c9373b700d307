"""The run configuration of each trial equals the one of its command."""

import dataclasses
import json
import shlex

import pytest

from reproduce import settings as settings_module
from reproduce.grid import Grid
from reproduce.recipes import RECIPES, table1
from reproduce.settings import ExperimentSettings, check_settings, run_folder, write_settings
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, HRNN, NETVLAD, NEXTVLAD, SKIP_NETWORK, SKYLINE, Trial
from tests import commands
from youtube8m_distill import config
from youtube8m_distill.cli import run_config
from youtube8m_distill.config import recipes
from youtube8m_distill.errors import SettingError

TRIALS = sorted({trial for recipe in RECIPES.values() for trial in Grid(seeds=2).trials(recipe.plan(Grid(seeds=2)))})


@pytest.fixture
def settings(tmp_path):
    patterns = [
        commands.write_files(tmp_path / "data", name, commands.frame_videos(4)) for name in ("train", "validate", "eval")
    ]
    excluded = tmp_path / "bad_records.csv"
    excluded.write_text("file,record,reason\ntrain0.tfrecord,3,its labels are invalid\n")
    return ExperimentSettings(
        train_data_pattern=patterns[0],
        validation_data_pattern=patterns[1],
        eval_data_pattern=patterns[2],
        exclude_records=str(excluded),
        features=config.FeatureConfig(names=("rgb", "audio"), sizes=(6, 3)),
        num_classes=commands.NUM_CLASSES,
        network={"lstm_cells": 4, "nextvlad_cluster_size": 4, "groups": 2, "expansion": 2, "dropout": 0.25},
        training={"batch_size": 4, "num_epochs": 3, "finetune_epochs": 2, "base_learning_rate": 0.01},
    )


def by_command(trial, settings, folder):
    """The RunConfig that `yt8m train` makes of a trial's command. Its teacher must exist."""
    program, subcommand, *arguments = shlex.split(settings_module.command(trial, settings, folder))
    assert (program, subcommand) == ("yt8m", "train")
    with commands.parsed("train", *arguments):
        run_config.check_flags()
        return run_config.from_flags()[0]


# One trial for each kind of command; families other than H-RNN have no other kinds.
KINDS = [
    Trial(HRNN, SKYLINE),
    Trial(HRNN, "first_middle_last", 6, seed=1),
    Trial(HRNN, "parallel", 10, ("rep", "ce"), True),
    Trial(HRNN, "serial", 10, ("rep",)),
    Trial(HRNN, "serial", 10, CONTROL_LOSS),
    Trial(HRNN, "serial", 10, ALL_LOSSES, recipe="best"),
    Trial(HRNN, "serial", 10, ALL_LOSSES, recipe="release"),
    Trial(HRNN, "serial", 30, ALL_LOSSES, True),
    Trial(HRNN, "serial", 30, ALL_LOSSES, train_fraction=0.1),
    Trial(NEXTVLAD, "uniform", 30),
    Trial(NEXTVLAD, "serial", 30, ALL_LOSSES),
    Trial(SKIP_NETWORK, "skipframe", 3, reward="delayed", actions="alt-1-5"),
    Trial(SKIP_NETWORK, "uniform", 3),
]


@pytest.mark.parametrize("trials", [KINDS, pytest.param(TRIALS, marks=pytest.mark.slow)], ids=["kinds", "all"])
def test_the_command_of_a_trial_gives_its_configuration(tmp_path, settings, trials):
    for trial in trials:
        if trial.teacher:
            teacher = settings_module.run_config(trial.teacher, settings, tmp_path).networks["teacher"]
            if not run_folder(tmp_path, trial.teacher).exists():
                commands.save_run(run_folder(tmp_path, trial.teacher), teacher)
        assert by_command(trial, settings, tmp_path) == settings_module.run_config(trial, settings, tmp_path), trial.name


@pytest.mark.parametrize("recipe", ["cvpr2019", "release"])
def test_the_command_of_a_trial_names_the_recipe(tmp_path, settings, recipe):
    settings = settings.replace(recipe=recipe)
    for trial in [trial for trial in KINDS if trial.family == HRNN]:
        if trial.teacher:
            teacher = settings_module.run_config(trial.teacher, settings, tmp_path).networks["teacher"]
            if not run_folder(tmp_path, trial.teacher).exists():
                commands.save_run(run_folder(tmp_path, trial.teacher), teacher)
        found = settings_module.run_config(trial, settings, tmp_path)
        assert found.recipe == (trial.recipe or recipe) and by_command(trial, settings, tmp_path) == found, trial.name


def test_a_student_of_another_recipe_differs_from_the_experiments_in_the_values_of_the_recipe(tmp_path, settings):
    trial = Trial(HRNN, "serial", 10, ALL_LOSSES)
    usual = settings_module.run_config(trial, settings, tmp_path)
    best = settings_module.run_config(dataclasses.replace(trial, recipe="best"), settings, tmp_path)
    assert best == usual.replace(
        recipe="best",
        distillation=usual.distillation.replace(start_from_teacher=True),
        training=usual.training.replace(jitter_frames=True),
    )


def test_a_recipe_may_set_the_terms_and_the_schedule_of_a_student(tmp_path, settings, monkeypatch):
    values = {"student_loss": ("rep", "relation"), "relation_weight": 9.0, "topk_weight": 8.0}
    recipe = dataclasses.replace(
        config.RECIPES["best"],
        distillation={name: recipes.Value(value, "ours") for name, value in values.items()},
        training={"learning_rate_decay": recipes.Value(0.5, "ours"), "num_epochs": recipes.Value(7, "ours")},
    )
    monkeypatch.setitem(config.RECIPES, "best", recipe)
    *_, trial = table1.plan(Grid(ks=(10,), student_recipes=("best",)))
    assert trial.student_loss == ("rep", "relation")
    settings = settings.replace(training={"batch_size": 4})
    commands.save_run(
        run_folder(tmp_path, trial.teacher),
        settings_module.run_config(trial.teacher, settings, tmp_path).networks["teacher"],
    )
    found = settings_module.run_config(trial, settings, tmp_path)
    assert by_command(trial, settings, tmp_path) == found
    assert (found.distillation.relation_weight, found.distillation.topk_weight) == (9.0, 1.0)
    assert (found.training.learning_rate_decay, found.training.num_epochs) == (0.5, 7)
    with commands.parsed(
        "train", "--train_data_pattern=none", "--mode=serial", "--recipe=best", "--teacher_dir=none"
    ) as flags:
        run_config.check_flags()
        assert flags.student_loss == ("rep", "relation") and flags.topk_weight is None


def test_a_skipframe_sees_all_frames_and_has_its_budget_reward_and_skips(settings, tmp_path):
    settings = settings.replace(network={**settings.network, "skip_entropy_weight": 0.5})
    trial = Trial(SKIP_NETWORK, "skipframe", 3, reward="immediate", actions="1-4")
    network = settings_module.run_config(trial, settings, tmp_path).networks["teacher"]
    assert network.view == config.FrameView() and network.max_frames == 300
    expected = {"skip_budget": 3, "skip_reward": "immediate", "skip_actions": "1-4", "skip_entropy_weight": 0.5}
    assert expected.items() <= network.settings().items() and network.settings()["lstm_cells"] == 4
    control = settings_module.run_config(Trial(SKIP_NETWORK, "uniform", 3), settings, tmp_path).networks["teacher"]
    assert control.view == config.FrameView(frame_selection="uniform", frames_per_video=3)
    assert {"skip_budget": 3, "skip_actions": "1-2", "lstm_cells": 4}.items() <= control.settings().items()
    hrnn = settings_module.run_config(Trial(HRNN, "uniform", 3), settings, tmp_path).networks["teacher"]
    assert not {name for name in hrnn.settings() if name.startswith("skip_")}


def test_a_folder_from_before_recipes_has_the_default_one(tmp_path, settings):
    write_settings(settings, tmp_path)
    assert "recipe" not in json.loads((tmp_path / "settings.json").read_text())
    check_settings(settings, tmp_path)
    with pytest.raises(SettingError, match=r"recipe \(not set there, cvpr2019 here\)"):
        check_settings(settings.replace(recipe="cvpr2019"), tmp_path)


def test_every_trial_has_a_unique_name_and_run(settings, tmp_path):
    assert len({trial.name for trial in TRIALS}) == len(TRIALS)
    configs = [config.to_json(settings_module.run_config(trial, settings, tmp_path)) for trial in TRIALS]
    assert len(set(configs)) == len(TRIALS)


def test_a_given_learning_rate_keeps_the_published_ratio_between_families(settings, tmp_path):
    rates = {
        family: settings_module.run_config(Trial(family, SKYLINE), settings, tmp_path).training.base_learning_rate
        for family in (HRNN, NETVLAD, NEXTVLAD)
    }
    assert rates == pytest.approx({HRNN: 0.01, NETVLAD: 0.002, NEXTVLAD: 0.002})  # 0.001, 0.0002, 0.0002 published


@pytest.mark.parametrize("fraction, epochs", [(1.0, 3), (0.1, 30)])
def test_same_steps_trains_on_fewer_videos_for_more_epochs(settings, tmp_path, fraction, epochs):
    trial = Trial(HRNN, "uniform", 10, train_fraction=fraction)
    assert settings_module.run_config(trial, settings, tmp_path).training.num_epochs == 3
    same = settings.replace(same_steps=True)
    assert settings_module.run_config(trial, same, tmp_path).training.num_epochs == epochs
    assert by_command(trial, same, tmp_path) == settings_module.run_config(trial, same, tmp_path)


@pytest.mark.parametrize(
    "trial, stored",
    [
        (Trial(HRNN, "serial", 10, ALL_LOSSES), True),
        (Trial(HRNN, "serial", 10, ALL_LOSSES, True), False),
        (Trial(HRNN, "serial", 10, CONTROL_LOSS), False),
        (Trial(HRNN, "serial", 10, ALL_LOSSES, train_fraction=0.5), False),
        (Trial(HRNN, "parallel", 10, ALL_LOSSES), False),
    ],
)
def test_targets_are_stored_if_several_students_share_a_teacher(settings, tmp_path, trial, stored):
    found = settings_module.run_config(trial, settings, tmp_path).teacher_targets_dir
    assert found == (str(tmp_path / "targets" / trial.teacher.name) if stored else "")
    none = settings.replace(store_targets=False)
    assert settings_module.run_config(trial, none, tmp_path).teacher_targets_dir == ""


def test_an_experiment_is_resumed_only_with_the_same_settings(settings, tmp_path):
    check_settings(settings, tmp_path)
    write_settings(settings, tmp_path)
    check_settings(settings.replace(train_data_pattern="elsewhere/*", store_targets=False), tmp_path)
    other = settings.replace(training={**settings.training, "batch_size": 8})
    with pytest.raises(SettingError, match=r"output_dir=.* other settings: batch_size \(4 there, 8 here\)"):
        check_settings(other, tmp_path)


def test_an_experiment_of_format_1_is_resumed(settings, tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"format": 1, **settings.to_dict()}))
    check_settings(settings, tmp_path)
    write_settings(settings, tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text())["format"] == 2


def test_the_description_of_the_data_is_kept_until_a_new_one_is_given(settings, tmp_path):
    for given, kept in (("Made up.", "Made up."), ("", "Made up."), ("Other words.", "Other words.")):
        write_settings(settings.replace(about_data=given), tmp_path)
        assert settings_module.read_settings(tmp_path)["about_data"] == kept


def test_of_two_experiments_started_at_once_the_first_wins(settings, tmp_path):
    other = settings.replace(num_classes=7)
    for each in (settings, other):  # both find an empty folder
        check_settings(each, tmp_path)
    write_settings(settings, tmp_path)
    with pytest.raises(SettingError, match=r"num_classes \(5 there, 7 here\)"):
        write_settings(other, tmp_path)
    check_settings(settings, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"data", "bad_records.csv", "settings.json"}


def test_the_digest_depends_only_on_settings_that_may_not_change(settings):
    same = settings.replace(train_data_pattern="elsewhere/*", about_data="Other words.", store_targets=False)
    assert settings_module.digest(same) == settings_module.digest(settings)
    for change in ({"num_classes": 7}, {"same_steps": True}, {"fingerprints": {"eval_data_pattern": "3 files"}}):
        assert settings_module.digest(settings.replace(**change)) != settings_module.digest(settings)


def test_the_digest_is_the_one_of_earlier_versions():
    settings = ExperimentSettings(
        train_data_pattern="a*",
        validation_data_pattern="b*",
        eval_data_pattern="c*",
        network={"lstm_cells": 4},
        training={"base_learning_rate": 0.01},
    )
    assert settings_module.digest(settings) == "cc26dbe84cec3d52"
