"""Made-up results of trials on segments, and small files with rated segments."""

import numpy as np

from reproduce.results import Result, Results
from reproduce.segment_rows import ROWS
from reproduce.segment_trials import NETWORKS
from tests import commands, records

SEGMENT_FRAMES = 5
TERMS = ("loss", "label_loss", "online_distillation_loss", "regularization_loss")


def made_up_segments_result(trial, score=0.8):
    """A Result with all keys of a real one. The network that is taken out of a mixture scores 0.1 less."""

    def network(score):
        return {
            "gap_at_20": 0.9,
            "mean_average_precision": 0.5,
            "hit_at_one": 0.6,
            "perr": 0.5,
            "loss": 1.0,
            "num_videos": 100,
            "map_at_k": score,
            "num_rated": 1234,
            "multiply_adds": 1_000_000,
            "parameters": 2_500_000 * NETWORKS[trial.network].num_base,
            "max_frames": 300,
            "step": 20,
            "epoch": 2,
        }

    falling = [(step, 10.0 / step) for step in range(10, 210, 10)]
    return Result(
        trial,
        {role: network(score - 0.1 * (role != trial.main_role)) for role in trial.roles},
        {},
        f"yt8m train --train_dir=runs/{trial.name}",
        {"mode": "teacher", "recipe": "mod_finetune"},
        {"seconds": 12.5, "machine": "2 cores"},
        dict.fromkeys(TERMS if trial.is_mixture else TERMS[:2], falling),
    )


def results_of(scores):
    """Results from the scores of each row by seed. Prerequisites are left out."""
    return Results(
        made_up_segments_result(ROWS[title].trial.with_seed(seed), score + 0.1 * (ROWS[title].role == "extracted"))
        for title, of_seeds in scores.items()
        for seed, score in enumerate(of_seeds)
    )


def rated_videos(count, seed=0, first=0):
    """Serialized records of two segments each. One shows the video's label, and the other does not."""
    random, found = np.random.default_rng(seed), []
    for number in range(first, first + count):
        label, shown = int(random.integers(commands.NUM_CLASSES)), int(random.integers(2))
        frames = records.random_frames(2 * SEGMENT_FRAMES, seed=1000 * seed + number)
        frames["rgb"][shown * SEGMENT_FRAMES : (shown + 1) * SEGMENT_FRAMES, label] = 255
        ratings = {
            "segment_labels": [label, label],
            "segment_start_times": [0, SEGMENT_FRAMES],
            "segment_end_times": [SEGMENT_FRAMES, 2 * SEGMENT_FRAMES],
            "segment_scores": [float(shown == 0), float(shown == 1)],
        }
        found.append(records.frame_record(frames, commands.video_id(number), [label], **ratings))
    return found


def write_segments(folder):
    """Writes 16 training videos, and 8 + 8 videos with rated segments, with official names."""
    commands.write_files(folder, "train", commands.frame_videos(16))
    commands.write_files(folder, "validate", rated_videos(16, first=100))
    return folder
