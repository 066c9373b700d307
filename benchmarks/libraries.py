"""What the libraries behind locks, archives, and JSON cost next to the bare calls underneath them.

    python benchmarks/libraries.py

Each pair is timed in turns in this process; the figure is the ratio of the medians. None of these calls is made per step.
"""

import fcntl
import itertools
import json
import pathlib
import statistics
import tarfile
import tempfile
import time

import figures
import inputs
from youtube8m_distill import config, runs
from youtube8m_distill.engine.progress import Progress
from youtube8m_distill.runs import archive

ROUNDS = 15


def measure():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for what, with_library, bare in (
            ("take and release a lock: filelock, over flock", lambda: lock(folder / "a"), lambda: flock(folder / "b")),
            ("read progress.json: pydantic, over json", *readers()),
            ("unpack a model archive: with checks, over tarfile alone", *unpackers(folder)),
        ):
            seconds, floor = medians(with_library, bare)
            yield figures.Figure(f"{what}; {1000 * seconds:.3g} ms", seconds / floor, "x")


def medians(*actions):
    """Median seconds of each action, timed in turns after one call that is not counted."""
    times = [[] for _ in actions]
    for number in range(ROUNDS + 1):
        for action, taken in zip(actions, times):
            started = time.perf_counter()
            action()
            if number:
                taken.append(time.perf_counter() - started)
    return map(statistics.median, times)


def lock(folder):
    with runs.lock_run(folder):
        pass


def flock(folder):
    folder.mkdir(exist_ok=True)
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def readers():
    text = Progress(step=1000, stage_step=1000, position=[1, 2, 3], best_step=900, best_value=0.8).to_json()
    return lambda: Progress.from_json(text), lambda: json.loads(text)


def unpackers(folder):
    """Functions that unpack a network of 40 MB: with the checks of an archive from a stranger, and without."""
    inputs.save_network(folder / "run", config.network_config(num_classes=1000, lstm_cells=512))
    archive.pack(runs.open_run(folder / "run"), "last", folder / "run.tgz")
    number = itertools.count()

    def without_checks():
        with tarfile.open(folder / "run.tgz") as file:
            file.extractall(folder / f"bare{next(number)}", filter="data")

    return lambda: archive.unpack(folder / "run.tgz", folder / f"unpacked{next(number)}"), without_checks


if __name__ == "__main__":
    figures.run(measure)
