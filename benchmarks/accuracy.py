"""What the accuracy benchmarks share: one synthetic data set, one schedule, and functions that run commands."""

import json
import shlex
import subprocess
import sys

SAMPLE = {
    "num_train_videos": 2000,
    "num_validate_videos": 1250,
    "num_test_videos": 100,
    "num_classes": 50,
    "videos_per_shard": 250,
    "seed": 1,
}
SCHEDULE = {
    "batch_size": 32,
    "num_epochs": 6,
    "base_learning_rate": 0.002,
    "learning_rate_decay": 0.75,
    "learning_rate_decay_examples": SAMPLE["num_train_videos"],
}
# Clusters and hidden layer are small. bfloat16 is faster on CPUs that support it.
NEXTVLAD = {"nextvlad_cluster_size": 16, "nextvlad_hidden_size": 64, "mixed_precision": True, "num_epochs": 4}
SCORED = "sample/validate000[1-9].tfrecord"  # the best epoch is chosen on the first file
SCORES = {"gap_at_20": "GAP", "mean_average_precision": "mAP", "hit_at_one": "Hit@1"}


def write_sample(folder):
    """Writes the data set to `<folder>/sample` unless it exists."""
    if not (folder / "sample").is_dir():
        command("synthesize", output_dir=folder / "sample", **SAMPLE)


def train_and_score(folder, run, **options):
    """Trains with these flags, predicts unlabeled videos, and scores held-out ones.

    A run that has been scored is not repeated. Returns a dict of scores and cost.
    """
    if not scores_file(run).is_file():
        command(
            "train",
            train_dir=run,
            train_data_pattern=folder / "sample/train*.tfrecord",
            validation_data_pattern=folder / "sample/validate0000.tfrecord",
            **{**SCHEDULE, **options},
        )
        command(
            "infer",
            train_dir=run,
            batch_size=64,
            input_data_pattern=folder / "sample/test*.tfrecord",
            output_file=run / "predictions.csv",
        )
    return score(folder, run)


def score(folder, run):
    """The scores of a trained run on the held-out videos. They are computed once."""
    if not scores_file(run).is_file():
        command(
            "eval",
            "--run_once",
            train_dir=run,
            batch_size=64,
            output_dir=scores_file(run).parent,
            eval_data_pattern=folder / SCORED,
        )
    found = json.loads(scores_file(run).read_text(encoding="utf-8"))
    return {**{title: found[name] for name, title in SCORES.items()}, "M multiply-adds": found["multiply_adds"] / 1e6}


def scores_file(run):
    return run / "eval" / "held_out" / "metrics.json"


def command(name, *switches, **values):
    """Prints a command as a user would type it, and runs it."""
    arguments = [name, *switches, *(f"--{flag}={value}" for flag, value in values.items())]
    print(f"\n$ yt8m {shlex.join(map(str, arguments))}", flush=True)
    subprocess.run([sys.executable, "-m", "youtube8m_distill", *arguments], check=True)
