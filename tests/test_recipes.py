import pytest

from tests import commands
from youtube8m_distill import config
from youtube8m_distill.cli import networks, run_config
from youtube8m_distill.errors import SettingError

HRNN = "HierarchicalLstmModel"


def asked(*arguments):
    """The RunConfig that `yt8m train` would check these flags with, before files are read."""
    with commands.parsed("train", "--train_data_pattern=none", *arguments):
        run_config.check_flags()
        return run_config._run_config(networks.new_network())


def explained(run):
    """Setting -> its Line, for a run's main network."""
    lines = config.explain(run.recipe, run.networks[run.main_role], run.training, run.distillation)
    return {line.name: line for line in lines}


@pytest.mark.parametrize(
    "name, model, mode",
    [
        (name, model, mode)
        for name, recipe in config.RECIPES.items()
        for model in recipe.models
        for mode in ("teacher", "parallel")
        if mode in recipe.modes and not (mode == "parallel" and model in config.VIDEO_LEVEL_MODELS)
    ],
)
def test_every_recipe_names_a_source_for_every_value(name, model, mode):
    loss = ["--student_loss=pred,ce"] if model == "FrameLevelLogisticModel" and mode == "parallel" else []
    lines = explained(asked(f"--recipe={name}", f"--model={model}", f"--mode={mode}", *loss))
    assert all(line.source and "not from the recipe" not in line.source for n, line in lines.items() if n != "student_loss")
    assert {"video_level_classifier_model", "batch_size", "base_learning_rate", "num_epochs"} <= lines.keys()
    assert ("prediction_distance" in lines) == (mode == "parallel")


def test_without_a_recipe_every_value_is_that_of_the_default_recipe():
    without, default = asked("--mode=parallel"), asked("--mode=parallel", "--recipe=default")
    assert without == default and without.recipe == "default"


def test_cvpr2019_is_what_the_paper_writes():
    run = asked("--recipe=cvpr2019", "--mode=parallel", "--match_intermediate", "--frames_per_video=30")
    student, teacher = run.networks["student"], run.networks["teacher"]
    assert student.classifier.model == teacher.classifier.model == "LogisticModel"
    assert (student.view.frame_selection, student.view.frames_per_video) == ("uniform", 30)
    assert (teacher.family.frames_per_block, student.family.frames_per_block) == (20, 5)
    assert run.distillation.intermediate_reduction == "sum" and run.distillation.share_classifier
    training = run.training
    assert (training.batch_size, training.base_learning_rate, training.learning_rate_decay) == (256, 0.001, 0.95)
    assert (training.num_epochs, training.regularization_penalty, student.family.dropout) == (5, 2.0, 0.5)
    assert explained(run)["intermediate_reduction"].source == "CVPR 2019, equation 3"


def test_release_is_what_the_authors_code_does():
    run = asked("--recipe=release", "--mode=parallel", "--batch_size=64")
    student, teacher, distillation = run.networks["student"], run.networks["teacher"], run.distillation
    assert (student.view.frame_selection, student.view.every_n) == ("strided", 10)
    assert (teacher.family.frames_per_block, student.family.frames_per_block) == (15, 6)  # 20 blocks of 300, 5 of 30
    assert student.classifier.model == "MoeModel" and student.family.dropout == 0.0
    assert (distillation.rep_weight, distillation.pred_weight, distillation.ce_weight) == (2.0, 64.0, 1.0)
    assert distillation.prediction_distance == "categorical_kl" and not distillation.share_classifier
    assert run.training.learning_rate_decay == 1.0 and run.training.batch_size == 64
    assert explained(run)["pred_weight"].source.endswith("summed over the batch, so the batch size")


def test_starter_has_its_batch_size():
    assert asked("--recipe=starter", "--model=LstmModel").training.batch_size == 1024
    assert asked("--recipe=starter", "--model=LogisticModel").training.base_learning_rate == 0.01


def test_a_flag_overrides_one_value_of_a_recipe():
    run = asked("--recipe=release", "--mode=parallel", "--dropout=0.3", "--pred_weight=2", "--frames_per_video=20")
    assert (run.networks["student"].family.dropout, run.distillation.pred_weight) == (0.3, 2.0)
    assert run.networks["student"].view.frames_per_video == 20 and run.networks["student"].family.frames_per_block == 4
    assert run.distillation.rep_weight == 2.0
    lines = explained(run)
    assert str(lines["dropout"]) == "dropout=0.3: not from the recipe, which has 0.0"
    assert str(lines["rep_weight"]) == "rep_weight=2.0: release of CVPR 2019: added twice"


def test_weights_of_terms_that_are_not_minimized_are_left_alone():
    run = asked("--recipe=release", "--mode=parallel", "--student_loss=ce")
    assert (run.distillation.rep_weight, run.distillation.pred_weight) == (1.0, 1.0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--recipe=release", "--model=NetVLADModelLF"], f"recipe=release: describes {HRNN}; choose one of them"),
        (["--recipe=starter", "--model=LstmModel", "--mode=parallel"], "does not describe --mode=parallel, only teacher"),
    ],
)
def test_a_recipe_for_other_networks_or_modes_is_refused(arguments, message):
    with pytest.raises(SettingError, match=message):
        asked(*arguments)


def test_a_serial_student_needs_a_teacher_that_the_recipe_describes(tmp_path):
    commands.save_run(tmp_path / "teacher", config.network_config("LstmModel", num_classes=3, lstm_cells=2))
    with commands.parsed(
        "train", "--train_data_pattern=none", "--mode=serial", f"--teacher_dir={tmp_path}/teacher", "--recipe=release"
    ):
        run_config.check_flags()
        with pytest.raises(SettingError, match=f"recipe=release: describes {HRNN}"):
            run_config.from_flags()[0]


def test_the_start_of_a_training_lists_the_values_and_sources_of_a_given_recipe(tmp_path):
    train_files = commands.write_files(tmp_path / "data", "train", commands.frame_videos(8))
    ended = commands.run(
        "train",
        f"--train_data_pattern={train_files}",
        f"--train_dir={tmp_path}/run",
        "--recipe=cvpr2019",
        "--batch_size=4",
        "--max_steps=1",
        *commands.SMALL,
    )
    assert "recipe cvpr2019: As written in the CVPR 2019 paper" in ended.out
    assert "  batch_size=4: not from the recipe, which has 256" in ended.out
    assert "  learning_rate_decay=0.95: CVPR 2019, section 5" in ended.out


def test_a_recipe_of_video_level_models_needs_no_model():
    assert asked("--recipe=starter").networks["teacher"].model == "LogisticModel"


@pytest.mark.parametrize(
    "more, starts, jitters",
    [
        ([], True, True),
        (["--student_model=DbofModel"], False, True),
        (["--student_model=NetVLADModelLF", "--netvlad_hidden_size=4"], False, True),
        (["--every_n=10"], True, False),
        (["--nostart_from_teacher", "--nojitter_frames"], False, False),
    ],
)
def test_best_leaves_out_what_the_student_cannot_have(tmp_path, more, starts, jitters):
    commands.save_run(tmp_path / "teacher", config.network_config("NetVLADModelLF", num_classes=3, netvlad_hidden_size=5))
    files = ("train", "--train_data_pattern=none", "--mode=serial", f"--teacher_dir={tmp_path}/teacher", "--recipe=best")
    with commands.parsed(*files, *more):
        run_config.check_flags()
        found = run_config.from_flags()[0]
    assert found.distillation.student_loss == ("pred", "ce")
    assert (found.distillation.start_from_teacher, found.training.jitter_frames) == (starts, jitters)
    assert "AudioSet" in explained(found)["student_loss"].source


def test_jitter_that_is_asked_for_and_has_no_effect_is_an_error(tmp_path):
    commands.save_run(tmp_path / "teacher", config.network_config("NetVLADModelLF", num_classes=3, netvlad_hidden_size=5))
    files = ("train", "--train_data_pattern=none", "--mode=serial", f"--teacher_dir={tmp_path}/teacher", "--every_n=10")
    with commands.parsed(*files, "--jitter_frames"), pytest.raises(SettingError, match="jitter_frames=true: has an effect"):
        run_config.check_flags()
        run_config.from_flags()


def test_best_describes_every_family_that_sees_frames_and_serial_students_only():
    assert set(config.RECIPES["best"].models) == set(config.MODELS) - set(config.VIDEO_LEVEL_MODELS)
    with pytest.raises(SettingError, match="recipe=best: does not describe --mode=teacher, only serial"):
        asked("--recipe=best")
