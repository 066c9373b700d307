"""Runs every step on a small synthetic data set: teacher, baseline, two students, scores, predictions."""

import json
import pathlib
import shlex
import subprocess
import sys
import time

import pandas as pd

from youtube8m_distill import files
from youtube8m_distill.cli import entry
from youtube8m_distill.cli.flags import FLAGS

SAMPLE = {
    "num_train_videos": 4000,
    "num_validate_videos": 1250,
    "num_test_videos": 200,
    "num_classes": 100,
    "videos_per_shard": 250,
    "seed": 1,
}
SELECTION_FILES = "sample/validate0000.tfrecord"  # the best epoch is chosen on it
HELD_OUT_FILES = "sample/validate000[1-9].tfrecord"  # no training reads these
NUM_HELD_OUT = SAMPLE["num_validate_videos"] - SAMPLE["videos_per_shard"]
# With this rate and decay, the teacher converges some epochs before the end, and a parallel student learns from it then.
TRAINING = {
    "batch_size": 32,
    "num_epochs": 8,
    "base_learning_rate": 0.002,
    "learning_rate_decay": 0.75,
    "learning_rate_decay_examples": SAMPLE["num_train_videos"],
}
NETWORK = {"num_classes": SAMPLE["num_classes"], "lstm_cells": 64}
UNIFORM = {"frame_selection": "uniform", "frames_per_video": 10}
# name -> flags of the training; a serial student needs the teacher before it.
RUNS = {
    "teacher": {"mode": "teacher", **NETWORK},
    "uniform": {"mode": "teacher", **NETWORK, **UNIFORM},
    "serial": {"mode": "serial", **UNIFORM},
    # L_rep alone: in such a short training, the student's other terms slow the shared classifier down (BUILD_NOTES.md).
    "parallel": {"mode": "parallel", "student_loss": "rep", **NETWORK, **UNIFORM},
}
COLUMNS = {"gap_at_20": "GAP", "mean_average_precision": "mAP", "hit_at_one": "Hit@1", "perr": "PERR"}


def main():
    folder, started = pathlib.Path(FLAGS.output_dir), time.monotonic()
    predictions = folder / "predictions.csv"
    command("synthesize", output_dir=folder / "sample", **SAMPLE)
    records = [record for seed in range(FLAGS.seeds) for record in train_and_score(folder, seed)]
    serial = run_folder(folder, "serial", 0)
    command("infer", train_dir=serial, input_data_pattern=folder / "sample/test*.tfrecord", output_file=predictions)
    report = table(pd.DataFrame(records))
    with entry.user_errors():
        files.write_text(folder / "results.json", json.dumps(records, indent=2) + "\n")
        files.write_text(folder / "results.txt", report + "\n")
    print(
        f"\n{report}\n\nOn {NUM_HELD_OUT} held-out videos of the synthetic data set; videos per second are "
        f"measured on this machine, from files to scores, after the first batch.\n"
        f"Done in {time.monotonic() - started:.0f} s. Predictions: {predictions}. Curves: "
        f"tensorboard --logdir={folder / 'runs'} (or `make tensorboard`)."
    )


def train_and_score(folder, seed):
    """Trains and scores the four networks with one seed; returns a record for each."""
    records = []
    for name, settings in RUNS.items():
        if settings["mode"] == "serial":
            teacher = run_folder(folder, "teacher", seed)
            settings = {**settings, "teacher_dir": teacher, "teacher_targets_dir": folder / "targets" / teacher.name}
        train_dir, selection = run_folder(folder, name, seed), folder / SELECTION_FILES
        data = {"train_data_pattern": folder / "sample/train*.tfrecord", "validation_data_pattern": selection}
        command("train", train_dir=train_dir, seed=seed, **data, **settings, **TRAINING)
        command("eval", "--run_once", train_dir=train_dir, batch_size=64, eval_data_pattern=folder / HELD_OUT_FILES)
        role = "teacher" if settings["mode"] == "teacher" else "student"
        metrics = json.loads((train_dir / "eval" / role / "metrics.json").read_text(encoding="utf-8"))
        records.append({"run": name, "seed": seed, **metrics})
    return records


def run_folder(folder, name, seed):
    return folder / "runs" / (name if FLAGS.seeds == 1 else f"{name}_seed{seed}")


def command(name, *switches, **values):
    """Prints a command as a user would write it, and runs it in a process of its own."""
    arguments = [name, *switches, *(f"--{flag}={value}" for flag, value in values.items())]
    print(f"\n$ yt8m {shlex.join(arguments)}", flush=True)
    status = subprocess.run([sys.executable, "-m", "youtube8m_distill", *arguments], check=False).returncode
    if status:
        entry.fail(f"`yt8m {name}` failed with exit code {status}; see its message above.")


def table(records):
    """One line per network: its frames, scores and cost. With several seeds, scores are mean ± standard deviation."""
    titles = [*COLUMNS.values(), "multiply-adds", "videos/s"]
    lines = [f"{'network':<12}{'frames':>7}" + "".join(f"{title:>18}" for title in titles)]
    for name in RUNS:
        rows = records[records["run"] == name]
        cells = [f"{rows[column].mean():.4f}" for column in COLUMNS]
        if len(rows) > 1:
            cells = [f"{cell} ± {rows[column].std():.4f}" for cell, column in zip(cells, COLUMNS)]
        cells += [f"{rows['multiply_adds'].iloc[0] / 1e6:.2f} M", f"{rows['videos_per_second'].mean():.0f}"]
        lines.append(f"{name:<12}{rows['max_frames'].iloc[0]:>7}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)
