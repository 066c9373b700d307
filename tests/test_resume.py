"""A run that is killed repeatedly ends in the same state as one never killed: bit for bit, in every mode."""

import collections
import itertools
import json
import random
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests import commands, kills, networks
from youtube8m_distill import config
from youtube8m_distill.engine.checkpoints import Checkpoints

SIGNALS = (signal.SIGTERM, signal.SIGKILL)
TERMINATED = 128 + signal.SIGTERM

# More videos than two shuffling windows hold; 3 of the 5 files are read at a time.
NUM_VIDEOS, NUM_FILES, BATCH_SIZE, NUM_EPOCHS = 2200, 5, 64, 2
SETTINGS = (
    f"--batch_size={BATCH_SIZE}",
    f"--num_epochs={NUM_EPOCHS}",
    "--base_learning_rate=0.01",
    "--seed=11",
    "--learning_rate_decay_examples=640",
    "--num_readers=3",
    "--dropout=0.5",
    "--checkpoint_steps=7",
    "--max_to_keep=1000",
)
STUDENT = ("--frame_selection=random", "--frames_per_video=3")
MODES = {
    "teacher": ("--mode=teacher", *commands.SMALL, "--frame_selection=uniform", "--frames_per_video=6"),
    "two stages": ("--mode=serial", *STUDENT, "--student_loss=rep", "--finetune_epochs=2"),
    "parallel": ("--mode=parallel", *STUDENT, *commands.SMALL),
    "stored targets": ("--mode=serial", *STUDENT),
    "another family": (
        "--mode=serial",
        *STUDENT,
        "--student_model=DbofModel",
        "--dbof_cluster_size=8",
        "--dbof_hidden_size=3",
        "--student_loss=rep,pred,ce,relation,topk_logit",
    ),
}

# When to kill: the event, its largest count, and the longest delay in seconds.
MOMENTS = {
    "start-up": ("start", 1, 1.5),
    "tracing": ("loop", 1, 1.5),
    "step": ("step", 15, 0.02),
    "validation": ("validation", 2, 0.05),
    "saving": ("write step-", 3, 0.04),
    "saving the best": ("write best", 1, 0.04),
    "history": ("write history", 2, 0.01),
    "next stage": ("stage", 1, 1.0),
    "targets": ("write train", NUM_FILES, 0.1),
}


def write_videos(folder):
    """Writes training and validation files, and returns their globs. The training videos repeat a hundred videos."""
    some = commands.frame_videos(100)
    return (
        commands.write_files(folder, "train", list(itertools.islice(itertools.cycle(some), NUM_VIDEOS)), NUM_FILES),
        commands.write_files(folder, "validate", commands.frame_videos(30, seed=1)),
    )


def save_teacher(folder):
    commands.save_run(
        folder, networks.frame_level(lstm_layers=1, view=config.FrameView(frame_selection="uniform", frames_per_video=6))
    )


def command(folder, mode, run):
    """The flags of a run. Each run computes its own stored targets, so that it can be killed while doing so."""
    files = [
        f"--train_data_pattern={folder}/data/train*",
        f"--validation_data_pattern={folder}/data/validate*",
        f"--train_dir={folder}/{run}",
    ]
    if "--mode=serial" in MODES[mode]:
        files.append(f"--teacher_dir={folder}/teacher")
    if mode == "stored targets":
        files.append(f"--teacher_targets_dir={folder}/{run}.targets")
    return (*MODES[mode], *SETTINGS, *files)


def draw(chance, kind, moments):
    """A random Moment of a kind in `moments`."""
    event, most, seconds = moments[kind]
    return kills.Moment(event, chance.randint(1, most), chance.uniform(0, seconds), chance.choice(SIGNALS))


# ---- the results of a run


def arrays(folder):
    """Every array in a checkpoint, by file and name."""
    found = {}
    for path in sorted(folder.glob("*.weights.h5")):
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item: (
                    found.update({f"{path.name}/{name}": item[()]})  # noqa: B023
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as saved:
            found.update({f"{path.name}/{name}": saved[name] for name in saved.files})
    return found


def assert_same_checkpoint(found, expected):
    """Weights of every network, optimizer, random generators and Progress are equal bit for bit."""
    assert [path.name for path in sorted(found.iterdir())] == [path.name for path in sorted(expected.iterdir())]
    ours, theirs = arrays(found), arrays(expected)
    assert ours.keys() == theirs.keys() and theirs
    different = [
        name for name, value in theirs.items() if value.dtype != ours[name].dtype or value.tobytes() != ours[name].tobytes()
    ]
    assert not different, f"{found.name}: {different[:5]}"
    read = [json.loads((folder / "progress.json").read_text()) for folder in (found, expected)]
    assert read[0] == read[1]


def scalars(folder):
    """{run/tag: {step: value}} as TensorBoard shows them: the last value of a step counts."""
    found = {}
    for run in sorted(folder.iterdir()):
        events = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
        for tag in events.Tags()["tensors"]:
            found[f"{run.name}/{tag}"] = {
                event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)
            }
    return found


def assert_same_scalars(found, expected, resumed):
    """The same tags, steps and values, except for rates and split intervals.

    Training logs are means since the last logs. If a run resumes inside such an interval, the mean covers only its rest.

    Args:
        found, expected: of `scalars`.
        resumed: steps from which a process resumed.
    Returns:
        int, the number of split intervals.
    """
    assert found.keys() == expected.keys()
    logged = sorted({step for name, points in expected.items() if name.endswith("loss/loss") for step in points})
    split = {step for before, step in itertools.pairwise([0, *logged]) if any(before < begin < step for begin in resumed)}
    for name, points in expected.items():
        run, folder, tag = name.split("/")
        ours, theirs = found[name], points
        assert ours.keys() == theirs.keys(), f"{name}: {sorted(ours.keys() ^ theirs.keys())}"
        changed = split if folder in ("loss", "train") and tag != "learning_rate" else set()
        if tag != "examples_per_second":
            different = [(step, ours[step], theirs[step]) for step in ours.keys() - changed if ours[step] != theirs[step]]
            assert not different, f"{name}: {different}"
    return len(split)


def assert_same_run(found, expected, resumed):
    """The same checkpoints, best weights, history and TensorBoard scalars. `found` may have more checkpoints: those saved
    after SIGTERM. Returns what `assert_same_scalars` does."""
    ours, theirs = (Checkpoints(folder) for folder in (found, expected))
    assert set(theirs.steps()) <= set(ours.steps()) and ours.steps()[-1] == theirs.steps()[-1]
    for step in theirs.steps():
        assert_same_checkpoint(ours.step_folder(step), theirs.step_folder(step))
    assert_same_checkpoint(found / "best", expected / "best")
    assert (found / "history.csv").read_text() == (expected / "history.csv").read_text()
    return assert_same_scalars(scalars(found / "tensorboard"), scalars(expected / "tensorboard"), resumed)


# ---- killed runs


class Killed:
    """A run that is started with the same command after each kill.

    Args:
        folder: of data, teacher and runs.
        mode: a key of MODES.
        name: of the run.
        quick: of kills.train.
        *more: flags.
    """

    def __init__(self, folder, mode, name, quick, *more):
        self.mode, self.path, self.quick = mode, folder / name, quick
        self.command = (*command(folder, mode, name), *more)
        self.resumed, self.signals, self.starts = [], collections.Counter(), 0

    def start(self, moment=None):
        """Starts the command; returns whether it was killed. After SIGTERM, the last step must have been saved."""
        newest = self._newest()
        process = kills.train(self.command, f"{self.path}.{self.starts}", moment, self.quick)
        self.starts += 1
        assert process.code in (0, -signal.SIGKILL, -signal.SIGTERM, TERMINATED), process.output[-3000:]
        if process.steps:
            assert process.steps[0] == newest + 1, "it did not resume at its newest checkpoint"
            self.resumed.append(newest)
        if process.code in (-signal.SIGTERM, TERMINATED):
            assert self._newest() == (process.steps or [newest])[-1], process.output[-3000:]
        if process.code:
            self.signals[moment.signal.name] += 1
        return process.code != 0

    def draw(self, chance):
        """A random Moment."""
        kinds = sorted(MOMENTS.keys() - {"next stage", "targets"})
        if self.mode == "two stages" and not Checkpoints(self.path).newest_progress().stage:
            kinds.append("next stage")
        if self.mode == "stored targets" and len(list(self.path.with_suffix(".targets").glob("*.targets"))) < NUM_FILES:
            kinds = ["start-up", "targets"]
        return draw(chance, chance.choice(kinds), MOMENTS)

    def _newest(self):
        return Checkpoints(self.path).newest_progress().step


@pytest.fixture
def folder(tmp_path):
    write_videos(tmp_path / "data")
    return tmp_path


@pytest.mark.slow
def test_a_run_of_two_stages_killed_five_times_ends_as_if_never_killed(folder, monkeypatch):
    commands.use_quick_encoder(monkeypatch)
    save_teacher(folder / "teacher")
    seed = 5
    chance = random.Random(seed)
    assert not Killed(folder, "two stages", "never", quick=True).start()
    run = Killed(folder, "two stages", "killed", quick=True)
    early = {
        **MOMENTS,
        "start-up": ("start", 1, 0.5),
        "validation": ("validation", 1, 0.05),
        "next stage": ("stage", 1, 0.05),
    }
    for number, kind in enumerate(("start-up", "step", "saving", "validation", "next stage")):
        moment = draw(chance, kind, early)._replace(signal=SIGNALS[number % 2])
        assert run.start(moment), f"seed {seed}: the run ended before {moment}"
    assert not run.start()
    assert_same_run(run.path, folder / "never", run.resumed)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_25_kills_in_every_mode_lose_nothing(folder, mode, monkeypatch):
    """In as many runs as 25 kills take. For a teacher, the run never killed is the command in a process of its own."""
    quick = mode != "teacher"
    if quick:
        commands.use_quick_encoder(monkeypatch)
    save_teacher(folder / "teacher")
    more = "--validation_steps=25"
    never = Killed(folder, mode, "never", quick, more)
    if quick:
        never.start()
    else:
        subprocess.run([sys.executable, "-m", "youtube8m_distill", "train", *never.command], check=True)
    chance, signals, starts, split = random.Random(f"25 kills: {mode}"), collections.Counter(), 0, 0
    for number in itertools.count():
        run = Killed(folder, mode, f"killed{number}", quick, more)
        while run.start(run.draw(chance) if (signals + run.signals).total() < 25 else None):
            pass
        split += assert_same_run(run.path, folder / "never", run.resumed)
        signals, starts = signals + run.signals, starts + run.starts
        print(f"{mode}: run {number + 1} survived {dict(run.signals)} in {run.starts} starts, from steps {run.resumed}")
        if signals.total() == 25:
            break
    print(f"{mode}: {dict(signals)} survived in {number + 1} runs and {starts} starts; {split} split intervals")
