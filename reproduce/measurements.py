"""What is measured on trained networks once their cells are finished: speed, and where encodings lie."""

import pathlib

import pandas as pd

from reproduce import encodings
from reproduce.results import FOLDER, read_versioned, write_versioned
from reproduce.settings import run_folder
from youtube8m_distill import files, runs, schema

ROUNDS = 5  # each network's turn comes so often; the report shows the median
FEWEST_BATCHES = 8  # of each turn, the first of which does not count
MOST_ENCODED = 20_000  # videos among which Figure 3's are chosen


def measure_speed(folder, cells, eval_shards, strategy, about):
    """Predicts all held-out videos with one network after the other, several times round, and notes videos a second.

    Files are read from the start each time, so this is the whole way from files to scores, but for the first batch of each
    turn, which pays for what is done once.

    Args:
        folder: of the experiment.
        cells: list of finished Cells of one family.
        eval_shards: tuple of data.tfrecord.Shard.
        strategy: tf.distribute.Strategy.
        about: dict that is noted beside.
    """
    path = _timing_path(folder, cells)
    loaded = [runs.LoadedNetwork(runs.open_run(run_folder(folder, cell)), strategy, for_metrics=False) for cell in cells]
    rates = [[] for _ in cells]
    num_videos = sum(len(batch.video_ids) for batch in loaded[-1].predict(eval_shards, description="speed"))
    for _ in range(ROUNDS):
        for network, its_rates in zip(loaded, rates):
            size = max(1, min(network.batch_size, num_videos // FEWEST_BATCHES))
            for _ in network.predict(eval_shards, size, "speed"):
                pass
            if network.videos_per_second is not None:  # one batch only
                its_rates.append(network.videos_per_second)
    networks = [
        {
            "k": cell.k,
            "max_frames": network.config.max_frames,
            "multiply_adds": network.network.multiply_adds(network.config.max_frames),
            "videos_per_second": its_rates,
        }
        for cell, network, its_rates in zip(cells, loaded, rates)
    ]
    write_versioned(path, {**about, "num_videos": num_videos, "networks": networks})


def is_measured(folder, cells):
    """Whether `measure_speed` has been done for these networks, all of them side by side."""
    path = _timing_path(folder, cells)
    return path.exists() and {cell.k for cell in cells} <= {network["k"] for network in read_versioned(path)["networks"]}


def _timing_path(folder, cells):
    return pathlib.Path(folder) / FOLDER / "timing" / f"{cells[0].family}.json"


def project_encodings(folder, cell, eval_shards, strategy, about):
    """Figure 3's data: the same held-out videos as a teacher and its student encode them, in one plane.

    Args:
        folder: of the experiment.
        cell: finished serial Cell.
        eval_shards: tuple of data.tfrecord.Shard.
        strategy: tf.distribute.Strategy.
        about: dict that is noted beside.
    Raises:
        ValueError: if no held-out video has exactly one of the classes.
    """
    teacher, student = (
        runs.read_encodings(runs.LoadedNetwork(runs.open_run(run_folder(folder, each)), strategy), eval_shards, MOST_ENCODED)
        for each in (cell.teacher, cell)
    )
    classes = encodings.choose_classes(teacher.labels)
    rows = encodings.choose_videos(teacher.labels, classes)
    pairs = teacher.encodings[rows], student.encodings[rows]
    of_video = [next(index for index in classes if teacher.labels[row, index]) for row in rows]
    table = pd.concat(
        [
            pd.DataFrame(
                {
                    "video_id": [teacher.video_ids[row].decode(errors="replace") for row in rows],
                    "class": of_video,
                    "role": role,
                    "x": places[:, 0],
                    "y": places[:, 1],
                }
            )
            for role, places in zip((schema.TEACHER, schema.STUDENT), encodings.project(*pairs))
        ]
    )
    path = encodings_path(folder, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path.with_suffix(".csv"), table.to_csv(index=False))
    counts = [{"class": index, "num_videos": of_video.count(index)} for index in classes]
    write_versioned(path, {**about, "classes": counts, **encodings.closeness(*pairs)})


def encodings_path(folder, cell):
    """The JSON file of what `project_encodings` found; the CSV lies beside it."""
    return pathlib.Path(folder) / FOLDER / "encodings" / f"{cell.name}.json"
