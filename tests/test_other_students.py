"""Students of another family or size than their teacher, by the commands: train, stop, resume, evaluate, predict."""

import json
import shutil

import numpy as np
import pytest

from tests import commands
from tests.commands import FEATURES, FEW_FRAMES, QUICK
from youtube8m_distill import runs

NETVLAD = ("--model=NetVLADModelLF", "--netvlad_cluster_size=4", "--netvlad_hidden_size=5")
HRNN = ("--lstm_cells=4", "--lstm_layers=1")
EVERY_LOSS = "--student_loss=rep,pred,ce,relation,topk_logit"
PAIRS = {
    "another family": (NETVLAD, ("--student_model=DbofModel", "--dbof_cluster_size=8", "--dbof_hidden_size=6")),
    "fewer cells": (HRNN, ("--student_model=HierarchicalLstmModel", "--lstm_cells=2")),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return {
        name: commands.write_files(folder, name, commands.frame_videos(count, seed))
        for name, count, seed in (("train", 24, 0), ("validate", 8, 1))
    }


def train(folder, files, *more):
    data = f"--train_data_pattern={files['train']}", f"--validation_data_pattern={files['validate']}"
    commands.succeed("train", f"--train_dir={folder}", *data, *QUICK, *more)
    return runs.open_run(folder)


def state(run):
    """Every array of the newest checkpoint."""
    folder = run.checkpoints.step_folder(run.checkpoints.steps()[-1])
    with np.load(folder / "training_state.npz") as saved:
        arrays = {name: saved[name] for name in saved.files}
    return arrays, commands.weights(run.folder, "student")


@pytest.mark.slow
@pytest.mark.parametrize("stored", [False, True], ids=["teacher", "stored targets"])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_student_of_another_family_or_size_runs_through_every_command(tmp_path, files, pair, stored):
    of_teacher, of_student = PAIRS[pair]
    teacher = train(tmp_path / "teacher", files, *FEATURES, "--num_classes=5", *of_teacher)
    how = ["--mode=serial", f"--teacher_dir={teacher.folder}", *of_student, EVERY_LOSS, *FEW_FRAMES]
    how += [f"--teacher_targets_dir={tmp_path}/targets"] if stored else []
    straight = train(tmp_path / "straight", files, *how)
    assert not straight.config.distillation.share_classifier

    train(tmp_path / "resumed", files, *how, "--max_steps=3")
    resumed = train(tmp_path / "resumed", files, *how)
    (ours, weights), (expected, of_straight) = state(resumed), state(straight)
    assert ours.keys() == expected.keys() and len([name for name in ours if name.startswith("auxiliary/")]) == 2
    for name, value in expected.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)
    for found, value in zip(weights, of_straight, strict=True):
        np.testing.assert_array_equal(found, value)

    shutil.rmtree(teacher.folder)  # a finished student needs neither its teacher nor the projection
    student, _ = straight.load_network()
    assert sum(weight.size for weight in of_straight) == student.count_params()
    commands.succeed("eval", "--run_once", f"--train_dir={straight.folder}", f"--eval_data_pattern={files['validate']}")
    assert json.loads((straight.folder / "eval" / "student" / "metrics.json").read_text())["num_videos"] == 8
    commands.succeed(
        "infer",
        f"--train_dir={straight.folder}",
        f"--input_data_pattern={files['validate']}",
        f"--output_file={tmp_path}/found.csv",
    )
    assert len(commands.read_csv(tmp_path / "found.csv")) == 8
