"""Results of the speed benchmarks, printed one per line next to their targets."""

import dataclasses
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

from absl import app, flags

from youtube8m_distill.engine.process import keep_freed_memory

JSON = flags.DEFINE_string("json", None, "Also write the results to this JSON file.")


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        what: what was measured, in a few words.
        value: float.
        unit: str, such as "x" for a ratio, "videos/s", "s", "MiB".
        at_least, at_most: the target, if there is one.
    """

    what: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self):
        bounds = [(">=", self.at_least), ("<=", self.at_most)]
        return " ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)

    @property
    def verdict(self):
        if self.at_least is None and self.at_most is None:
            return ""
        missed = (
            self.at_least is not None
            and self.value < self.at_least
            or self.at_most is not None
            and self.value > self.at_most
        )
        return "missed" if missed else "met"


def table(figures):
    """Figures as a Markdown table."""
    lines = ["| benchmark | measured | target | |", "|---|---|---|---|"]
    lines += [f"| {f.what} | {f.value:.4g} {f.unit} | {f.target} | {f.verdict} |" for f in figures]
    return "\n".join(lines)


def write_json(figures):
    """Writes the figures to the file in --json, if it is set."""
    if JSON.value:
        with open(JSON.value, "w", encoding="utf-8") as file:
            json.dump([dataclasses.asdict(figure) for figure in figures], file, indent=2)


def run(measure):
    """Runs a script: calls `measure`, a function without arguments that yields Figures, and prints them."""

    def main(_):
        keep_freed_memory()  # as every command does
        found = []
        for figure in measure():
            print(table([figure]).splitlines()[-1], flush=True)  # shows results of long benchmarks early
            found.append(figure)
        print("\n" + table(found))
        write_json(found)

    app.run(main)
