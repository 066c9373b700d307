"""MOD, Figures 3 and 4: does the distillation loss of a mixture fall and rise again while its label loss falls?

    python -m reproduce mod_figures34 --data=yt8m/segments --output_dir=mod

Shows the losses of a MixNeXtVLAD by step, on videos with T = 1 and then on segments with T = 20, for the first seed. The
paper does not tell which training its example is of.

Paper (MOD 2019, Figures 3 and 4 and section 3.3): the distillation loss falls at the beginning and then rises steadily,
while the objective as a whole falls. The paper takes this as evidence that the networks of the mixture become different.

Cost: 2 trainings of three networks, both of them in Table 2.
"""

from reproduce import figures
from reproduce.segment_trials import FINETUNED, MIX, SegmentTrial

TITLE = "MOD, Figures 3 and 4: losses of a MixNeXtVLAD by step"
QUESTION = "Does the distillation loss fall and rise again while the label loss falls?"
EXPECTED = (
    "The distillation loss falls at the beginning and then rises steadily, while label loss and regularization loss are "
    "minimized (MOD 2019, Figures 3 and 4)."
)

FINE_TUNED = SegmentTrial(MIX, FINETUNED, 20.0)
DISTILLATION, LABEL, REGULARIZATION = "online_distillation_loss", "label_loss", "regularization_loss"
PARTS = 10  # of a curve, whose means are compared

NAMES = {LABEL: "Label loss", REGULARIZATION: "Regularization loss"}
STYLES = {
    LABEL: {"color": figures.BLUE, "marker": "."},
    REGULARIZATION: {"color": figures.VERMILION, "marker": ".", "linestyle": (0, (4, 2))},
}


def plan(grid):
    return [FINE_TUNED]


def outputs(results, grid):
    stages = {
        "Videos, T=1": (results.get(FINE_TUNED.prerequisite), 1.0),
        "Segments, T=20": (results.get(FINE_TUNED), FINE_TUNED.temperature),
    }
    stages = {title: (result.losses, t) for title, (result, t) in stages.items() if result is not None and result.losses}
    return [_figure3(stages), _figure4(stages)] if stages else []


def _figure3(stages):
    curves = {title: _scaled(losses[DISTILLATION], t**2) for title, (losses, t) in stages.items()}
    with figures.style():
        figure, every_axes = figures.panels(len(curves), 0.6 + 2.7 * len(curves))
        for axes, (title, curve) in zip(every_axes, curves.items()):
            axes.plot(*zip(*curve), color=figures.BLUE, marker=".")
            axes.set(title=title, ylabel="Distillation loss")
        _label_steps(every_axes)
    courses = "; ".join(f"{title}: {_course(curve)}" for title, curve in curves.items())
    caption = (
        "The distillation term of equation 6 with its factor T², by training step, for the first seed. Means over tenths of "
        f"the steps. {courses}."
    )
    return figures.Figure("mod_figure3", "MOD, Figure 3: distillation loss", caption, f"Curves by step. {courses}.", figure)


def _figure4(stages):
    with figures.style():
        figure, every_axes = figures.panels(len(stages), 0.9 + 2.7 * len(stages))
        for axes, (title, (losses, _)) in zip(every_axes, stages.items()):
            for term, style in STYLES.items():
                axes.plot(*zip(*losses[term]), **style)
            axes.set(title=title, ylabel="Loss", yscale="log")
        _label_steps(every_axes)
        handles = [figures.handle(NAMES[term], **style) for term, style in STYLES.items()]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
    courses = "; ".join(
        f"{title}, {NAMES[term].lower()}: {_course(losses[term])}" for title, (losses, _) in stages.items() for term in NAMES
    )
    caption = (
        "The cross-entropy of the mixture with the labels, and the sum of the L2 terms, by training step, for the first "
        f"seed. Means over tenths of the steps. {courses}."
    )
    title = "MOD, Figure 4: label loss and regularization loss"
    return figures.Figure("mod_figure4", title, caption, f"Curves by step. {courses}.", figure)


def _label_steps(every_axes):
    for axes in every_axes:
        axes.xaxis.get_major_locator().set_params(integer=True)
    every_axes[-1].set_xlabel("Step")


def _scaled(curve, factor):
    return [(step, factor * value) for step, value in curve]


def _course(curve):
    """How the means over tenths of a curve develop, in words."""
    values = [value for _, value in curve]
    size = max(1, len(values) // PARTS)
    means = [sum(part) / len(part) for part in (values[i : i + size] for i in range(0, len(values) - size + 1, size))]
    lowest = min(means)
    return f"from {means[0]:.3g} over a lowest {lowest:.3g} to {means[-1]:.3g}"
