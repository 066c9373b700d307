"""GAP of every method over the computation per video: which network is best for a given budget of computation?

    python -m reproduce cost --data=yt8m/frame --output_dir=experiments

Paper (CVPR 2019, Tables 1 and 3): at k=30, the student takes about 90% fewer FLOPs and 30% less time than the Skyline
(0.520 instead of 5.058 billion, 9.11 instead of 13.00 hours), and its GAP is lower by 0.5-0.9 points (0.802-0.806 instead
of 0.811). The paper has no such figure. This one shows all methods on the same axes, and a control: a serial student
of the label loss alone.

Cost: 46 trainings per seed at the paper's five k, all of them in Table 1. Then each architecture predicts all held-out
videos several times. The machine should be otherwise idle.
"""

import math

from reproduce import figures
from reproduce.tables import CONTROL, CONTROL_NOTE, METHOD_TITLES, Row, Table, Value, row_of, section_of, speed_note
from reproduce.trials import ALL_LOSSES, BASELINES, CONTROL_LOSS, HRNN, SKYLINE, STUDENTS, Trial

TITLE = "Cost: GAP over computation and speed"
QUESTION = "How much of the Skyline's GAP does each method keep, with how much of its computation?"
EXPECTED = (
    "At k=30, the students keep 99% of the Skyline's GAP (0.806 of 0.811) with about 90% fewer FLOPs and 30% less time "
    "(CVPR 2019, Tables 1 and 3)."
)

# Color, marker, marker size, and dashes of each curve. The circles are large enough to be visible behind the triangles.
STYLES = {
    "serial": (figures.BLUE, "o", 10, "-"),
    "parallel": (figures.VERMILION, "^", 6, (0, (6, 1.5))),
    CONTROL: (figures.shade(figures.BLUE, "black", 0.4), "p", 8, (0, (2, 1))),
    "uniform": (figures.BLACK, "s", 7, (0, (4, 2))),
    "random": (figures.GREEN, "v", 7, (0, (4, 1.5, 1, 1.5))),
    "first_middle_last": (figures.shade(figures.PURPLE, "black", 0.3), "D", 7, (0, (1, 1.2))),
    "middle": (figures.shade(figures.ORANGE, "black", 0.3), "P", 8, (0, (2, 1.5))),
    "first": (figures.shade(figures.SKY, "black", 0.3), "X", 8, (0, (6, 1.5, 1, 1.5, 1, 1.5))),
    "last": (figures.GRAY, "<", 7, "-"),
}
LABEL_WIDTH = 0.045  # width of a number of frames, as a fraction of the panel
BEST = (SKYLINE, "uniform", *STUDENTS, CONTROL)  # shown again in a second figure, because they are close together


def plan(grid):
    return [
        Trial(HRNN, SKYLINE),
        *(Trial(HRNN, method, k) for method in BASELINES for k in grid.ks),
        *(Trial(HRNN, method, k, ALL_LOSSES) for method in STUDENTS for k in grid.ks),
        *(Trial(HRNN, "serial", k, CONTROL_LOSS) for k in grid.ks),
    ]


def timing(grid):
    return [Trial(HRNN, SKYLINE), *(Trial(HRNN, "uniform", k) for k in grid.ks)]


def outputs(results, grid):
    points = _points(results, grid)
    if not points:
        return []
    best = {key: point for key, point in points.items() if key[0] in BEST}
    pictures = [_figure("cost", TITLE, points)]
    if best and len(best) < len(points):
        pictures.append(_figure("cost_best", f"{TITLE}, only students and Uniform-k", best))
    return [*pictures, _table(points, f"{_NOTE} {CONTROL_NOTE}{speed_note(results, HRNN)}")]


def _points(results, grid):
    """The data of each finished row and k.

    Returns:
        dict from (key in METHOD_TITLES, k) to a dict with `gap` (Value), `multiply_adds` (per video, whole network), and
        `videos_per_second` (median of the rounds; None if it was not measured).
    """
    speeds = results.speeds(HRNN)
    finished = {trial: results.seeds(trial) for trial in plan(grid) if grid.wants(trial) and results.seeds(trial)}
    return {
        (row_of(trial), trial.k): {
            "gap": Value.of([seed.score() for seed in seeds]),
            "multiply_adds": seeds[0].score("multiply_adds"),
            "videos_per_second": speeds.get(trial.k),
        }
        for trial, seeds in finished.items()
    }


def _figure(name, title, points):
    axes_of = {"multiply_adds": "Multiply-adds per video, billions (log scale)"}
    if any(point["videos_per_second"] for point in points.values()):
        axes_of["videos_per_second"] = "Videos per second, measured (log scale; faster to the left)"
    with figures.style():
        figure, every_axes = figures.panels(len(axes_of), 0.4 + 4.4 * len(axes_of), sharey=True)
        for axes, (measure, label) in zip(every_axes, axes_of.items()):
            scale = 1e9 if measure == "multiply_adds" else 1
            placed = {key: (point[measure] / scale, point["gap"]) for key, point in points.items() if point[measure]}
            axes.set(xlabel=label, ylabel="GAP")
            _draw(axes, placed, falling=measure == "videos_per_second")
    return figures.Figure(name, title, _caption(points), _alt(points), figure)


def _draw(axes, points, falling):
    """Draws a panel. `points` is a dict from (method, k) to (x, Value), `falling` whether a smaller x costs more."""
    figures.log_x(axes, [x for x, _ in points.values()])
    if falling:
        axes.invert_xaxis()
    ends = []
    for method, (color, marker, size, dashes) in STYLES.items():
        of_method = [
            (x, gap) for (other, _), (x, gap) in sorted(points.items(), key=lambda item: item[0][1] or 0) if other == method
        ]
        if of_method:
            places = [(x, gap.mean) for x, gap in of_method]
            axes.errorbar(
                *zip(*places),
                yerr=[gap.deviation or 0 for _, gap in of_method],
                capsize=3,
                elinewidth=1,
                color=color,
                marker=marker,
                markersize=size,
                linestyle=dashes,
            )
            ends.append((*places[-1], _short_title(method), color))
    if (SKYLINE, None) in points:
        _draw_skyline(axes, *points[SKYLINE, None])
    _mark_frames(axes, {k: x for (_, k), (x, _) in points.items()})
    axes.margins(y=0.1)
    axes.autoscale_view()
    figures.label_ends(axes, ends)


def _short_title(method):
    return METHOD_TITLES[method].partition(":")[0]


def _draw_skyline(axes, x, gap):
    axes.axhline(gap.mean, color=figures.BLACK, linewidth=1, linestyle=(0, (1, 2)))
    axes.errorbar([x], [gap.mean], yerr=[gap.deviation or 0], capsize=3, color=figures.BLACK, marker="*", markersize=16)
    axes.annotate("Skyline", (x, gap.mean), (-6, -22), textcoords="offset points", ha="right")


def _mark_frames(axes, places):
    """Writes the numbers of frames above the panel. Neighbors that are too close share one label.

    `places` is a dict from k to x.
    """
    left, right = map(math.log, axes.get_xlim())
    labels = []  # [fraction of the width, x, text]
    for k, x in sorted(places.items(), key=lambda item: item[0] or math.inf):
        axes.axvline(x, color="#D0D0D0", linewidth=0.8, zorder=0)
        fraction, text = (math.log(x) - left) / (right - left), "all" if k is None else str(k)
        if labels and abs(fraction - labels[-1][0]) < LABEL_WIDTH:
            labels[-1][2] += f", {text}"
        else:
            labels.append([fraction, x, text])
    for _, x, text in labels:
        axes.annotate(
            text,
            (x, 1),
            (0, 4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            color=figures.GRAY,
        )
    axes.grid(False, axis="x")
    axes.set_title("Frames per video:", color=figures.GRAY, fontsize=12, pad=22)


def _table(points, note):
    skyline = points.get((SKYLINE, None))
    rows = []
    for (method, k), point in points.items():
        speed = point["videos_per_second"]
        bound = skyline["gap"].mean if skyline else 0
        kept = Value.plain(100 * point["gap"].mean / bound if bound else None, digits=1)
        values = (point["gap"], Value.plain(point["multiply_adds"] / 1e9, digits=4), Value.plain(speed, digits=0), kept)
        rows.append(Row((METHOD_TITLES[method], "all" if k is None else str(k)), values, section_of(method)))
    columns = (("", "GAP"), ("", "G multiply-adds"), ("", "videos/s"), ("", "GAP kept (%)"))
    return Table("cost", TITLE, ("Method", "k"), columns, tuple(rows), note)


_NOTE = (
    "Multiply-adds per video are those of the network as run. GAP kept is relative to the Skyline. Speed is measured once "
    "for each k, because all methods with the same k have the same architecture."
)


def _caption(points):
    num_seeds = max(point["gap"].count for point in points.values())
    bars = f", with bars of one standard deviation over up to {num_seeds} seeds" if num_seeds > 1 else ""
    return (
        f"GAP on the held-out videos{bars}, over the multiply-adds of the network as run, and over the speed measured from "
        "files to scores. The numbers above a panel are numbers of frames that a network reads. All methods with the same "
        "number have the same architecture. Students use all three losses, and the control the label loss alone. The dotted "
        "line is the Skyline."
    )


def _alt(points):
    best = {}
    for (method, k), point in points.items():
        if method not in best or point["gap"].mean > best[method][0]:
            best[method] = (point["gap"].mean, k)
    text = ", ".join(f"{_short_title(method)} {gap:.3f} at {k or 'all'} frames" for method, (gap, k) in best.items())
    return f"Curves of GAP over multiply-adds and over speed, one for each method. The best of each: {text}."
