"""A teacher's targets on the command line: --teacher_targets_dir."""

import pytest

from tests import commands, networks
from tests.commands import FEW_FRAMES, QUICK, SMALL
from youtube8m_distill import config, runs
from youtube8m_distill.files import write_text

SERIAL = ("--mode=serial", *QUICK, "--num_epochs=2", *FEW_FRAMES)


@pytest.fixture(autouse=True)
def quick_encoders(monkeypatch):
    commands.use_quick_encoder(monkeypatch)


@pytest.fixture
def files(tmp_path):
    return commands.write_files(tmp_path / "data", "train", commands.frame_videos(10))


def arguments(tmp_path, files, *more, folder="student", frames=None):
    """A serial run's; its teacher is there once this was called."""
    if not (tmp_path / "teacher").exists():
        network = networks.frame_level(lstm_layers=1, view=frames or config.FrameView())
        commands.save_run(tmp_path / "teacher", network)
    return (
        "train",
        f"--train_data_pattern={files}",
        f"--train_dir={tmp_path}/{folder}",
        *SERIAL,
        f"--teacher_dir={tmp_path}/teacher",
        *more,
    )


def test_targets_are_computed_once_for_several_students(tmp_path, files):
    given = f"--teacher_targets_dir={tmp_path}/teacher/targets"
    first = commands.succeed(*arguments(tmp_path, files, given))
    assert "Computing the teacher's targets for 2 of 2 training file(s)" in first.out
    assert "teacher targets: 10/10 videos, " in first.err
    before = commands.entries(tmp_path / "teacher")
    second = commands.succeed(
        *arguments(tmp_path, files, given, "--frames_per_video=2", "--student_loss=rep,ce", folder="second")
    )
    assert "Computing" not in second.out and "the teacher itself is not run." in second.out
    assert commands.entries(tmp_path / "teacher") == before
    run = runs.open_run(tmp_path / "student")
    assert run.config.teacher_targets_dir == f"{tmp_path}/teacher/targets"
    without = commands.fail(*arguments(tmp_path, files))
    assert "teacher_targets ('float16, sha256 " in without and "then, '' now)" in without


def refusal(tmp_path, *given):
    """The one line by which a run is refused before anything is written."""
    line = commands.fail(*given)
    assert not (tmp_path / "student").exists() and not (tmp_path / "targets").exists()
    return line


@pytest.mark.parametrize("mode", ["teacher", "parallel"])
def test_only_a_trained_teacher_has_targets_to_store(tmp_path, files, mode):
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
    assert line.startswith(f"Error: --teacher_targets_dir has no effect with --mode={mode}; leave it out")


def test_states_after_frames_are_not_stored(tmp_path, files):
    line = refusal(
        tmp_path, *arguments(tmp_path, files, f"--teacher_targets_dir={tmp_path}/targets", "--match_intermediate")
    )
    assert line.startswith(
        "Error: --match_intermediate is set, and with teacher_targets_dir the teacher's states after "
        "each frame are not at hand"
    )


def test_a_teacher_that_sees_other_frames_each_time_has_no_lasting_targets(tmp_path, files):
    line = refusal(
        tmp_path,
        *arguments(tmp_path, files, f"--teacher_targets_dir={tmp_path}/targets", view=config.FrameView("random", 3)),
    )
    assert line.startswith("Error: --teacher_targets_dir") and "(frame_selection=random)" in line


def test_targets_of_another_teacher_are_told_by_the_flag(tmp_path, files):
    write_text(tmp_path / "others" / "manifest.json", '{"format": 1, "teacher_weights": "step 9, sha256 1234"}')
    given = f"--teacher_targets_dir={tmp_path}/others"
    line = refusal(tmp_path, *arguments(tmp_path, files, given))
    assert line.startswith(f"Error: {given} holds targets that were made otherwise: ")
    assert "teacher_weights ('step 9, sha256 1234' there, 'step 3, sha256 " in line


@pytest.mark.slow
def test_the_targets_of_a_run_may_move(tmp_path, files):
    commands.succeed(*arguments(tmp_path, files, f"--teacher_targets_dir={tmp_path}/targets", "--max_steps=2"))
    (tmp_path / "targets").rename(tmp_path / "moved")
    ended = commands.succeed(*arguments(tmp_path, files, f"--teacher_targets_dir={tmp_path}/moved"))
    assert "Found step 2" in ended.out and "Computing" not in ended.out
