"""Whether cascades of trained networks keep the accuracy of the largest at a fraction of its cost, on held-out files.

    python benchmarks/cascades.py --seeds=0,1,2 \
        --train_dirs=runs/{seed}/student_6,runs/{seed}/student_30,runs/{seed}/teacher \
        --validation_data_pattern='yt8m/validate0*.tfrecord' --eval_data_pattern='yt8m/validate[1-9]*.tfrecord'

The runs are ordered by cost, the largest last; every one is also scored alone. For each seed, cascades of all of them are
built for each criterion and each allowed loss of GAP. Everything is scored on the held-out files in this process. Then all
are timed in turns, each over all held-out files, from the files to the best classes; the median round counts.

--output_dir gets cascades.csv (one row for each seed and network or cascade) and cascades.png. The report states means and
standard deviations over the seeds, and two verdicts for each cascade:

- against the largest network: at most 0.002 GAP lower, at half of its mean cost or less;
- against single networks of equal cost: the GAP at the same mean cost on a line through the single networks, over the
  logarithm of the cost.
"""

import dataclasses
import math
import pathlib
import statistics
import time

import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np
import pandas as pd
from absl import app, flags

import figures  # noqa: F401, sets what must be set before TensorFlow is imported
from youtube8m_distill import display, runs
from youtube8m_distill.cli.loading import load_tensorflow
from youtube8m_distill.config import CRITERIA, CascadeOptions
from youtube8m_distill.engine.strategy import make_strategy
from youtube8m_distill.metrics.average_precision import average_precision
from youtube8m_distill.metrics.evaluate import Evaluator
from youtube8m_distill.runs import cascade_building as building
from youtube8m_distill.runs.cascade_observation import load_networks, observe

TRAIN_DIRS = flags.DEFINE_list("train_dirs", None, "Runs, the cheapest first; {seed} stands for each of --seeds.")
SEEDS = flags.DEFINE_list("seeds", ["0"], "What {seed} stands for, one set of runs each.")
VALIDATION = flags.DEFINE_string("validation_data_pattern", None, "Files on which thresholds are chosen.")
HELD_OUT = flags.DEFINE_string("eval_data_pattern", None, "Files on which everything is scored and timed.")
LOSSES = flags.DEFINE_list("max_gap_losses", ["0", "0.001", "0.002", "0.005", "0.01", "0.02"], "Allowed losses of GAP.")
WANTED = flags.DEFINE_list("criteria", list(CRITERIA), "Criteria of confidence.")
COMBINE = flags.DEFINE_bool("combine", True, "Whether answers also count those of the networks before.")
GATE_MARGIN = flags.DEFINE_float("gate_margin", 0.0, "Of the gates.", 0)
ROUNDS = flags.DEFINE_integer("rounds", 3, "How often each network and cascade is timed; 0 for never.", 0)
OUTPUT_DIR = flags.DEFINE_string("output_dir", "cascades", "Folder for the cascades, the table, and the picture.")
flags.mark_flags_as_required(["train_dirs", "validation_data_pattern", "eval_data_pattern"])

MOST_LOST, MOST_COST = 0.002, 0.5  # of the largest network's GAP and cost
SINGLE = "single"
MEASURED = ["gap", "mean_frames", "mean_multiply_adds", "videos_per_second"]


def main(_):
    load_tensorflow()
    display.LINE_SECONDS = 1e9  # no progress lines between the results
    folder = pathlib.Path(OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame([row for seed in SEEDS.value for row in measure(seed, folder)])
    table.to_csv(folder / "cascades.csv", index=False)
    draw(table, folder / "cascades.png")
    print("\n" + report(table))
    print(f"\nWritten to {folder}: cascades.csv, cascades.png.")


@dataclasses.dataclass
class Entry:
    """A network or a cascade to score and to time. Cascades of one criterion share their networks."""

    row: dict  # of the table
    tagger: runs.Tagger
    cascade: runs.Cascade | None = None

    def prepared(self) -> runs.Tagger:
        if isinstance(self.tagger, runs.LoadedCascade) and self.cascade is not None:
            self.tagger.cascade = self.cascade  # the same networks and calibrations, other thresholds
        return self.tagger


def measure(seed, folder):
    """The rows of one set of runs."""
    trained = [runs.open_run(name.format(seed=seed)) for name in TRAIN_DIRS.value or ()]
    building.check_runs(trained)
    strategy = make_strategy()
    networks = [runs.LoadedNetwork(run, strategy) for run in trained]
    building.check_order(networks)
    configs, reading = [network.config for network in networks], networks[0].reading
    validation, held_out = (
        runs.find_shards(flag.name, str(flag.value), configs[0].features, configs, (), reading, configs[0].num_classes)
        for flag in (VALIDATION, HELD_OUT)
    )
    criterion = "gate" if "gate" in WANTED.value else "expected_ap"
    needed = CascadeOptions(criterion=criterion, combine=COMBINE.value)
    observed = observe(load_networks(trained, strategy, reading, needed), validation)
    names = [str(run.folder) for run in trained]
    titles = [pathlib.Path(name.replace("{seed}", "")).name.rstrip("-_") for name in TRAIN_DIRS.value or ()]  # of all seeds
    entries = [Entry({"seed": seed, "kind": SINGLE, "name": title}, n) for title, n in zip(titles, networks)]
    for criterion in WANTED.value:
        entries += cascade_entries(seed, folder, names, networks, observed, validation, criterion)
    for entry in entries:
        entry.row |= scores(entry.prepared(), held_out)
        print(entry.row, flush=True)
    for entry, rate in zip(entries, rates(entries, held_out)):
        entry.row["videos_per_second"] = rate
    return [entry.row for entry in entries]


def cascade_entries(seed, folder, names, networks, observed, validation, criterion):
    """An Entry for each allowed loss."""
    margin = GATE_MARGIN.value if criterion == "gate" else 0.0
    options = {"criterion": criterion, "gate_margin": margin, "combine": COMBINE.value}
    plan, loaded, found = building.plan_cascade(names, observed, CascadeOptions(**options)), None, []
    for loss in map(float, LOSSES.value):
        place = folder / "folders" / f"{seed}_{criterion}_{loss:g}"
        wanted = CascadeOptions(max_gap_loss=loss, **options)
        cascade = building.write_plan(place, plan, networks, validation, wanted, str(VALIDATION.value))
        loaded = loaded or runs.LoadedCascade(cascade, networks[0].predictor.strategy)
        row = {"seed": seed, "kind": criterion, "name": f"{criterion} {loss:g}", "max_gap_loss": loss}
        found.append(Entry(row | {"validation_gap": cascade.settings.chosen.gap}, loaded, cascade))
    return found


def scores(tagger, shards):
    """GAP and mean cost on some files."""
    with Evaluator(tagger.configs[0].num_classes) as evaluator:
        if isinstance(tagger, runs.LoadedCascade):
            gap = tagger.evaluate(shards, None, evaluator)["gap_at_20"]
            about = tagger.about()
            answered = " ".join(str(stage["videos"]) for stage in about["stages"])
            return {"gap": gap, **{name: about[name] for name in MEASURED[1:3]}, "videos": answered}
    (seen,) = observe([tagger], shards)
    gap = average_precision(seen.scores.ravel(), seen.hits.ravel(), seen.num_labels.sum())
    return {"gap": gap, "mean_frames": seen.num_frames.mean(), "mean_multiply_adds": seen.multiply_adds.mean()}


def rates(entries, shards):
    """The median rate of each, measured in turns; everything was compiled when it was scored."""
    rounds = [[rate(entry.prepared(), shards) for entry in entries] for _ in range(ROUNDS.value)]
    return [statistics.median(found) for found in zip(*rounds)] or [math.nan] * len(entries)


def rate(tagger, shards):
    """Videos per second over all files."""
    started = time.perf_counter()
    count = sum(len(batch["video_id"]) for batch in tagger.predict(shards))
    return count / (time.perf_counter() - started)


def line_of_singles(singles, cost):
    """The GAP at a cost, interpolated linearly between single networks over the logarithm of the cost."""
    singles = singles.sort_values("mean_multiply_adds")
    return float(np.interp(math.log(cost), np.log(singles["mean_multiply_adds"]), singles["gap"]))


def report(table):
    """Means, standard deviations, and verdicts, as text."""
    means = table.groupby(["kind", "name"], sort=False)[MEASURED].agg(["mean", "std"])
    rows = []
    for (kind, name), group in table.groupby(["kind", "name"], sort=False):
        if kind == SINGLE:
            continue
        lost, share, gained = [], [], []
        for _, row in group.iterrows():
            singles = table[(table["seed"] == row["seed"]) & (table["kind"] == SINGLE)]
            largest = singles.loc[singles["mean_multiply_adds"].idxmax()]
            lost.append(largest["gap"] - row["gap"])
            share.append(row["mean_multiply_adds"] / largest["mean_multiply_adds"])
            gained.append(row["gap"] - line_of_singles(singles, row["mean_multiply_adds"]))
        keeps = np.mean(lost) <= MOST_LOST and np.mean(share) <= MOST_COST
        rows.append(
            {
                "cascade": name,
                "GAP lost": spread(lost),
                "share of cost": spread(share),
                f"<= {MOST_LOST} at <= {MOST_COST:.0%}": "yes" if keeps else "no",
                "GAP above singles of equal cost": spread(gained),
                "seeds above": f"{sum(value > 0 for value in gained)} of {len(gained)}",
            }
        )
    return f"{means.to_string()}\n\n{pd.DataFrame(rows).to_string(index=False)}"


def spread(values):
    """Mean and standard deviation as text."""
    deviation = f" +- {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{deviation}"


def draw(table, path):
    """GAP over mean frames, and over videos per second."""
    panels = {"mean_frames": "frames per video", "videos_per_second": "videos per second"}
    panels = {name: label for name, label in panels.items() if table[name].notna().all()}  # without times, only frames
    figure, axes = plt.subplots(1, len(panels), figsize=(5.5 * len(panels), 4), sharey=True, squeeze=False)
    axes = axes[0]
    for axis, (name, label) in zip(axes, panels.items()):
        for kind, group in table.groupby("kind", sort=False):
            means = group.groupby("name", sort=False)[[name, "gap"]].mean()
            axis.plot(means[name], means["gap"], "o-" if kind == SINGLE else ".--", label=kind)
            if kind == SINGLE:
                for network, point in means.iterrows():
                    axis.annotate(network, (point[name], point["gap"]), fontsize=7)
        axis.set_xscale("log")
        axis.set_xticks(table[table["kind"] == SINGLE].groupby("name")[name].mean())
        axis.xaxis.set_major_formatter("{x:.3g}")
        axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axis.set_xlabel(label)
    axes[0].set_ylabel("GAP@20")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    app.run(main)
