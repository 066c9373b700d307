"""A teacher's targets on the command line: --teacher_targets_dir."""

import pytest

from tests import commands, networks
from tests.commands import FEW_FRAMES, QUICK, SMALL
from youtube8m_distill import config, runs
from youtube8m_distill.files import write_text

SERIAL = ("--mode=serial", *QUICK, *FEW_FRAMES)


@pytest.fixture(autouse=True)
def quick_encoders(monkeypatch):
    commands.use_quick_encoder(monkeypatch)


@pytest.fixture
def files(tmp_path):
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(10))


def arguments(tmp_path, files, *more, folder="student", view=None):
    """Arguments of a serial run. Creates its teacher."""
    if not (tmp_path / "teacher").exists():
        network = networks.frame_level(lstm_layers=1, view=view or config.FrameView())
        commands.save_run(tmp_path / "teacher", network)
    return (
        "train",
        f"--train_data_pattern={files}",
        f"--train_dir={tmp_path}/{folder}",
        *SERIAL,
        f"--teacher_dir={tmp_path}/teacher",
        *more,
    )


def test_a_student_computes_its_teachers_targets_and_resumes_only_with_them_and_the_teacher(tmp_path, files):
    given = f"--teacher_targets_dir={tmp_path}/teacher/targets"
    first = commands.succeed(*arguments(tmp_path, files, given))
    assert "Computing the teacher's targets for 2 of 2 training file(s)" in first.out
    assert "teacher targets: 10/10 videos, " in first.err
    run = runs.open_run(tmp_path / "student")
    assert run.config.teacher_targets_dir == f"{tmp_path}/teacher/targets"
    without = commands.fail(*arguments(tmp_path, files))
    assert "teacher_targets (float16, sha256 " in without and "there, empty here)" in without
    commands.save_checkpoint(runs.open_run(tmp_path / "teacher"), 5)  # a student resumes only with the same teacher
    assert "teacher_weights (step 3, sha256 " in commands.fail(*arguments(tmp_path, files))


@pytest.mark.slow
def test_targets_are_computed_once_for_several_students(tmp_path, files):
    given = f"--teacher_targets_dir={tmp_path}/teacher/targets"
    commands.succeed(*arguments(tmp_path, files, given))
    before = commands.entries(tmp_path / "teacher")
    second = commands.succeed(
        *arguments(tmp_path, files, given, "--frames_per_video=2", "--student_loss=rep,ce", folder="second")
    )
    assert "Computing" not in second.out and "the teacher is not run." in second.out
    assert commands.entries(tmp_path / "teacher") == before


def refusal(tmp_path, *given):
    """The line that refuses a run before anything is written."""
    line = commands.fail(*given)
    assert not (tmp_path / "student").exists() and not (tmp_path / "targets").exists()
    return line


@pytest.mark.parametrize("mode", ["teacher", "parallel"])
def test_modes_without_a_trained_teacher_store_no_targets(tmp_path, files, mode):
    line = refusal(
        tmp_path,
        "train",
        f"--train_data_pattern={files}",
        f"--train_dir={tmp_path}/student",
        f"--mode={mode}",
        *SMALL,
        *QUICK,
        f"--teacher_targets_dir={tmp_path}/targets",
    )
    assert line.startswith(f"Error: --teacher_targets_dir: has no effect with --mode={mode}; leave it out")


def test_match_intermediate_cannot_use_stored_targets(tmp_path, files):
    line = refusal(
        tmp_path, *arguments(tmp_path, files, f"--teacher_targets_dir={tmp_path}/targets", "--match_intermediate")
    )
    assert line.startswith(
        "Error: --match_intermediate=true: needs the teacher's states after each frame, which teacher_targets_dir does not"
    )


def test_a_teacher_of_random_frames_has_no_targets_to_store(tmp_path, files):
    line = refusal(
        tmp_path,
        *arguments(
            tmp_path,
            files,
            f"--teacher_targets_dir={tmp_path}/targets",
            view=config.FrameView(frame_selection="random", frames_per_video=3),
        ),
    )
    assert line.startswith("Error: --teacher_targets_dir") and "(frame_selection=random)" in line


def test_targets_of_another_teacher_are_refused(tmp_path, files):
    write_text(tmp_path / "others" / "manifest.json", '{"format": 1, "teacher_weights": "step 9, sha256 1234"}')
    given = f"--teacher_targets_dir={tmp_path}/others"
    line = refusal(tmp_path, *arguments(tmp_path, files, given))
    assert line.startswith(f"Error: {given}: holds a teacher's targets with other settings: ")
    assert "teacher_weights (step 9, sha256 1234 there, step 3, sha256 " in line


def test_the_label_loss_alone_needs_no_targets(tmp_path, files):
    given = f"--teacher_targets_dir={tmp_path}/targets"
    line = refusal(tmp_path, *arguments(tmp_path, files, given, "--student_loss=ce"))
    assert line.startswith("Error: --teacher_targets_dir: has an effect only with a term besides ce in --student_loss;")


def test_a_student_of_labels_alone_reads_no_frames_of_its_teacher(tmp_path, monkeypatch):
    """It trains on files that lack the teacher's frames, and resumes a run that had targets which it did not need."""
    whole = commands.write_files(tmp_path / "whole", "train", commands.frame_videos(10))
    commands.succeed("compact", f"--input_data_pattern={whole}", f"--output_dir={tmp_path}/few", *FEW_FRAMES)
    few = f"{tmp_path}/few/train*.tfrecord"
    first = commands.succeed(*arguments(tmp_path, few, "--student_loss=ce", "--max_steps=1"))
    assert "the teacher is not run, and its frames are not read." in first.out
    config_file = tmp_path / "student" / "config.json"
    write_text(config_file, config_file.read_text().replace('"teacher_targets": ""', '"teacher_targets": "float16"'))
    assert "Found step 1" in commands.succeed(*arguments(tmp_path, few, "--student_loss=ce")).out
    assert "frames" in commands.fail(*arguments(tmp_path, few, folder="other"))


@pytest.mark.slow
def test_the_targets_of_a_run_can_be_moved(tmp_path, files):
    commands.succeed(*arguments(tmp_path, files, f"--teacher_targets_dir={tmp_path}/targets", "--max_steps=1"))
    (tmp_path / "targets").rename(tmp_path / "moved")
    ended = commands.succeed(*arguments(tmp_path, files, f"--teacher_targets_dir={tmp_path}/moved"))
    assert "Found step 1" in ended.out and "Computing" not in ended.out
