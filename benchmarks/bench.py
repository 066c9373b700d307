"""Runs all benchmarks of speed and memory, one after the other, and prints one table of results and targets.

    python benchmarks/bench.py [--all] [--only=reading,computing]

Each script runs in its own process and can also be run alone. The machine should be otherwise idle: most results are ratios
of alternating measurements, but other jobs would still distort them. `--all` adds long runs with 100,000 videos and more.
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
WITH_LONG_RUNS = ("growth",)  # scripts that have a flag --all
LONG_SCRIPTS = ("load", "short_clips", "segment_ranking", "export", "object_store")  # scripts that only run with --all

ALL = flags.DEFINE_boolean("all", False, "Also run the long benchmarks.")
ONLY = flags.DEFINE_list("only", None, "Scripts to run, comma-separated. Default: all.")


def main(_):
    found, started = [], time.monotonic()
    for script in ONLY.value or SCRIPTS + LONG_SCRIPTS * ALL.value:
        print(f"\n{script}, after {time.monotonic() - started:.0f} s", flush=True)
        found += [figures.Figure(**{**values, "what": f"{script}: {values['what']}"}) for values in measure(script)]
    print(f"\nAll results, after {time.monotonic() - started:.0f} s:\n\n" + figures.table(found))
    figures.write_json(found)
    missed = [figure.what for figure in found if figure.verdict == "missed"]
    print("\nAll targets are met." if not missed else f"\nMissed targets: {'; '.join(missed)}.")


def measure(script):
    """The figures of one script, which runs in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "figures.json"
        command = [sys.executable, str(HERE / f"{script}.py"), f"--json={path}"]
        subprocess.run(command + ["--all"] * (ALL.value and script in WITH_LONG_RUNS), check=True)
        return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    app.run(main)
