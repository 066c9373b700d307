"""--student_model: a student of another family or size than its teacher, such as a member of a mixture."""

import pytest

from tests import commands, networks
from tests.commands import FEATURES, FEW_FRAMES, QUICK
from youtube8m_distill import config, runs
from youtube8m_distill.cli import run_config

MIX = (
    *FEATURES,
    "--num_classes=5",
    "--model=MixNeXtVladModel",
    "--mix_number=2",
    "--nextvlad_cluster_size=4",
    "--nextvlad_hidden_size=6",
    "--groups=2",
    "--gating_reduction=2",
)
SINGLE = "--student_model=NeXtVLADModel"
ALL_FRAMES = config.FrameView()


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch):
    monkeypatch.setattr(config.FAMILY_OF["NeXtVLADModel"], "build_encoder", lambda *_: commands.QuickEncoder())


@pytest.fixture
def files(tmp_path):
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(8))


def serial(tmp_path, model):
    """Arguments of a student of a finished run of a family."""
    commands.save_run(tmp_path / "teacher", networks.frame_level(model, view=ALL_FRAMES))
    return "--mode=serial", f"--teacher_dir={tmp_path}/teacher"


def parallel(*more):
    return "--mode=parallel", *MIX, *more


def train(tmp_path, files, *more):
    said = commands.succeed(
        "train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/run", *QUICK, *FEW_FRAMES, "--max_steps=1", *more
    )
    return runs.open_run(tmp_path / "run"), said.out


def refusal(tmp_path, files, *more):
    line = commands.fail("train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/run", *QUICK, *FEW_FRAMES, *more)
    assert not (tmp_path / "run").exists()
    return line


def asked_for(files, *more):
    """The RunConfig of a command line."""
    with commands.parsed("train", f"--train_data_pattern={files}", *FEW_FRAMES, *more):
        return run_config.from_flags()[0]


def student(model="NeXtVLADModel", **options):
    return networks.frame_level(model, view=config.FrameView(frame_selection="uniform", frames_per_video=4), **options)


def test_a_student_that_chooses_its_frames_has_all_of_them_to_choose_from_by_default(tmp_path, files):
    how = (*serial(tmp_path, "HierarchicalLstmModel"), "--student_model=SkipFrameModel", "--student_loss=ce")

    def view(*more):
        with commands.parsed("train", f"--train_data_pattern={files}", *how, *more):
            return run_config.from_flags()[0].networks["student"].view

    assert view() == ALL_FRAMES
    assert view("--frames_per_video=4") == config.FrameView(frame_selection="uniform", frames_per_video=4)


BY_PREDICTIONS = config.DistillationConfig(student_loss=("pred", "ce"), share_classifier=False)


@pytest.mark.parametrize("mode", ["serial", pytest.param("parallel", marks=pytest.mark.slow)])
def test_a_mixture_teaches_a_single_network_by_its_predictions(tmp_path, files, mode):
    how = serial(tmp_path, "MixNeXtVladModel") if mode == "serial" else parallel()
    run, said = train(tmp_path, files, *how, SINGLE)
    assert run.config.mode == mode and run.config.distillation == BY_PREDICTIONS
    assert run.config.networks == {
        "teacher": networks.frame_level("MixNeXtVladModel", view=ALL_FRAMES),
        "student": student(),
    }
    assert "student_loss=pred,ce" in said and "share_classifier=false" in said
    assert run.load_network()[0].name == "student" and not hasattr(run.load_network()[0], "members")


@pytest.mark.parametrize("model", ["MixNeXtVladModel", "NeXtVLADModel"])
def test_a_mixture_of_mixtures_teaches_both_kinds_it_consists_of(tmp_path, files, model):
    found = asked_for(files, *serial(tmp_path, "MODNeXtVladModel"), f"--student_model={model}")
    assert found.networks["student"] == student(model) and found.distillation == BY_PREDICTIONS


@pytest.mark.slow
def test_a_mixture_of_mixtures_teaches_a_mixture(tmp_path, files):
    run, _ = train(tmp_path, files, *serial(tmp_path, "MODNeXtVladModel"), "--student_model=MixNeXtVladModel")
    assert sorted(run.load_network()[0].submodels()) == ["", "0", "1"]


def test_the_training_recipe_is_that_of_the_students_family(files):
    assert asked_for(files, *parallel(), SINGLE).training.learning_rate_decay_examples == 2_000_000
    assert asked_for(files, *parallel()).training.learning_rate_decay_examples == 2_500_000


def test_a_student_of_the_teachers_model_uses_every_loss_term(tmp_path, files):
    found = asked_for(files, *serial(tmp_path, "MixNeXtVladModel"), "--student_model=MixNeXtVladModel")
    assert found.distillation == config.DistillationConfig() and found.networks["student"] == student("MixNeXtVladModel")


def test_flags_of_mixtures_set_the_teacher_and_other_flags_set_both_networks(files):
    found = asked_for(files, *parallel(), SINGLE, "--cl_temperature=7", "--stop_mixture_gradient", "--dropout=0.25")
    teacher, single = (found.networks[role] for role in ("teacher", "student"))
    assert (teacher.family.cl_temperature, teacher.family.stop_mixture_gradient, teacher.family.dropout) == (7.0, True, 0.25)
    assert single == student(dropout=0.25)


@pytest.mark.parametrize(
    "more, words",
    [
        (("--share_classifier",), "--share_classifier=true: needs equal encoding sizes and classifiers: the student has 6"),
        (("--freeze_classifier",), "--freeze_classifier=true: keeps the teacher's classifier as it is"),
        (("--match_intermediate",), "--match_intermediate=true: has no meaning with model=NeXtVLADModel"),
        (("--rep_weight=2",), "--rep_weight: has an effect only with rep in --student_loss"),
        (("--cl_temperature=7",), "--cl_temperature=7.0: has no effect with model=NeXtVLADModel"),
        (("--student_frames_per_block=3",), "--student_frames_per_block: has no effect with model=NeXtVLADModel"),
        (("--groups=8",), "--groups=8: 8 groups do not divide the 2 * 6 numbers of rgb"),
        (("--mod_number=2",), "--mod_number=2: has no effect with model=NeXtVLADModel"),
        (("--num_classes=4",), "--num_classes=4: the teacher in"),
        (("--student_model=MoeModel",), "--student_model=MoeModel: reads video-level files"),
    ],
)
def test_settings_that_a_single_student_of_a_mixture_cannot_have_are_refused(tmp_path, files, more, words):
    line = refusal(tmp_path, files, *serial(tmp_path, "MixNeXtVladModel"), SINGLE, *more)
    assert line.removeprefix("Error: ").startswith(words)


@pytest.mark.parametrize("asked", ["LstmModel", "MODNeXtVladModel"])
def test_a_parallel_student_of_another_family_is_refused(tmp_path, files, asked):
    line = refusal(tmp_path, files, *parallel(f"--student_model={asked}"))
    assert line.startswith(f"Error: --student_model={asked}: the teacher is a MixNeXtVladModel: choose its family")
    assert line.endswith("train the teacher first and use --mode=serial.")


# ---- students of any family and size


DBOF = ("--student_model=DbofModel", "--dbof_cluster_size=8", "--dbof_hidden_size=6")


def test_flags_of_sizes_describe_a_serial_student_of_another_family(tmp_path, files):
    found = asked_for(files, *serial(tmp_path, "NetVLADModelLF"), *DBOF, "--video_level_classifier_model=LogisticModel")
    assert found.networks["teacher"] == networks.frame_level("NetVLADModelLF", view=ALL_FRAMES)
    assert found.networks["student"] == student(
        "DbofModel", dbof_cluster_size=8, dbof_hidden_size=6, classifier="LogisticModel"
    )
    assert found.distillation == BY_PREDICTIONS and found.training.base_learning_rate == 0.01


def test_a_serial_student_of_the_teachers_family_may_be_smaller(tmp_path, files):
    how = *serial(tmp_path, "HierarchicalLstmModel"), "--student_model=HierarchicalLstmModel"
    found = asked_for(files, *how, "--lstm_cells=2", "--student_frames_per_block=2")
    assert found.networks["student"] == student("HierarchicalLstmModel", lstm_cells=2, frames_per_block=2)
    assert found.distillation == BY_PREDICTIONS
    found = asked_for(files, *how, "--moe_num_mixtures=3")
    assert found.networks["student"] == student("HierarchicalLstmModel", moe_num_mixtures=3, frames_per_block=3)
    assert asked_for(files, *how).distillation == config.DistillationConfig()


def test_a_student_of_other_sizes_whose_classifier_fits_shares_it(tmp_path, files):
    how = *serial(tmp_path, "DbofModel"), "--student_model=DbofModel"
    assert asked_for(files, *how, "--dbof_cluster_size=9").distillation == config.DistillationConfig()
    assert asked_for(files, *how, "--dbof_hidden_size=9").distillation == BY_PREDICTIONS
    assert asked_for(files, *how, "--video_level_classifier_model=LogisticModel").distillation == BY_PREDICTIONS


def test_a_nextvlad_student_reverses_the_whitening_as_its_teacher_does(tmp_path, files):
    teacher = networks.frame_level("NeXtVLADModel", view=ALL_FRAMES, reverse_whitening=True)
    commands.save_run(tmp_path / "teacher", teacher)
    how = "--mode=serial", f"--teacher_dir={tmp_path}/teacher"
    assert (
        asked_for(files, *how, "--student_model=MixNeXtVladModel", "--groups=2").networks["student"].family.reverse_whitening
    )
    assert "reverse_whitening" not in asked_for(files, *how, *DBOF).networks["student"].settings()


@pytest.mark.parametrize("more", [("--groups=2",), ("--netvlad_cluster_size=4",)])
def test_sizes_that_the_students_family_does_not_have_are_refused(tmp_path, files, more):
    line = refusal(tmp_path, files, *serial(tmp_path, "NetVLADModelLF"), *DBOF, *more)
    assert line.startswith(f"Error: {more[0]}: has no effect with model=DbofModel")


def test_a_recipe_that_does_not_describe_the_students_family_is_refused(tmp_path, files):
    line = refusal(tmp_path, files, *serial(tmp_path, "HierarchicalLstmModel"), *DBOF, "--recipe=release")
    assert line.startswith("Error: --recipe=release: describes HierarchicalLstmModel")


def test_sizes_without_student_model_get_a_hint(tmp_path, files):
    line = refusal(tmp_path, files, *serial(tmp_path, "HierarchicalLstmModel"), "--lstm_cells=2")
    assert line.endswith("Give --student_model for a student of another family or size.")


def test_model_instead_of_student_model_gets_a_hint(tmp_path, files):
    line = refusal(tmp_path, files, *serial(tmp_path, "MixNeXtVladModel"), "--model=NeXtVLADModel")
    assert line.startswith("Error: --model=NeXtVLADModel: the teacher in")
    assert line.endswith("Give --student_model for a student of another family or size.")


def test_student_model_without_distillation_is_refused(tmp_path, files):
    line = refusal(tmp_path, files, *MIX, SINGLE)
    assert line.startswith("Error: --student_model: has no effect with --mode=teacher")
