"""Average precision by class: which classes lose most when a student sees few frames?

    python -m reproduce classes --data=yt8m/frame --output_dir=experiments

Compares the Skyline, the serial student, and Uniform-k. The papers do not show single classes. But at every k, the
student's mAP drops by more than its GAP (at k=10, by 16% and 5%; CVPR 2019, Table 1). GAP gives frequent classes more
weight, so rare classes should lose more.

Cost: three trainings per seed at the k nearest to 10, all of them in Table 1. The losses at k=10 are larger than at k=30,
so they stand out from the noise.
"""

import pandas as pd

from reproduce import figures
from reproduce.tables import Row, Table, Value
from reproduce.trials import ALL_LOSSES, HRNN, SKYLINE, Trial

TITLE = "Classes: losses of the student"
QUESTION = "Which classes lose most when a student sees few frames?"
EXPECTED = (
    "The papers do not show single classes. The student's mAP drops by more than its GAP (at k=10, by 16% and 5%; CVPR "
    "2019, Table 1), so rare classes should lose more."
)

K = 10
NUM_LOSING, NUM_GAINING = 20, 5
MIN_VIDEOS = 10  # with fewer held-out videos, the average precision of a class is mostly noise
UNIFORM, STUDENT = "uniform", "student"  # columns of `_classes`, besides SKYLINE


def plan(grid):
    k = grid.k_of(K)
    return [Trial(HRNN, SKYLINE), Trial(HRNN, "uniform", k), Trial(HRNN, "serial", k, ALL_LOSSES)]


def outputs(results, grid):
    if results.folder is None:
        return []
    classes, num_seeds = _classes(results, grid)
    if not {SKYLINE, STUDENT} <= set(classes.columns):
        return []
    classes["change"] = classes[STUDENT] - classes[SKYLINE]
    min_videos = min(MIN_VIDEOS, _videos_for(classes, NUM_LOSING + NUM_GAINING))
    classes = classes[classes["num_positives"] >= min_videos]
    losing = classes[classes["change"] < 0].nsmallest(NUM_LOSING, "change")
    gaining = classes[classes["change"] > 0].nlargest(NUM_GAINING, "change")
    k = grid.k_of(K)
    table = _table(losing, gaining, num_seeds, results.class_namer(), min_videos, k)
    return [_figure(classes, losing, gaining, min_videos, k), table]


def _classes(results, grid):
    """The data of each class that has held-out videos.

    Returns:
        DataFrame of `num_positives` and of the average precision of each finished network, as the mean over seeds; and a
        dict from network to the number of seeds.
    """
    by_network = {
        network: [results.classes(seed.trial).set_index("class") for seed in results.seeds(trial)]
        for network, trial in zip((SKYLINE, UNIFORM, STUDENT), plan(grid))
        if grid.wants(trial)
    }
    columns = {}
    for network, seeds in by_network.items():
        if seeds:
            columns["num_positives"] = seeds[0]["num_positives"]
            columns[network] = sum(seed["average_precision"] for seed in seeds) / len(seeds)
    classes = pd.DataFrame(columns)
    num_seeds = {network: len(seeds) for network, seeds in by_network.items()}
    return (classes[classes["num_positives"] > 0] if columns else classes), num_seeds


def _videos_for(classes, count):
    """The largest n such that at least `count` classes have n or more videos; 1 if there are fewer classes."""
    return int(classes["num_positives"].nlargest(count).iloc[-1]) if len(classes) >= count else 1


def _figure(classes, losing, gaining, min_videos, k):
    rest = classes.drop(losing.index).drop(gaining.index)
    groups = [
        group
        for group in (  # the classes of the table come last, so that they are drawn on top
            (rest, "other classes", figures.GRAY, "o", 0.3),
            (losing, f"the {len(losing)} that lose most", figures.VERMILION, "v", 0.9),
            (gaining, f"the {len(gaining)} that gain most", figures.BLUE, "^", 0.9),
        )
        if len(group[0])
    ]
    with figures.style():
        figure, (axes,) = figures.panels(1, 7.4)
        axes.axline((0, 0), slope=1, color=figures.BLACK, linewidth=1, linestyle=(0, (4, 2)))
        for group, _, color, marker, alpha in groups:
            axes.scatter(
                group[STUDENT],
                group[SKYLINE],
                s=_areas(group, classes),
                color=color,
                marker=marker,
                alpha=alpha,
                linewidths=0,
            )
        axes.set(
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
            aspect="equal",
            xlabel=f"AP of the serial student, k={k}",
            ylabel="AP of the Skyline, all frames",
        )
        axes.annotate("student loses", (0.1, 0.9), color=figures.GRAY)
        axes.annotate("student gains", (0.7, 0.12), color=figures.GRAY)
        figure.legend(
            handles=[figures.handle(name, color=color, marker=marker, linestyle="") for _, name, color, marker, _ in groups],
            loc="outside upper left",
            ncols=2,
        )
    return figures.Figure("classes", f"{TITLE}, k={k}", _caption(min_videos), _alt(classes, losing, k), figure)


def _areas(group, classes):
    """Areas of the marks in square points: linear in the number of videos of a class, with a visible minimum."""
    return 25 + 240 * group["num_positives"] / classes["num_positives"].max()


def _table(losing, gaining, num_seeds, name_of, min_videos, k):
    def row(class_, section):
        means = (
            Value(class_[network], None, num_seeds[network]) if network in class_ else None
            for network in (SKYLINE, UNIFORM, STUDENT)
        )
        return Row(
            (name_of(class_.name),),
            (Value.plain(class_["num_positives"], digits=0), *means, Value.plain(class_["change"])),
            section,
        )

    rows = [
        *(row(class_, "Lose most") for _, class_ in losing.iterrows()),
        *(row(class_, "Gain most") for _, class_ in gaining.iterrows()),
    ]
    columns = (("", "videos"), ("AP", "Skyline"), ("AP", f"Uniform-k, k={k}"), ("AP", f"Serial, k={k}"), ("AP", "change"))
    fewer = "" if min_videos == MIN_VIDEOS else f" (too few classes have {MIN_VIDEOS})"
    of_each = ", ".join(f"{number} of {network}" for network, number in num_seeds.items())
    note = (
        f"Average precision on the held-out videos, mean over seeds ({of_each}), of classes with at least {min_videos} "
        f"videos{fewer}. Change is the serial student minus the Skyline. These are the extremes among many noisy numbers. "
        "On other videos, the same classes would be less extreme."
    )
    return Table("classes", f"{TITLE}, k={k}", ("Class",), columns, tuple(rows), note)


def _caption(min_videos):
    return (
        f"Average precision of each class with at least {min_videos} held-out videos, mean over seeds. Larger marks have "
        "more videos. The student uses all three losses. Above the diagonal, it is worse than the Skyline. The table lists "
        "the colored classes."
    )


def _alt(classes, losing, k):
    fraction = (classes["change"] < 0).mean()
    most = f", the most by {-losing['change'].min():.2f}" if len(losing) else ""
    return (
        f"Scatter plot of {len(classes)} classes, the Skyline's average precision over the student's at k={k}. "
        f"{fraction:.0%} of the classes are above the diagonal{most}."
    )
