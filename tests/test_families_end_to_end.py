"""Every frame-level family from the training of a teacher to the predictions of a student, by the commands."""

import pytest

from tests import commands, networks
from tests.commands import FEATURES, FEW_FRAMES, NUM_CLASSES, QUICK
from youtube8m_distill import runs


def write_set(folder):
    return {
        "train": commands.write_files(folder, "train", commands.frame_videos(8)),
        "test": commands.write_files(folder, "test", commands.frame_videos(7, seed=2, labels=False)),
    }


def train(folder, name, files, *arguments):
    commands.succeed(
        "train",
        f"--train_dir={folder}/{name}",
        f"--train_data_pattern={files['train']}",
        *QUICK,
        "--max_steps=1",
        *arguments,
    )
    return runs.open_run(folder / name)


@pytest.mark.slow
@pytest.mark.parametrize("model", networks.TINY)
def test_a_family_works_with_every_command(tmp_path, model):
    files = write_set(tmp_path / "data")
    sizes = [f"--{name}={value}" for name, value in networks.TINY[model].items()]
    teacher = train(
        tmp_path,
        "teacher",
        files,
        f"--model={model}",
        f"--num_classes={NUM_CLASSES}",
        *FEATURES,
        *sizes,
        "--frames_per_video=7",
    )
    student = train(tmp_path, "student", files, "--mode=serial", f"--teacher_dir={teacher.folder}", *FEW_FRAMES)
    assert {role: network.model for role, network in student.config.networks.items()} == {"teacher": model, "student": model}
    assert teacher.config.networks["teacher"].max_frames == 7 and student.config.networks["student"].max_frames == 4
    ended = commands.succeed("eval", "--run_once", f"--train_dir={student.folder}", f"--eval_data_pattern={files['train']}")
    assert "GAP" in ended.out
    commands.succeed(
        "infer", f"--train_dir={student.folder}", f"--input_data_pattern={files['test']}", f"--output_file={tmp_path}/p.csv"
    )
    found = commands.read_csv(tmp_path / "p.csv")
    assert list(found) == [f"v{number:03d}" for number in range(7)]
    assert all(len(pairs) == NUM_CLASSES and 0.0 <= confidence <= 1.0 for pairs in found.values() for _, confidence in pairs)
