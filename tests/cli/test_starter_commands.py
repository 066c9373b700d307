"""Command lines of the starter code's README, with local paths and small networks."""

import json

import numpy as np
import pytest

from tests import commands, networks, oracles, records
from youtube8m_distill import config, runs
from youtube8m_distill.schemes import losses

CLASSES = ["--num_classes=5"]
SIZES = (("rgb", 1024), ("audio", 128))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Folders of video-level and frame-level files under the official names."""
    folder = tmp_path_factory.mktemp("features")
    random = np.random.default_rng(0)
    for split in ("train", "validate", "test"):
        labels = [None if split == "test" else [i % 5] for i in range(16)]
        means = [{f"mean_{name}": random.normal(size=size) for name, size in SIZES} for _ in labels]
        ids = [f"{split}{i}".encode() for i in range(16)]
        videos = [records.video_record(*video) for video in zip(means, ids, labels)]
        commands.write_files(folder / "video_level", split, videos)
        frames = [records.random_frames(3, SIZES, seed=i) for i in range(16)]
        commands.write_files(folder / "frame_level", split, [records.frame_record(*v) for v in zip(frames, ids, labels)])
    return folder


def train_evaluate_and_predict(tmp_path, folder, *flags):
    """The three commands of the README, each with the same flags; returns the run."""
    run = tmp_path / "model"
    data = [*CLASSES, "--num_epochs=1"]
    common = [f"--train_dir={run}", *flags]
    commands.succeed("train", f"--train_data_pattern={folder}/train*.tfrecord", *common, *data)
    commands.succeed("eval", f"--eval_data_pattern={folder}/validate*.tfrecord", *common, "--run_once=True")
    predicted = f"--output_file={run}/predictions.csv"
    commands.succeed("infer", predicted, f"--input_data_pattern={folder}/test*.tfrecord", *common)
    assert len((run / "predictions.csv").read_text().splitlines()) == 17
    assert json.loads((run / "eval" / "teacher" / "metrics.json").read_text())["num_videos"] == 16
    return runs.open_run(run)


def test_the_first_commands_work_on_video_level_files(tmp_path, features):
    run = train_evaluate_and_predict(tmp_path, features / "video_level", "--batch_size=8")
    network = run.config.networks["teacher"]
    assert network.model == "LogisticModel" and network.features.names == ("mean_rgb", "mean_audio")


@pytest.mark.parametrize(
    "level, flags, model",
    [
        ("video_level", ["--feature_names=mean_rgb, mean_audio", "--feature_sizes=1024, 128"], "LogisticModel"),
        pytest.param(
            "video_level", ["--feature_names=mean_rgb", "--feature_sizes=1024"], "LogisticModel", marks=pytest.mark.slow
        ),
        pytest.param(
            "frame_level",
            ["--frame_features=True", "--model=FrameLevelLogisticModel", "--feature_names=rgb", "--feature_sizes=1024"],
            "FrameLevelLogisticModel",
            marks=pytest.mark.slow,
        ),
        (
            "frame_level",
            [
                "--frame_features=True",
                "--model=FrameLevelLogisticModel",
                "--feature_names=rgb, audio",
                "--feature_sizes=1024, 128",
            ],
            "FrameLevelLogisticModel",
        ),
    ],
)
def test_all_three_commands_take_the_flags_of_the_readme(tmp_path, features, level, flags, model):
    run = train_evaluate_and_predict(tmp_path, features / level, *flags, "--batch_size=8")
    assert run.config.networks["teacher"].model == model


@pytest.fixture(scope="module")
def netvlad(tmp_path_factory):
    return commands.save_run(tmp_path_factory.mktemp("netvlad"), networks.frame_level("NetVLADModelLF"))


@pytest.mark.parametrize("command", ["eval", "infer"])
@pytest.mark.parametrize(
    "flag, words",
    [
        ("--model=NeXtVLADModel", "has NetVLADModelLF. Settings come from the run; leave the flag out."),
        ("--netvlad_cluster_size=256", "has 4. Settings come"),
        ("--netvlad_relu=True", "has false. Settings come"),
        ("--lstm_cells=1024", "has no such setting. Settings come"),
        ("--base_learning_rate=0.5", "has 0.001. Settings come"),
        ("--feature_sizes=1024,128", "has 6,3. Settings come"),
        ("--iterations=300", "train with --frames_per_video; a network reads every frame that it is given"),
    ],
)
def test_flags_that_contradict_the_run_are_refused_by_value(netvlad, tmp_path, command, flag, words):
    data = {"eval": ["--eval_data_pattern=none", "--run_once"], "infer": ["--input_data_pattern=none"]}[command]
    output = [f"--output_file={tmp_path}/p.csv"] if command == "infer" else []
    line = commands.fail(command, f"--train_dir={netvlad.folder}", *data, *output, flag)
    assert line.startswith(f"Error: {flag.replace('True', 'true')}: ") and words in line


def test_a_tilde_in_a_path_is_the_home_folder(tmp_path, features, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    data = f"--train_data_pattern={features}/video_level/train*.tfrecord"
    commands.succeed("train", data, "--train_dir=~/runs/a", *CLASSES, "--num_epochs=1", "--batch_size=8")
    assert (tmp_path / "runs" / "a" / "config.json").exists() and not (tmp_path / "~").exists()


# ---- SoftmaxLoss


def test_softmax_loss_equals_hand_computed_values():
    labels, p = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0]]), np.float32([[0.2, 0.5, 0.3]] * 3)
    expected = [-np.log(0.5), -(np.log(0.2) + np.log(0.5)) / 2, 0.0]
    np.testing.assert_allclose(losses.softmax_loss(labels, p), expected, rtol=1e-4)
    logits = np.float32([[1.0, 2.0, 0.5]] * 3)
    share = np.exp(logits[0]) / np.exp(logits[0]).sum()
    expected = [-np.log(share[1]), -np.log(share[:2]).mean(), 0.0]
    np.testing.assert_allclose(losses.softmax_loss(labels, oracles.sigmoid(logits), logits), expected, rtol=1e-5)


@pytest.mark.parametrize("model", ["LogisticModel", "MoeModel"])
def test_softmax_loss_trains_and_is_the_loss_of_the_evaluation(tmp_path, features, model):
    run = train_evaluate_and_predict(
        tmp_path, features / "video_level", f"--model={model}", "--batch_size=8", "--label_loss=SoftmaxLoss"
    )
    assert run.config.training.label_loss == "SoftmaxLoss"
    found = json.loads((run.folder / "eval" / "teacher" / "metrics.json").read_text())["loss"]
    assert found < 3.5  # log 5 is 1.6; the sum of five cross-entropies would be above


def test_configurable_label_losses_exist():
    kinds = config.TrainingConfig.model_fields["label_loss"].annotation
    assert set(losses.LABEL_LOSSES) == set(kinds.__args__)
