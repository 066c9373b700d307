"""Measurements on the networks of finished trials: speed, positions of encodings, and the frames that they read."""

import pathlib

import pandas as pd

from reproduce import encodings, frame_choices
from reproduce.results import FOLDER, FRAME_CHOICES, read_versioned, write_versioned
from reproduce.settings import run_folder
from reproduce.trials import SKIPFRAME, Trial
from youtube8m_distill import files, runs, schema

ROUNDS = 5  # per network; the report shows the median
MIN_BATCHES = 8  # per round, including the first, which is not timed
MAX_ENCODED_VIDEOS = 20_000  # the videos of Figure 3 are chosen from these


def measure_speed(folder, trials: list[Trial], eval_shards, strategy, about: dict):
    """Measures videos per second: in several rounds, predicts all held-out videos with one network after the other.

    Each round reads the files again, so the speed covers everything from files to scores. The first batch of each round is
    not timed, because it includes one-time costs.

    Args:
        folder: the experiment's folder.
        trials: finished trials of one family.
        eval_shards: tuple of data.tfrecord.Shard.
        strategy: tf.distribute.Strategy.
        about: dict to store with the measurement.
    """
    loaded = [runs.LoadedNetwork(runs.open_run(run_folder(folder, trial)), strategy, for_metrics=False) for trial in trials]
    rates = [[] for _ in trials]
    num_videos = sum(len(batch[schema.VIDEO_ID]) for batch in loaded[-1].predict(eval_shards, description="speed"))
    for _ in range(ROUNDS):
        for network, network_rates in zip(loaded, rates):
            batch_size = max(1, min(network.batch_size, num_videos // MIN_BATCHES))
            for _ in network.predict(eval_shards, batch_size, "speed"):
                pass
            if network.videos_per_second is not None:  # None after a single batch
                network_rates.append(network.videos_per_second)
    networks = [
        {
            "k": trial.k,
            "max_frames": network.config.max_frames,
            "multiply_adds": network.network.multiply_adds(network.config.max_frames),
            "videos_per_second": network_rates,
        }
        for trial, network, network_rates in zip(trials, loaded, rates)
    ]
    write_versioned(_timing_path(folder, trials), {**about, "num_videos": num_videos, "networks": networks})


def is_measured(folder, trials: list[Trial]) -> bool:
    """Whether one call of `measure_speed` has measured all of these trials."""
    path = _timing_path(folder, trials)
    return path.exists() and {trial.k for trial in trials} <= {network["k"] for network in read_versioned(path)["networks"]}


def _timing_path(folder, trials):
    return pathlib.Path(folder) / FOLDER / "timing" / f"{trials[0].family}.json"


def project_encodings(folder, trial: Trial, eval_shards, strategy, about: dict):
    """Computes the data for Figure 3: 2-D positions of a teacher's and a student's encodings of the same held-out videos.

    Args:
        folder: the experiment's folder.
        trial: a finished serial trial.
        eval_shards: tuple of data.tfrecord.Shard.
        strategy: tf.distribute.Strategy.
        about: dict to store with the data.
    Raises:
        ValueError: if no held-out video has exactly one of the chosen classes.
    """
    assert trial.teacher is not None, trial.name
    teacher, student = (
        runs.read_encodings(
            runs.LoadedNetwork(runs.open_run(run_folder(folder, each)), strategy), eval_shards, MAX_ENCODED_VIDEOS
        )
        for each in (trial.teacher, trial)
    )
    classes = encodings.choose_classes(teacher.labels)
    rows = encodings.choose_videos(teacher.labels, classes)
    pairs = teacher.encodings[rows], student.encodings[rows]
    class_of_row = [next(index for index in classes if teacher.labels[row, index]) for row in rows]
    video_ids = [teacher.video_ids[row].decode(errors="replace") for row in rows]
    parts = [
        pd.DataFrame({"video_id": video_ids, "class": class_of_row, "role": role, "x": points[:, 0], "y": points[:, 1]})
        for role, points in zip((schema.TEACHER, schema.STUDENT), encodings.project(*pairs))
    ]
    path = encodings_path(folder, trial)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path.with_suffix(".csv"), pd.concat(parts).to_csv(index=False))
    counts = [{"class": index, "num_videos": class_of_row.count(index)} for index in classes]
    write_versioned(path, {**about, "classes": counts, **encodings.closeness(*pairs)})


def encodings_path(folder, trial: Trial) -> pathlib.Path:
    """The path of the JSON file that `project_encodings` writes, next to the CSV file."""
    return pathlib.Path(folder) / FOLDER / "encodings" / f"{trial.name}.json"


def record_frame_choices(folder, trial: Trial, eval_shards, strategy, about: dict):
    """Records which frames of the held-out videos a network reads; of SkipFrame, also the cost of a decision.

    Args:
        folder: the experiment's folder.
        trial: a finished trial that reads at most k frames.
        eval_shards: tuple of data.tfrecord.Shard.
        strategy: tf.distribute.Strategy.
        about: dict to store with the record.
    """
    assert trial.k is not None, trial.name
    loaded = runs.LoadedNetwork(runs.open_run(run_folder(folder, trial)), strategy, for_metrics=False)
    found = frame_choices.describe(*frame_choices.read_choices(loaded, eval_shards, trial.k))
    if trial.method == SKIPFRAME:  # the policy has no bias: one multiply-add per weight
        found["decision_multiply_adds"] = loaded.network.encoder.policy.count_params()
    write_versioned(choices_path(folder, trial), {**about, **found})


def choices_path(folder, trial: Trial) -> pathlib.Path:
    """The path of the JSON file that `record_frame_choices` writes."""
    return pathlib.Path(folder) / FOLDER / FRAME_CHOICES / f"{trial.name}.json"
