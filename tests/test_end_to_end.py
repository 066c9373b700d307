"""All commands one after the other on small files: teacher, students of three kinds, scores, predictions."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from tests import commands, tiny_training
from tests.commands import FEW_FRAMES, QUICK, SMALL
from youtube8m_distill import runs

ROOT = pathlib.Path(__file__).parent.parent


def write_set(folder):
    """{split: glob} of a training, a validation and a test set, the last without labels."""
    return {
        "train": commands.write_files(folder, "train", commands.frame_videos(14)),
        "validate": commands.write_files(folder, "validate", commands.frame_videos(8, seed=1)),
        "test": commands.write_files(folder, "test", commands.frame_videos(7, seed=2, labels=False)),
    }


def train(folder, name, files, *arguments):
    commands.succeed(
        "train",
        f"--train_dir={folder}/{name}",
        f"--train_data_pattern={files['train']}",
        f"--validation_data_pattern={files.get('validate', '')}",
        *QUICK,
        *arguments,
    )
    return runs.open_run(folder / name)


def metrics(run, files, role):
    commands.succeed(
        "eval", "--run_once", f"--train_dir={run.folder}", f"--eval_data_pattern={files['validate']}", f"--network={role}"
    )
    return json.loads((run.folder / "eval" / role / "metrics.json").read_text())


def weights(run, role, checkpoint="last"):
    return tiny_training.weights(run.load_network(role, checkpoint)[0])


def tags(run, role):
    """Names of the TensorBoard scalars of one network."""
    return {
        value.tag
        for path in (run.folder / "tensorboard" / role).iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }


ALONE = {"teacher": SMALL, "parallel": ("--mode=parallel", *SMALL, *FEW_FRAMES)}
FROM_TEACHER = {
    "rep": ("--student_loss=rep", "--finetune_epochs=2"),
    "serial": (),
    "frozen": ("--freeze_classifier", "--student_loss=pred"),
}


class Trained:
    """Files, and finished runs with quick encoders by name; each is trained when it is first asked for."""

    def __init__(self, folder):
        self.folder, self.files, self.runs = folder, write_set(folder / "data"), {}

    def __getitem__(self, name):
        if name not in self.runs:
            arguments = ALONE.get(name)
            if arguments is None:
                teacher = self["teacher"].folder
                arguments = ("--mode=serial", f"--teacher_dir={teacher}", *FEW_FRAMES, *FROM_TEACHER[name])
            self.runs[name] = train(self.folder, name, self.files, *arguments)
        return self.runs[name]


@pytest.fixture(scope="module")
def shared_runs(tmp_path_factory):
    return Trained(tmp_path_factory.mktemp("end_to_end"))


@pytest.fixture
def trained(shared_runs, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    return shared_runs


SLOW = [pytest.param("serial", marks=pytest.mark.slow), pytest.param("frozen", marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", ["teacher", "parallel", "rep", *SLOW])
def test_a_run_has_the_steps_of_its_epochs(trained, name):
    """14 videos in batches of 4: 3 steps in one epoch, 7 in the two epochs of the second stage of `rep`."""
    assert trained[name].checkpoints.steps()[-1] == (10 if name == "rep" else 3)


@pytest.mark.parametrize("name", ["rep", *SLOW])
def test_a_serial_training_does_not_change_the_teacher(trained, name):
    """The student's classifier starts from the teacher's and changes; a frozen one does not."""
    teacher = weights(trained["teacher"], "teacher", "best")
    classifier = len(tiny_training.weights(trained["teacher"].load_network()[0].classifier))
    changed = tiny_training.differ(weights(trained[name], "student")[-classifier:], teacher[-classifier:])
    assert not any(changed) if name == "frozen" else all(changed)
    assert not (trained[name].folder / "best" / "teacher.weights.h5").exists()


@pytest.mark.parametrize(
    "name, role, max_frames",
    [
        pytest.param("teacher", "teacher", 300, marks=pytest.mark.slow),
        ("rep", "student", 4),
        ("parallel", "student", 4),
        pytest.param("parallel", "teacher", 300, marks=pytest.mark.slow),
        pytest.param("serial", "student", 4, marks=pytest.mark.slow),
        pytest.param("frozen", "student", 4, marks=pytest.mark.slow),
    ],
)
def test_evaluation_gives_the_score_of_the_best_validation(trained, name, role, max_frames):
    run = trained[name]
    scores = metrics(run, trained.files, role)
    assert scores["network"] == role and scores["max_frames"] == max_frames and scores["num_videos"] == 8
    progress = json.loads((run.folder / "best" / "progress.json").read_text())
    assert scores["checkpoint_step"] == progress["best_step"]
    if role == run.config.main_role:
        assert scores["gap_at_20"] == pytest.approx(progress["best_value"])


def test_every_network_gives_predictions_of_its_own(trained, tmp_path):
    """Both networks of a parallel run."""
    found = []
    for role in ("teacher", "student"):
        output = tmp_path / f"{role}.csv"
        folder = f"--train_dir={trained['parallel'].folder}"
        pattern = f"--input_data_pattern={trained.files['test']}"
        commands.succeed("infer", folder, pattern, f"--network={role}", f"--output_file={output}")
        found.append(commands.read_csv(output))
        assert list(found[-1]) == [f"v{number:03d}" for number in range(7)]
    assert found[0] != found[1]


def test_the_scalars_of_teacher_and_student_have_the_same_names(trained):
    both = tags(trained["parallel"], "teacher") & tags(trained["parallel"], "student")
    assert {"epoch/gap_at_20", "validation/gap_at_20", "train/gap_at_20"} <= both


@pytest.mark.parametrize("model", ["LogisticModel", pytest.param("MoeModel", marks=pytest.mark.slow)])
def test_video_level_models_work_with_every_command(tmp_path, model):
    files = {
        split: commands.write_files(tmp_path / "data", split, commands.video_means(9, seed))
        for seed, split in enumerate(("train", "test"))
    }
    features = ("--feature_names=mean_rgb,mean_audio", "--feature_sizes=6,3", "--num_classes=5")
    run = train(tmp_path, "run", files, f"--model={model}", *features)
    assert run.checkpoints.steps() == [2]
    assert metrics(run, {"validate": files["train"]}, "teacher")["max_frames"] == 1
    commands.succeed(
        "infer", f"--train_dir={run.folder}", f"--input_data_pattern={files['test']}", f"--output_file={tmp_path}/p.csv.gz"
    )
    assert len(commands.read_csv(tmp_path / "p.csv.gz")) == 9


@pytest.mark.slow
def test_a_run_can_be_moved_and_read_by_another_process(tmp_path, monkeypatch):
    """H-RNNs that also match states. A new process writes the CSV from the run's folder, without data or teacher."""
    files = write_set(tmp_path / "data")
    train(tmp_path, "teacher", files, *SMALL, "--max_steps=1")
    run = train(
        tmp_path,
        "student",
        files,
        "--mode=serial",
        f"--teacher_dir={tmp_path}/teacher",
        *FEW_FRAMES,
        "--match_intermediate",
        "--max_steps=2",
    )
    assert "loss/intermediate_representation_loss" in tags(run, "student")
    for role in ("data", "teacher"):
        (tmp_path / role).rename(tmp_path / f"moved_{role}")
    ended = subprocess.run(
        [
            sys.executable,
            str(ROOT / "inference.py"),
            "--train_dir=student",
            "--output_file=p.csv",
            "--input_data_pattern=moved_data/test*",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("7 videos by the student of step ") and len(ended.stdout.splitlines()) == 1
    assert all(line.startswith("predict: ") for line in ended.stderr.splitlines())
    monkeypatch.chdir(tmp_path)
    commands.succeed("infer", "--train_dir=student", "--output_file=again.csv", "--input_data_pattern=moved_data/test*")
    again, found = commands.read_csv("again.csv"), commands.read_csv("p.csv")
    assert list(found) == list(again)
    for video, pairs in found.items():
        assert [c for c, _ in pairs] == [c for c, _ in again[video]]
        assert [p for _, p in pairs] == pytest.approx([p for _, p in again[video]], rel=1e-4)
