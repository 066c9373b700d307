"""Whether the time per video and the memory of inference stay the same for many videos.

    python benchmarks/growth.py [--all]

There are 1,000 and 10,000 videos of 10 frames, and with --all also 100,000. The network is an H-RNN with 32 cells and 3,862
classes. Each measurement is a separate process that does the work of `yt8m infer`, from files to CSV. Sizes are measured in
turns, and the best round counts. Time excludes the first batch. Memory is the peak memory of the process, including
TensorFlow.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile

from absl import flags

import figures
import inputs
from youtube8m_distill import config, display, runs
from youtube8m_distill.data.find_files import find_files
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.export.kaggle import write_predictions

ALL = flags.DEFINE_boolean("all", False, "Also measure 100,000 videos.")
ROUNDS = flags.DEFINE_integer("rounds", 1, "Number of times to measure each size.", 1)
ALONE = flags.DEFINE_string(
    "alone", None, "Measure the files of this pattern in this process, with the run next to their folder."
)
FRAMES, CELLS, BATCH_SIZE, VIDEOS_PER_FILE = 10, 32, 128, 1000
NETWORK = config.network_config(view=config.FrameView(frame_selection="uniform", frames_per_video=FRAMES), lstm_cells=CELLS)


def measure():
    sizes = (1_000, 10_000, 100_000) if ALL.value else (1_000, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        inputs.save_network(folder / "run", NETWORK)
        patterns = {size: inputs.write_videos(folder / str(size), [FRAMES] * size, VIDEOS_PER_FILE) for size in sizes}
        found = {size: [] for size in sizes}
        for _ in range(ROUNDS.value):
            for size in sizes:
                found[size].append(measure_in_subprocess(patterns[size]))
    least = {size: {name: min(each[name] for each in rounds) for name in rounds[0]} for size, rounds in found.items()}
    for size in sizes:
        yield figures.Figure(f"{size:,} videos: time per video", 1e6 * least[size]["seconds"], "us")
        yield figures.Figure(f"{size:,} videos: peak memory", least[size]["bytes"] / 2**20, "MiB")
    for size in sizes[1:]:
        for what, name in (("time per video", "seconds"), ("peak memory", "bytes")):
            ratio = least[size][name] / least[sizes[0]][name]
            yield figures.Figure(f"{what}, {size:,} videos over {sizes[0]:,}", ratio, "x", at_most=1.1)


def measure_in_subprocess(pattern):
    ran = subprocess.run([sys.executable, __file__, f"--alone={pattern}"], capture_output=True, text=True, check=True)
    return json.loads(next(line for line in ran.stdout.splitlines() if line.startswith("{")))


def infer(pattern):
    """Prints the seconds per video and the peak memory of inference over these files."""
    folder = pathlib.Path(pattern).parent
    network = runs.LoadedNetwork(runs.open_run(folder.parent / "run"), make_strategy(), for_metrics=False)
    batches = network.predict(find_files(pattern), BATCH_SIZE)
    rows = ((batch["video_id"], batch["classes"], batch["scores"]) for batch in batches)
    write_predictions(folder / "predictions.csv", rows)
    assert network.videos_per_second is not None, "there are at least two batches"
    print(
        json.dumps(
            {"seconds": 1 / network.videos_per_second, "bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
        )
    )


def main():
    if ALONE.value is None:
        yield from measure()
    else:
        infer(ALONE.value)


if __name__ == "__main__":
    display.LINE_SECONDS = 1e9  # no progress lines between the results
    figures.run(main)
