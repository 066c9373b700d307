"""SkipFrame: is a network that chooses its frames better than one that reads evenly spaced frames?

    python -m reproduce skipframe --data=yt8m/frame --output_dir=experiments

Compares the five SkipFrames of the slides with the Skyline and with five ways to choose k frames, at the k nearest to 10.
The baselines are those of Table 1, which are H-RNNs, as in the slides. SkipFrame is an LSTM that encodes a video as its
whole state. The same network on the frames of Uniform-10, which reads one after the other, is added as a control.

Slides (CVPR 2019, dynamic selection of frames): with the reward GAP, SkipFrame is 0.005 above Uniform-10; with the other
rewards, it is below. All of them are above the other baselines. The frames are close to evenly spaced ones.

The budget is the k nearest to 10, and --skip_actions are the skips. Choose both to fit the videos: for clips of 10 frames,
for example --ks=4 --skip_actions=1-4. The slides' numbers are shown only for their own budget and skips.

Cost: 12 trainings per seed, six of them in Table 1. SkipFrames compute k frames, but all frames of a video are read from the
files. Then all networks but the Skyline read the held-out videos once more, to record their frames.
"""

import itertools
import statistics

from reproduce import figures, flops, published, tables, verdicts
from reproduce.grid import PAPER_SKIPS, every_other
from reproduce.trials import HRNN, SKIP_NETWORK, SKIPFRAME, SKYLINE, Trial
from youtube8m_distill import schema

TITLE = "SkipFrame: a network that chooses its frames"
QUESTION = "Is a network that chooses its frames better than one that reads evenly spaced frames?"
EXPECTED = (
    "With the reward GAP, SkipFrame is slightly above Uniform-10 (GAP 0.764 and 0.759); with the other rewards, it is "
    "below. The frames that it chooses are close to evenly spaced ones (slides of CVPR 2019)."
)

K = 10
BASELINES = ("uniform", "random", "first", "middle", "last")
# Reward, and whether the skips are every other of those in the grid, in the order of the slides.
VARIANTS = (("delayed", False), ("immediate", False), ("delayed", True), ("immediate", True), ("gap", False))
REWARD_TITLES = {"delayed": "delayed", "immediate": "immediate", "gap": "GAP"}
CONTROL_SECTION, SKIPFRAME_SECTION = "Control, not in the slides", "SkipFrame"

NEAR = 0.5  # in spacings: closer to its own evenly spaced frame than to the next one
NOTE = (
    "SkipFrame's budget is {k} frames, with skips {skips}{fitted}. On the held-out videos, it reads fewer if a video ends "
    "before. Baselines are H-RNNs. The control is the network of SkipFrame, which reads each of the frames of Uniform-{k}."
)
FRAMES_NOTE = (
    "The mean index of the first, second, ... frame that a network reads, over the held-out videos and seeds. Distance: the "
    "mean of |i - F| over a video's frames i and the frames F of Uniform-{k}, in units of the spacing of F, ± the sample "
    "standard deviation over seeds. A SkipFrame is near evenly spaced frames if this is at most {near}, and undecided "
    "within 2 s / sqrt(number of seeds) of {near}, with the pooled standard deviation s of all SkipFrames."
)
COST_NOTE = (
    "In multiply-adds, which the slides call FLOPs. The formula is that of Table 3, at the published sizes. It leaves the "
    "decisions out. The slides list the Skyline with {frames} frames, the mean, but their number is the one for {most} "
    "frames, and the one for 10 frames is the one for 9. The network as run is the whole network at the sizes of this "
    "experiment, with a decision after each frame but the last. The slides' decision is that of a state of 4,096 numbers "
    "with 20 skips. In parentheses: slides of CVPR 2019."
)
KILO = 1e3
STYLES = {  # method, or reward of a SkipFrame -> color, marker, and dashes
    "uniform": (figures.BLACK, "s", (0, (4, 2))),
    "random": (figures.GREEN, "v", (0, (4, 1.5, 1, 1.5))),
    "first": (figures.shade(figures.SKY, "black", 0.3), "X", (0, (6, 1.5, 1, 1.5, 1, 1.5))),
    "middle": (figures.shade(figures.ORANGE, "black", 0.3), "P", (0, (2, 1.5))),
    "last": (figures.GRAY, "<", "-"),
    "delayed": (figures.PURPLE, "D", (0, (1, 1.2))),
    "immediate": (figures.VERMILION, "^", (0, (6, 1.5))),
    "gap": (figures.BLUE, "o", "-"),
}


def plan(grid):
    k = grid.k_of(K)
    return [
        Trial(HRNN, SKYLINE),
        *(Trial(HRNN, method, k) for method in BASELINES),
        Trial(SKIP_NETWORK, "uniform", k),
        *(skip_frame(grid, reward, is_sparse) for reward, is_sparse in VARIANTS),
    ]


def frame_choices(grid):
    return [trial for trial in plan(grid) if trial.k and not is_control(trial)]


def is_control(trial) -> bool:
    """Whether this is the network of SkipFrame on frames that it does not choose."""
    return trial.family == SKIP_NETWORK and trial.method != SKIPFRAME


def skip_frame(grid, reward, is_sparse=False) -> Trial:
    """The trial of a SkipFrame with the grid's budget and skips."""
    actions = every_other(grid.skip_actions) if is_sparse else grid.skip_actions
    return Trial(SKIP_NETWORK, SKIPFRAME, grid.k_of(K), reward=reward, actions=actions)


def title_of(trial) -> str:
    """Skyline, Uniform-10, SkipFrame's LSTM on Uniform-10, or SkipFrame GAP 5-25."""
    if trial.method == SKYLINE:
        return "Skyline"
    if trial.method == SKIPFRAME:
        return f"SkipFrame {REWARD_TITLES[trial.reward]} {trial.actions}"
    network = "SkipFrame's LSTM on " if is_control(trial) else ""
    return f"{network}{trial.method.title()}-{trial.k}"


def outputs(results, grid):
    trials = [trial for trial in plan(grid) if grid.wants(trial)]
    found = {trial: records for trial in trials if (records := results.frame_choices(trial))}
    scores = tables.finished(_scores_table(results, grid, found))
    if not scores:
        return []
    pictures = [_figure(results, found)] if found else []
    return [*scores, *pictures, *_frames_table(found, grid), *tables.finished(_cost_table(results, grid, found))]


def _scores_table(results, grid, found):
    rows = []
    for trial in plan(grid):
        paper = published.UNKNOWN
        if not is_control(trial):
            paper = published.skipframe(trial.method, trial.k, trial.reward, trial.actions)
        read = [record["frames_read"] for record in found.get(trial, ())]
        values = (*tables.score_values(results, grid, [trial], [paper]), tables.Value.of(read, digits=1))
        names = ("SkipFrame", REWARD_TITLES[trial.reward], trial.actions) if trial.reward else (title_of(trial), "", "")
        rows.append(tables.Row(names, values, _section_of(trial)))
    k, is_papers = grid.k_of(K), (grid.k_of(K), grid.skip_actions) == (published.SKIPFRAME_K, PAPER_SKIPS)
    fitted = "" if is_papers else f", which are not those of the slides ({published.SKIPFRAME_K} and {PAPER_SKIPS})"
    note = NOTE.format(k=k, skips=grid.skip_actions, fitted=fitted)
    if found:
        frames = next(iter(found.values()))[0]["video_frames"]
        note = (
            f"{note} A held-out video has {frames:.0f} frames on average; {published.SKIPFRAME_VIDEO_FRAMES} in the slides."
        )
    columns = (*tables.score_columns([""]), ("", "frames read"))
    note = f"{tables.reading_note(results, 'the slides of CVPR 2019')} {note}"
    return tables.Table("skipframe", TITLE, ("Model", "Reward", "Skips"), columns, tuple(rows), note)


def _section_of(trial):
    if is_control(trial):
        return CONTROL_SECTION
    return SKIPFRAME_SECTION if trial.method == SKIPFRAME else tables.section_of(trial.method)


def _frames_table(found, grid):
    """A list of the table of the frames that each network reads; [] if none is recorded."""
    if not found:
        return []
    k = grid.k_of(K)
    distances = {trial: [record["distance"] for record in records] for trial, records in found.items()}
    spread = verdicts.pooled_deviation(values for trial, values in distances.items() if trial.method == SKIPFRAME)
    rows = tuple(
        tables.Row(
            (title_of(trial),),
            (
                *(tables.Value.plain(mean, digits=0) for mean in _padded(_means(found[trial], "mean"), k)),
                tables.Value.of(distances[trial]),
                is_near(distances[trial], spread) if trial.method == SKIPFRAME else "",
            ),
        )
        for trial in found
    )
    columns = (*(("frame", str(number)) for number in range(1, k + 1)), ("", "distance"), ("", "near evenly spaced"))
    note = FRAMES_NOTE.format(k=k, near=NEAR)
    return [tables.Table("skipframe_frames", "SkipFrame: the frames that are read", ("Model",), columns, rows, note)]


def is_near(distances, spread):
    """The verdict on the claim that a SkipFrame's frames are near evenly spaced ones: at most NEAR from them.

    Args:
        distances: list of float, one per seed, in units of the spacing.
        spread: s; None if it is unknown.
    """
    margin = 0.0 if spread is None else verdicts.margin_of(spread, [len(distances)])
    verdict = verdicts.is_at_most(NEAR, statistics.fmean(distances), margin)
    return verdicts.DOES_NOT_HOLD if verdict == verdicts.CONTRADICTED else verdict


def _means(records, key):
    """For each frame that is read: the mean of a number over seeds."""
    reads = itertools.zip_longest(*(record["reads"] for record in records))
    return [statistics.fmean(read[key] for read in of_seeds if read) for of_seeds in reads]


def _padded(numbers, count):
    return [*numbers, *[None] * (count - len(numbers))]


def _cost_table(results, grid, found):
    skip = skip_frame(grid, "gap")
    decision = next((records[0]["decision_multiply_adds"] for trial, records in found.items() if trial.reward), None)
    rows = []
    for trial in (Trial(HRNN, SKYLINE), Trial(HRNN, "uniform", skip.k), skip):
        costs = results.scores(trial, "multiply_adds") if grid.wants(trial) else []
        frames = schema.MAX_FRAMES if trial.k is None else trial.k
        formula = flops.papers_multiply_adds(frames, flops.CVPR_CLASSES)
        values = (
            tables.Value.plain(formula / flops.GIGA, published.table3(trial.k).giga),
            tables.Value.plain(costs[0] / flops.GIGA if costs else None, digits=4),
            tables.Value.plain(decision / KILO, published.DECISION_MULTIPLY_ADDS / KILO, 2)
            if trial == skip and decision
            else None,
        )
        rows.append(tables.Row((title_of(trial).partition(" ")[0], str(frames)), values))
    columns = (
        ("1e9 per video", "papers' formula"),
        ("1e9 per video", "network as run"),
        ("1e3 per decision", "network as run"),
    )
    note = COST_NOTE.format(frames=published.SKIPFRAME_VIDEO_FRAMES, most=schema.MAX_FRAMES)
    return tables.Table("skipframe_cost", "SkipFrame: cost of a video", ("Model", "Frames"), columns, tuple(rows), note)


def _figure(results, found):
    """The frames of the baselines and of the SkipFrame with the reward GAP, and below those of all SkipFrames."""
    panels = {
        "(a) Fixed ways, and SkipFrame GAP": [trial for trial in found if not trial.reward or trial.reward == "gap"],
        "(b) SkipFrames": [trial for trial in found if trial.reward or trial.method == "uniform"],
    }
    with figures.style():
        figure, every_axes = figures.panels(len(panels), 9.6, sharex=True, sharey=True)
        for axes, (title, trials) in zip(every_axes, panels.items()):
            _draw(axes, results, {trial: found[trial] for trial in trials})
            axes.set(title=title, ylabel="Index of the frame")
        every_axes[-1].set_xlabel("Number of the frame that is read")
        every_axes[-1].xaxis.get_major_locator().set_params(integer=True)
    return figures.Figure("skipframe", "Frames picked by different models", _caption(), _alt(results, found), figure)


def _draw(axes, results, found):
    ends = []
    for number, (trial, records) in enumerate(found.items()):
        color, marker, dashes = STYLES[trial.reward or trial.method]
        means, deviations = _means(records, "mean"), _means(records, "deviation")
        places = [1 + read + 0.06 * (number - len(found) / 2) for read in range(len(means))]  # so that no bar hides another
        face = "white" if trial.actions.startswith("alt-") else color
        axes.errorbar(
            places,
            means,
            yerr=deviations,
            capsize=2,
            elinewidth=0.8,
            linewidth=1.5,
            markersize=5,
            color=color,
            marker=marker,
            markerfacecolor=face,
            linestyle=dashes,
        )
        ends.append((places[-1], means[-1], _end_title(results, trial), color))
    axes.autoscale_view()
    figures.label_ends(axes, ends)


def _end_title(results, trial):
    """The name of a curve, with the GAP: "Uniform-10 0.759"."""
    return f"{title_of(trial).removeprefix('SkipFrame ')} {_gap(results, trial):.3f}"


def _gap(results, trial):
    return statistics.fmean(results.scores(trial))


def _caption():
    return (
        "The index of the first, second, ... frame that a network reads, as the mean over the held-out videos and seeds, "
        "with bars of one standard deviation over the videos. The number at the end of a curve is GAP. SkipFrames are named "
        "by reward and skips. Curves with hollow marks may skip only every other number of frames."
    )


def _alt(results, found):
    ends = ", ".join(
        f"{title_of(trial)} at frame {_means(records, 'mean')[-1]:.0f} with GAP {_gap(results, trial):.3f}"
        for trial, records in found.items()
    )
    return f"Curves of the index of each frame that is read. They end as follows: {ends}."
