"""--teacher_dir with several folders, by the commands: train, stop, resume, store targets, evaluate."""

import shutil

import numpy as np
import pytest

from tests import commands, networks, tiny_training
from tests.commands import FEW_FRAMES, QUICK
from youtube8m_distill import config, runs

FIRST = networks.frame_level(view=config.FrameView(), lstm_layers=1, dropout=0.5)
SECOND = networks.frame_level("FrameLevelLogisticModel", view=config.FrameView(frame_selection="first", frames_per_video=6))


@pytest.fixture
def files(tmp_path):
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(14))


@pytest.fixture
def quick_encoder(monkeypatch):
    commands.use_quick_encoder(monkeypatch)


def arguments(tmp_path, files, *more, folder="student", teachers=("a", "b")):
    """Arguments of a student of the teachers in these folders. Creates those of a, an H-RNN, and b, a mean of frames."""
    for name, network in (("a", FIRST), ("b", SECOND)):
        if not (tmp_path / name).exists():
            commands.save_run(tmp_path / name, network)
    folders = ",".join(str(tmp_path / name) for name in teachers)
    how = (*QUICK, *FEW_FRAMES, "--mode=serial", f"--teacher_dir={folders}", *more)
    return "train", f"--train_data_pattern={files}", f"--train_dir={tmp_path}/{folder}", *how


def student(tmp_path, *given, folder="student", **options):
    """The run of a student, and what its training printed."""
    ended = commands.succeed(*arguments(tmp_path, *given, folder=folder, **options))
    return runs.open_run(tmp_path / folder), ended.out


def refusal(tmp_path, *given, **options):
    line = commands.fail(*arguments(tmp_path, *given, **options))
    assert not (tmp_path / "student").exists()
    return line


def state(run):
    """Every array of the newest checkpoint."""
    with np.load(run.checkpoints.step_folder(run.checkpoints.steps()[-1]) / "training_state.npz") as saved:
        return [saved[name] for name in sorted(saved.files)] + commands.weights(run.folder, "student")


def test_a_student_of_two_teachers_is_like_the_first_and_learns_predictions(tmp_path, files, quick_encoder):
    run, said = student(tmp_path, files, "--max_steps=1")
    assert list(run.config.networks) == ["teacher", "teacher_2", "student"]
    assert (run.config.networks["teacher"], run.config.networks["teacher_2"]) == (FIRST, SECOND)
    assert run.config.networks["student"].model == "HierarchicalLstmModel"
    assert run.config.distillation == config.DistillationConfig(student_loss=("pred", "ce"))
    assert run.config.teacher_dirs == (f"{tmp_path}/a", f"{tmp_path}/b")
    assert "The student learns from the mean of the predictions of 2 teachers." in said
    assert "teacher_2: " in said and " of 6 frame(s)" in said
    line = commands.fail(
        "eval", f"--train_dir={run.folder}", f"--eval_data_pattern={files}", "--run_once", "--network=teacher"
    )
    assert "has only student" in line
    commands.succeed("eval", f"--train_dir={run.folder}", f"--eval_data_pattern={files}", "--run_once")


def test_the_classifier_starts_from_the_first_teachers(tmp_path, files, quick_encoder):
    run, _ = student(tmp_path, files, "--freeze_classifier", "--max_steps=2", "--student_loss=pred,topk_logit,ce")
    first, own = (runs.open_run(folder).load_network()[0] for folder in (tmp_path / "a", run.folder))
    tiny_training.assert_same_weights(own.classifier.get_weights(), first.classifier.get_weights())


def test_a_student_of_another_family_than_the_first_teacher_has_a_classifier_of_its_own(tmp_path, files, quick_encoder):
    run, said = student(tmp_path, files, "--max_steps=1", "--student_model=DbofModel", "--dbof_cluster_size=8")
    assert run.config.distillation == config.DistillationConfig(student_loss=("pred", "ce"), share_classifier=False)
    assert run.config.networks["student"].model == "DbofModel"


@pytest.mark.slow
def test_a_student_of_labels_alone_loads_only_the_first_of_two_teachers(tmp_path, files, quick_encoder):
    _, said = student(tmp_path, files, "--student_loss=ce", "--max_steps=1")
    costs = [line.split(":")[0] for line in said.splitlines() if " multiply-adds per video of " in line]
    assert costs == ["teacher", "student"]


@pytest.mark.parametrize("more", [(), ("--mixed_precision",)], ids=["float32", "bfloat16"])
def test_a_resumed_student_of_two_teachers_ends_the_same(tmp_path, files, more):
    straight, _ = student(tmp_path, files, *more, folder="straight")
    student(tmp_path, files, *more, "--max_steps=2", folder="resumed")
    for name in ("a", "b"):  # the folders may move
        shutil.copytree(tmp_path / name, tmp_path / "moved" / name)
    resumed, said = student(tmp_path, files, *more, folder="resumed", teachers=("moved/a", "moved/b"))
    assert "Found step 2" in said
    for found, expected in zip(state(resumed), state(straight), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_student_resumes_only_with_the_same_teachers_in_the_same_order(tmp_path, files, quick_encoder):
    student(tmp_path, files, "--max_steps=1")
    line = commands.fail(*arguments(tmp_path, files, teachers=("b", "a")))
    assert line.startswith(f"Error: --teacher_dir={tmp_path}/b,{tmp_path}/a: names the teachers of the run in ")
    assert line.endswith(
        f"in another order, and the student follows the first one. The run was started with "
        f"--teacher_dir={tmp_path}/a,{tmp_path}/b."
    )
    assert "there, not set here" in commands.fail(*arguments(tmp_path, files, teachers=("a",)))
    commands.save_checkpoint(runs.open_run(tmp_path / "b"), 5)
    line = commands.fail(*arguments(tmp_path, files))
    assert "teacher_weights (step 3, sha256 " in line and "; step 5, sha256 " in line


@pytest.mark.slow
def test_stored_targets_of_two_teachers_are_the_mean_in_any_order(tmp_path, files, quick_encoder):
    plain = ("--optimizer=GradientDescentOptimizer", "--student_loss=pred,topk_logit,ce")
    stored = (*plain, f"--teacher_targets_dir={tmp_path}/targets")
    expected, _ = student(tmp_path, files, *plain, folder="expected")
    found, said = student(tmp_path, files, *stored)
    assert "Computing the 2 teachers' mean targets for 2 of 2 training file(s)" in said
    assert "10 bytes per video; the teachers are not run." in said
    tiny_training.assert_same_weights(*(commands.weights(run.folder, "student") for run in (found, expected)), rounding=1e-3)
    before = commands.entries(tmp_path / "targets")
    _, said = student(tmp_path, files, *stored, "--student_model=HierarchicalLstmModel", folder="other", teachers=("b", "a"))
    assert "Computing" not in said and commands.entries(tmp_path / "targets") == before


@pytest.mark.slow
def test_targets_of_other_teachers_are_refused(tmp_path, files, quick_encoder):
    given = f"--teacher_targets_dir={tmp_path}/targets"
    student(tmp_path, files, given, "--max_steps=1", folder="first")
    assert "num_teachers (2 there, not set here)" in refusal(tmp_path, files, given, teachers=("a",))
    commands.save_run(tmp_path / "c", FIRST, steps=(4,))
    line = refusal(tmp_path, files, given, teachers=("a", "b", "c"))
    assert "num_teachers (2 there, 3 here)" in line
    line = refusal(tmp_path, files, given, teachers=("c", "b"))
    assert "teacher_weights_" in line and "step 4, sha256 " in line


@pytest.mark.parametrize(
    "more, words",
    [
        ("--student_loss=rep,ce", "--student_loss=rep,ce: compares encodings (rep), and 2 teachers have none in common."),
        ("--student_loss=rep,relation,ce", "compares encodings (rep, relation), and 2 teachers have none in common."),
        ("--match_intermediate", "--match_intermediate=true: compares the states of one teacher, and there are 2."),
        ("--rep_weight=2", "--rep_weight: has an effect only with rep in --student_loss"),
        ("--num_classes=7", "--num_classes=7: the teacher in "),
    ],
)
def test_what_needs_a_single_teacher_is_refused(tmp_path, files, more, words):
    assert words in refusal(tmp_path, files, more)


@pytest.mark.parametrize(
    "other, words",
    [
        ({"num_classes": 7}, "/c has num_classes=7, and {folder}/a has 5; all teachers must agree in it."),
        ({"dtype": "float32"}, "/c has dtype=float32, and {folder}/a has uint8; all teachers must agree in it."),
    ],
)
def test_teachers_of_other_classes_or_features_are_refused_by_folder(tmp_path, files, other, words):
    commands.save_run(tmp_path / "c", networks.frame_level("NetVLADModelLF", **other))
    assert words.format(folder=tmp_path) in refusal(tmp_path, files, teachers=("a", "c"))


@pytest.mark.parametrize(
    "teachers, words",
    [
        (("a", "a"), "contains duplicates."),
        (("a", "missing"), "missing' is not a training directory: it does not exist"),
        (("a", "student"), "is the same as --train_dir"),
    ],
)
def test_folders_that_are_no_two_teachers_are_refused(tmp_path, files, teachers, words):
    line = refusal(tmp_path, files, teachers=teachers)
    assert line.startswith("Error: --teacher_dir=") and words in line


def test_a_comma_in_the_name_of_a_folder_does_not_separate_teachers(tmp_path, files, quick_encoder):
    commands.save_run(tmp_path / "a,b", FIRST)
    run, _ = student(tmp_path, files, "--max_steps=1", teachers=("a,b",))
    assert run.config.teacher_dirs == (f"{tmp_path}/a,b",) and "teacher_2" not in run.config.networks
