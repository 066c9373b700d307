"""Every measurement of speed and memory, one after the other, in one table with its targets.

    python benchmarks/bench.py [--all] [--only=reading,computing]

Each script runs in a process of its own and can be run alone. Close what else uses the machine: figures are ratios of two
things timed in turns, but they share two cores with whatever else runs. `--all` adds what takes long: 100,000 videos.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import app, flags

import figures

HERE = pathlib.Path(__file__).parent
SCRIPTS = (
    "reading",
    "computing",
    "precision",
    "whole_program",
    "targets",
    "compact",
    "metrics_cost",
    "growth",
    "start_up",
    "devices",
)
LONGER = ("growth",)  # scripts that know --all
ONLY_LONG = ("load",)  # scripts that are run with --all alone

ALL = flags.DEFINE_boolean("all", False, "Also what takes long.")
ONLY = flags.DEFINE_list("only", None, "Which scripts to run; all by default.")


def main(_):
    found, started = [], time.monotonic()
    for script in ONLY.value or SCRIPTS + ONLY_LONG * ALL.value:
        print(f"\n{script}, at {time.monotonic() - started:.0f} s", flush=True)
        found += [figures.Figure(**{**values, "what": f"{script}: {values['what']}"}) for values in measure(script)]
    print(f"\nAll figures, after {time.monotonic() - started:.0f} s:\n\n" + figures.table(found))
    figures.write_json(found)
    missed = [figure.what for figure in found if figure.verdict == "missed"]
    print("\nEvery target is met." if not missed else f"\nMissed: {'; '.join(missed)}.")


def measure(script):
    """The figures of one script, run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "figures.json"
        command = [sys.executable, str(HERE / f"{script}.py"), f"--json={path}"]
        subprocess.run(command + ["--all"] * (ALL.value and script in LONGER), check=True)
        return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    app.run(main)
