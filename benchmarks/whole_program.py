"""Student and teacher from files to CSV: does the time fall as much as the counted FLOPs?

    python benchmarks/whole_program.py [--rounds=2] [--real_videos=512]

The H-RNN at full size with untrained weights, on synthetic videos of exactly 300 frames; then on videos of realistic
lengths, where FLOPs count the real frames. This process does the work of inference.py for each network in turn: reading, the
network, the best classes, the CSV. Rates are those that it reports, from the second batch on, and the best of the rounds
counts. Files are read repeatedly instead of writing more of them, so they come from memory.
"""

import itertools
import pathlib
import tempfile

from absl import flags

import figures
import made_up
from youtube8m_distill import config, display, runs, schema
from youtube8m_distill.data.tfrecord import find_files
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.export.kaggle import write_predictions

ROUNDS = flags.DEFINE_integer("rounds", 2, "Measurements of each network; one on realistic lengths.", 1)
REAL_VIDEOS = flags.DEFINE_integer("real_videos", 512, "Videos of realistic lengths; 0 for none.", 0)
BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Instead of the default of inference.py for each network.", 1)
VIDEOS_A_FILE = 128
CSV = ("video_id", "classes", "scores")  # what the CSV is made of
FULL_LENGTH_VIDEOS = 512
SEES = {"teacher": None, "student k=30": 30, "student k=10": 10}  # None: all frames
BATCHES = {"teacher": 5, "student k=30": 4, "student k=10": 11}  # all but the first are timed


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        networks = {name: load(folder / name, k) for name, k in SEES.items()}
        lengths = [schema.MAX_FRAMES] * FULL_LENGTH_VIDEOS
        yield from compare(networks, folder / "full_length", lengths, "300 frames", ROUNDS.value, target=0.95)
        if REAL_VIDEOS.value:
            lengths = made_up.real_lengths(REAL_VIDEOS.value)
            yield from compare(networks, folder / "real_lengths", lengths, "real lengths", 1, target=None)


def load(folder, k):
    """The network as inference.py loads it; k is None for all frames."""
    frames = config.FrameView() if k is None else config.FrameView("uniform", k)
    run = made_up.save_network(folder, config.network_config(view=frames))
    return runs.LoadedNetwork(run, make_strategy(), for_metrics=False)


def compare(networks, folder, lengths, what, rounds, target):
    shards = find_files(made_up.write_videos(folder, lengths, VIDEOS_A_FILE))
    best = dict.fromkeys(networks, 0.0)
    for _ in range(rounds):
        for name, network in networks.items():
            best[name] = max(best[name], rate(network, shards, BATCHES[name], folder / "predictions.csv"))
    cost = {
        name: mean_cost(network, lengths, lambda network, n: network.multiply_adds(n)) for name, network in networks.items()
    }
    done = {name: mean_cost(network, lengths, made_up.multiply_adds_done) for name, network in networks.items()}
    for name in networks:
        yield figures.Figure(f"{name}, {what}, files to CSV", best[name], "videos/s")
        yield figures.Figure(f"{name}, {what}, its counted FLOPs", 2 * cost[name] * best[name] / 1e9, "GFLOP/s")
    for name in list(networks)[1:]:
        faster, cheaper = best[name] / best["teacher"], cost["teacher"] / cost[name]
        yield figures.Figure(f"{name}, {what}: times as fast as the teacher", faster, "x")
        yield figures.Figure(f"{name}, {what}: times fewer FLOPs", cheaper, "x")
        yield figures.Figure(f"{name}, {what}: speed ratio over FLOP ratio", faster / cheaper, "x", at_least=target)
        yield figures.Figure(
            f"{name}, {what}: the same, zero states' products not counted", faster / (done["teacher"] / done[name]), "x"
        )


def mean_cost(network, lengths, cost):
    """Mean of `cost(network, frames)` over videos of these lengths, as far as the network sees them."""
    return sum(cost(network.network, min(n, network.config.max_frames)) for n in lengths) / len(lengths)


def rate(network, shards, num_batches, path):
    """Videos/s of a network over this many batches, without the first."""
    count = num_batches * (BATCH_SIZE.value or network.batch_size)
    shards = list(itertools.islice(itertools.cycle(shards), max(1, count // VIDEOS_A_FILE)))
    batches = network.predict(shards, BATCH_SIZE.value, seen=AnyVideos())
    write_predictions(path, ([batch[name] for name in CSV] for batch in batches))
    return network.videos_per_second


class AnyVideos:
    """Replaces data.ids.SeenVideos, since files are read repeatedly."""

    def add(self, found, shards, records):
        """Finds no duplicates."""


if __name__ == "__main__":
    display.LINE_SECONDS = 1e9  # figures only
    figures.run(measure)
