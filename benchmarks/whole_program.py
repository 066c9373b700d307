"""Whether a student saves as much time, from files to CSV, as it saves FLOPs.

    python benchmarks/whole_program.py [--rounds=2] [--real_videos=512]

The networks are H-RNNs at full size with untrained weights. First, all synthetic videos have exactly 300 frames; then, they
have realistic lengths, and only real frames count as FLOPs. This process does the work of `yt8m infer` for each network in
turn: reading, the network, the best classes, and the CSV. Speeds are those that it reports, which start at the second batch,
and the best round counts. The same files are read repeatedly, so they come from memory.
"""

import itertools
import pathlib
import tempfile

from absl import flags

import figures
import inputs
from youtube8m_distill import config, display, runs, schema
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.data.ids import SeenVideos
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.export.kaggle import write_predictions
from youtube8m_distill.runs.tagger import Done

ROUNDS = flags.DEFINE_integer("rounds", 2, "Number of times to measure each network; once with realistic lengths.", 1)
REAL_VIDEOS = flags.DEFINE_integer("real_videos", 512, "Number of videos of realistic lengths; 0 for none.", 0)
BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Videos per batch. Default: that of `yt8m infer` for each network.", 1)
VIDEOS_PER_FILE = 128
FULL_LENGTH_VIDEOS = 512
FRAMES = {"teacher": None, "student k=30": 30, "student k=10": 10}  # None for all frames
BATCHES = {"teacher": 5, "student k=30": 4, "student k=10": 11}  # the first is not timed


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        networks = {name: load(folder / name, k) for name, k in FRAMES.items()}
        lengths = [schema.MAX_FRAMES] * FULL_LENGTH_VIDEOS
        yield from compare(networks, folder / "full_length", lengths, "300 frames", ROUNDS.value, target=0.95)
        if REAL_VIDEOS.value:
            lengths = inputs.real_lengths(REAL_VIDEOS.value)
            yield from compare(networks, folder / "real_lengths", lengths, "real lengths", 1, target=None)


def load(folder, k):
    """The network as `yt8m infer` loads it; k is None for all frames."""
    frames = config.FrameView() if k is None else config.FrameView(frame_selection="uniform", frames_per_video=k)
    run = inputs.save_network(folder, config.network_config(view=frames))
    return runs.LoadedNetwork(run, make_strategy(), for_metrics=False)


def compare(networks, folder, lengths, what, rounds, target):
    shards = find_files(inputs.write_videos(folder, lengths, VIDEOS_PER_FILE))
    best = dict.fromkeys(networks, 0.0)
    for _ in range(rounds):
        for name, network in networks.items():
            best[name] = max(best[name], rate(network, shards, BATCHES[name], folder / "predictions.csv"))
    cost = {
        name: mean_cost(network, lengths, lambda network, n: network.multiply_adds(n)) for name, network in networks.items()
    }
    done = {name: mean_cost(network, lengths, inputs.multiply_adds_done) for name, network in networks.items()}
    for name in networks:
        yield figures.Figure(f"{name}, {what}, files to CSV", best[name], "videos/s")
        yield figures.Figure(f"{name}, {what}, counted FLOPs", 2 * cost[name] * best[name] / 1e9, "GFLOP/s")
    for name in list(networks)[1:]:
        faster, cheaper = best[name] / best["teacher"], cost["teacher"] / cost[name]
        yield figures.Figure(f"{name}, {what}: times as fast as the teacher", faster, "x")
        yield figures.Figure(f"{name}, {what}: times fewer FLOPs", cheaper, "x")
        yield figures.Figure(f"{name}, {what}: speed ratio over FLOP ratio", faster / cheaper, "x", at_least=target)
        yield figures.Figure(
            f"{name}, {what}: the same without products with zero states", faster / (done["teacher"] / done[name]), "x"
        )


def mean_cost(network, lengths, cost):
    """The mean of `cost(network, frames)` over videos of these lengths, for the frames that the network reads."""
    return sum(cost(network.network, min(n, network.config.max_frames)) for n in lengths) / len(lengths)


def rate(network: runs.LoadedNetwork, shards, num_batches, path):
    """Videos per second of a network over this many batches, not counting the first."""
    count = num_batches * (BATCH_SIZE.value or network.batch_size)
    shards = list(itertools.islice(itertools.cycle(shards), max(1, count // VIDEOS_PER_FILE)))
    batches = network.predict(shards, BATCH_SIZE.value, done=Done(seen=IgnoredVideos()))
    write_predictions(path, ((batch["video_id"], batch["classes"], batch["scores"]) for batch in batches))
    assert network.videos_per_second is not None, "there are at least two batches"
    return network.videos_per_second


class IgnoredVideos(SeenVideos):
    """Finds no duplicates, because the same files are read repeatedly."""

    def add(self, hashes, shards, records):
        return None


if __name__ == "__main__":
    display.LINE_SECONDS = 1e9  # no progress lines between the results
    figures.run(measure)
