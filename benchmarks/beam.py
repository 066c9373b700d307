"""What Apache Beam costs: `yt8m beam` on this machine over `yt8m infer` on the same files.

    .venv-beam/bin/python benchmarks/beam.py [--videos=8000] [--frames=10] [--rounds=2]

The network is an untrained H-RNN of the published size. Each command runs as from a shell, on all videos and on an eighth of
them; the difference of both is the rate without the start of processes and the loading of the network. Seconds of CPU are
those of all processes of the command, so they depend less on what else the machine does than time does.
"""

import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import numpy as np
from absl import flags

import figures
import inputs
from youtube8m_distill import config

VIDEOS = flags.DEFINE_integer("videos", 8000, "Number of videos, of the mean length of the official ones.", 1600)
FRAMES = flags.DEFINE_integer("frames", 10, "Frames that the network sees.", 1)
ROUNDS = flags.DEFINE_integer("rounds", 2, "How often each command runs; the median counts.", 1)
LENGTH, A_FILE, PARTS = 230, 200, 2
MODES = {
    "infer": (),
    "beam": ("--",),
    "beam, 2 processes": ("--", "--direct_num_workers=2", "--direct_running_mode=multi_processing"),
}


class Took(NamedTuple):
    seconds: float
    cpu_seconds: float


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        inputs.write_videos(folder / "all", [LENGTH] * VIDEOS.value, A_FILE)
        few = VIDEOS.value // A_FILE // 8
        (folder / "few").mkdir()
        for path in sorted((folder / "all").iterdir())[:few]:
            (folder / "few" / path.name).symlink_to(path)
        view = config.FrameView(frame_selection="uniform", frames_per_video=FRAMES.value)
        inputs.save_network(folder / "run", config.network_config(view=view))
        difference, found = VIDEOS.value - few * A_FILE, {}
        for mode in MODES:
            found[mode] = []
        for _ in range(ROUNDS.value):
            for mode in MODES:
                part, whole = (command(folder, mode, files) for files in ("few", "all"))
                found[mode].append([whole.seconds - part.seconds, whole.cpu_seconds - part.cpu_seconds, part.seconds])
        medians = {mode: np.median(rows, axis=0) for mode, rows in found.items()}
        for mode, (seconds, cpu_seconds, start) in medians.items():
            yield figures.Figure(f"{mode}: rate", difference / seconds, "videos/s")
            yield figures.Figure(f"{mode}: per second of CPU", difference / cpu_seconds, "videos/s")
            yield figures.Figure(f"{mode}: time for {few * A_FILE:,} videos, with its start", start, "s")
        for mode in list(MODES)[1:]:
            ratios = medians["infer"] / medians[mode]
            yield figures.Figure(f"{mode}: rate over that of infer", ratios[0], "x")
            yield figures.Figure(f"{mode}: per second of CPU over infer", ratios[1], "x")


def command(folder, mode, files):
    """Runs one command and checks its rows; returns the time that it took."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    arguments = [f"--train_dir={folder}/run", f"--input_data_pattern={folder}/{files}/*.tfrecord", "--batch_size=256"]
    if mode == "infer":
        arguments = ["infer", *arguments, f"--output_file={folder}/out/predictions.csv"]
    else:
        arguments = ["beam", *arguments, f"--output_dir={folder}/out", f"--num_shards={PARTS}", *MODES[mode]]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    program = [sys.executable, "-m", "youtube8m_distill"]
    subprocess.run([*program, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = b"".join(path.read_bytes().partition(b"\n")[2] for path in sorted((folder / "out").glob("*.csv")))
    expected = folder / f"{files}.csv"
    if mode == "infer":
        expected.write_bytes(rows)
    elif rows != expected.read_bytes():
        raise SystemExit(f"{mode} has other rows than infer.")
    return Took(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


if __name__ == "__main__":
    figures.run(measure)
