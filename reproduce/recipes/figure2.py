"""Figure 2: why is parallel training about as good as serial training, although its teacher is untrained at first?

    python -m reproduce figure2 --data=yt8m/frame --output_dir=experiments

Shows GAP by epoch. Paper (CVPR 2019, Figure 2 and section 5.3): after 3-4 epochs, the parallel teacher is on par with the
serial one, "the constant line". From then on, the parallel student also learns from a trained teacher, and it almost
reaches the serial student.

Cost: seven trainings at the k nearest to 30, all of them in Table 1. The figure shows the first seed. The serial teacher
does not change while its students are trained, so the paper draws a constant line. Here, the line is the teacher's best
epoch, and its own training is drawn too.
"""

from reproduce import figures
from reproduce.tables import LOSS_TITLES, loss_title
from reproduce.trials import HRNN, SKYLINE, STUDENTS, Trial
from youtube8m_distill import schema

TITLE = "Figure 2: serial and parallel training by epoch"
QUESTION = "How do teachers and students of serial and parallel training improve from epoch to epoch?"
EXPECTED = (
    "After 3-4 epochs, the parallel teacher is on par with the serial one, and the parallel student almost reaches the "
    "serial student with each of the three losses (CVPR 2019, Figure 2; at k=30, students end at a GAP of 0.802-0.806)."
)

K = 30
LOSSES = (("rep",), ("rep", "ce"), ("rep", "pred", "ce"))

NAMES = {
    ("serial", schema.TEACHER): "Serial teacher",
    ("serial", schema.STUDENT): "Serial student",
    ("parallel", schema.TEACHER): "Parallel teacher",
    ("parallel", schema.STUDENT): "Parallel student",
}
COLORS = {"serial": figures.BLUE, "parallel": figures.VERMILION}
MARKERS = {"serial": "o", "parallel": "^"}
BEST = {"color": figures.BLUE, "linewidth": 1.2, "linestyle": (0, (1, 2))}


def plan(grid):
    k = grid.k_of(K)
    return [Trial(HRNN, SKYLINE), *(Trial(HRNN, method, k, loss) for loss in LOSSES for method in STUDENTS)]


def outputs(results, grid):
    k = grid.k_of(K)
    curves = {loss: _curves(results, grid, loss) for loss in LOSSES}
    drawn = {loss: found for loss, found in curves.items() if any(role == schema.STUDENT for _, role in found)}
    if not drawn:
        return []
    with figures.style():
        figure, every_axes = figures.panels(len(drawn), 1.3 + 2.6 * len(drawn), sharex=True, sharey=True)
        for letter, axes, (loss, found) in zip("abc", every_axes, drawn.items()):
            _draw(axes, found)
            _mark_second_stage(axes, results.get(Trial(HRNN, "serial", k, loss)))
            axes.set_title(f"({letter}) {_formula(loss)}")
        every_axes[-1].set_xlabel("Epoch")
        every_axes[-1].xaxis.get_major_locator().set_params(integer=True)
        _add_legend(figure, drawn)
    return [figures.Figure("figure2", f"{TITLE}, k={k}", _caption(k), _alt(drawn, k), figure)]


def _curves(results, grid, loss):
    """A dict from (method, role) to (epochs, GAPs) of the finished trials in the grid."""
    k = grid.k_of(K)
    trials = {
        ("serial", schema.TEACHER): Trial(HRNN, SKYLINE),
        ("serial", schema.STUDENT): Trial(HRNN, "serial", k, loss),
        ("parallel", schema.TEACHER): Trial(HRNN, "parallel", k, loss),
        ("parallel", schema.STUDENT): Trial(HRNN, "parallel", k, loss),
    }
    histories = {
        key: results.get(trial).history[key[1]] for key, trial in trials.items() if grid.wants(trial) and results.get(trial)
    }
    return {
        key: ([point["epoch"] for point in history], [point["gap_at_20"] for point in history])
        for key, history in histories.items()
        if history
    }


def _draw(axes, curves):
    for key, (epochs, gaps) in curves.items():
        axes.plot(epochs, gaps, **_style(*key))
    if ("serial", schema.TEACHER) in curves:
        axes.axhline(max(curves["serial", schema.TEACHER][1]), **BEST)
    axes.set_ylabel("GAP")


def _style(method, role):
    """Color and marker depend on the method. Teachers have dashes and larger markers, so students do not hide them."""
    style = {"color": COLORS[method], "marker": MARKERS[method]}
    if role == schema.STUDENT:
        return {**style, "zorder": 3, "markersize": 6}
    return {**style, "linestyle": (0, (4, 2)), "markersize": 11, "markerfacecolor": "white"}


def _mark_second_stage(axes, result):
    """Draws a line at the end of the first stage of a serial run with `rep` alone."""
    first_stage = result.config.get("training", {}).get("num_epochs") if result else None
    if first_stage and len(result.history[schema.STUDENT]) > first_stage:
        axes.axvline(first_stage + 0.5, color=figures.GRAY, linewidth=1.2)
        axes.annotate(
            "fine-tuning",
            (first_stage + 0.5, 0),
            xycoords=("data", "axes fraction"),
            xytext=(6, 8),
            textcoords="offset points",
            color=figures.GRAY,
        )


def _add_legend(figure, drawn):
    """Adds one legend for all panels, with every curve that occurs in any of them."""
    shown = [key for key in NAMES if any(key in curves for curves in drawn.values())]
    handles = [figures.handle(NAMES[key], **_style(*key)) for key in shown]
    if ("serial", schema.TEACHER) in shown:
        handles.insert(shown.index(("serial", schema.TEACHER)) + 1, figures.handle("its best epoch", **BEST))
    figure.legend(handles=handles, loc="outside upper left", ncols=2, handlelength=3.5)


def _formula(loss):
    """The formula of a student loss: "$L_{rep}$, $L_{CE}$" for ("rep", "ce")."""
    return ", ".join(f"${LOSS_TITLES[term].replace('_', '_{')}}}$" for term in loss)


def _caption(k):
    return (
        f"GAP on the validation videos at the end of each epoch, for the first seed. Students read {k} frames. The serial "
        "teacher is trained before its students, which learn from its best epoch. The paper draws it as a constant line, "
        "which is dotted here. The dashed curve is its own training. A serial student with L_rep alone first matches its "
        "teacher and is then fine-tuned."
    )


def _alt(drawn, k):
    def ends(curves):
        return ", ".join(f"{NAMES[key].lower()} {gaps[-1]:.3f}" for key, (_, gaps) in curves.items())

    panels = "; ".join(f"with {loss_title(loss)}: {ends(curves)}" for loss, curves in drawn.items())
    return f"Curves of GAP by epoch at k={k}. In the last epoch, {panels}."
