"""Whether `yt8m infer` leaks memory or files over 100,000 videos of 10 frames in 1,000 files.

    python benchmarks/load.py [--shards=1000] [--videos_per_shard=100] [--cells=16]

The command runs as from a shell. Its network is an untrained H-RNN with few cells, so the benchmark measures the pipeline
and not the network. Memory and open files are sampled every second. Then the same command is killed in the middle and
restarted, and must write the same bytes.
"""

import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags

import figures
import inputs
from youtube8m_distill import config

SHARDS = flags.DEFINE_integer("shards", 1000, "Number of files.", 1)
VIDEOS_PER_SHARD = flags.DEFINE_integer("videos_per_shard", 100, "Number of videos in each file.", 1)
CELLS = flags.DEFINE_integer("cells", 16, "LSTM cells of the network.", 1)
NUM_FRAMES, NUM_CLASSES = 10, 100
SAMPLE_SECONDS = 1.0


def measure():
    total = SHARDS.value * VIDEOS_PER_SHARD.value
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = inputs.write_videos(folder / "data", [NUM_FRAMES] * total, VIDEOS_PER_SHARD.value, NUM_CLASSES)
        network = config.network_config(
            num_classes=NUM_CLASSES,
            view=config.FrameView(frame_selection="uniform", frames_per_video=NUM_FRAMES),
            lstm_cells=CELLS.value,
        )
        inputs.save_network(folder / "run", network)
        command = [
            sys.executable,
            "-m",
            "youtube8m_distill",
            "infer",
            f"--train_dir={folder}/run",
            f"--input_data_pattern={files}",
        ]
        samples, seconds = watch([*command, f"--output_file={folder}/whole.csv"], folder / "whole.csv", total)
        working = samples[samples[:, 0] > 0]
        early, middle = (working[np.argmin(np.abs(working[:, 0] - share * total))] for share in (0.2, 0.6))
        late = working[-1]
        what = f"{total:,} videos in {SHARDS.value:,} files"
        yield figures.Figure(f"{what}: start to end", total / seconds, "videos/s")
        yield figures.Figure(f"{what}: memory at 20%", early[1] / 2**20, "MiB")
        yield figures.Figure(f"{what}: memory at the end over that at 20%", late[1] / early[1], "x", at_most=1.1)
        yield figures.Figure(f"{what}: memory at the end over that at 60%", late[1] / middle[1], "x")
        yield figures.Figure(f"{what}: open files at 20%", early[2])
        yield figures.Figure(f"{what}: open files at the end minus those at 20%", late[2] - early[2], at_most=1)
        with contextlib.suppress(ProcessKilled):
            watch([*command, f"--output_file={folder}/killed.csv"], folder / "killed.csv", total, kill_at=0.5)
        done = committed(folder / "killed.csv")
        watch([*command, f"--output_file={folder}/killed.csv"], folder / "killed.csv", total)
        yield figures.Figure(f"{what}: rows kept when the command was killed in the middle", done, "videos", at_least=1)
        whole, killed = (np.frombuffer((folder / name).read_bytes(), np.uint8) for name in ("whole.csv", "killed.csv"))
        differing = int(np.count_nonzero(whole != killed)) if whole.size == killed.size else max(whole.size, killed.size)
        yield figures.Figure(f"{what}: bytes that differ after a kill and a restart", differing, at_most=0)


class ProcessKilled(Exception):
    """The process was killed, as requested."""


def watch(command, output, total, kill_at=None):
    """Runs a command to its end, or kills it when a fraction of the videos is done.

    Returns:
        float array [samples, (videos done, bytes of memory, open files)], and the seconds that the command took.
    Raises:
        ProcessKilled: if the command was killed, as requested.
    """
    samples, started = [], time.perf_counter()
    with open(output.with_suffix(".log"), "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        while process.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            with contextlib.suppress(OSError, IndexError):  # the process has just ended
                samples.append((committed(output), *resources(process.pid)))
            if kill_at is not None and committed(output) >= kill_at * total:
                process.send_signal(signal.SIGKILL)
                process.wait()
                raise ProcessKilled
    if process.returncode:
        raise RuntimeError(output.with_suffix(".log").read_text())
    return np.array(samples, float), time.perf_counter() - started


def committed(output):
    """The number of videos whose rows are committed to disk."""
    try:
        return json.loads((output.with_name(output.name + ".progress") / "committed.json").read_text())["videos"]
    except FileNotFoundError:
        return 0


def resources(process):
    """Bytes of memory and number of open files of a process."""
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    kilobytes = int(status.split("VmRSS:")[1].split()[0])
    return 1024 * kilobytes, len(list(pathlib.Path(f"/proc/{process}/fd").iterdir()))


if __name__ == "__main__":
    figures.run(measure)
