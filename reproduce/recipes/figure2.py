"""Figure 2: how serial and parallel training go, epoch by epoch.

Question: why is parallel training about as good as serial, although its teacher knows nothing at first?

    python -m reproduce figure2 --train_data_pattern=... --validation_data_pattern=... \\
        --eval_data_pattern=... --output_dir=...

The paper (CVPR 2019, Figure 2 and section 5.3): after 3-4 epochs the parallel teacher is on par with the serial one,
"the constant line"; from then on the parallel student learns from a trained teacher, too, and almost reaches the
serial one.

Cost: seven trainings at the k nearest to 30, all of them Table 1's, too; its first seed is drawn. The teacher is a
static one, so the paper draws a line; here its own course is drawn as well, and the line is its best epoch.
"""

from reproduce import figures
from reproduce.cells import HRNN, SKYLINE, STUDENTS, Cell
from reproduce.tables import LOSS_TITLES, loss_title
from youtube8m_distill import schema

TITLE = "Figure 2: serial and parallel training by epoch"
QUESTION = "How do teachers and students of serial and parallel training get better from epoch to epoch?"
EXPECTED = (
    "After 3-4 epochs the parallel teacher is on par with the serial one, and the parallel student almost "
    "reaches the serial student, with each of the three losses (CVPR 2019, Figure 2; at k=30 students end "
    "at a GAP of 0.802-0.806)."
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
    return [Cell(HRNN, SKYLINE), *(Cell(HRNN, method, k, loss) for loss in LOSSES for method in STUDENTS)]


def outputs(results, grid):
    k = grid.k_of(K)
    courses = {loss: _courses(results, grid, loss) for loss in LOSSES}
    drawn = {loss: found for loss, found in courses.items() if any(role == schema.STUDENT for _, role in found)}
    if not drawn:
        return []
    with figures.looks():
        figure, every_axes = figures.panels(len(drawn), 1.3 + 2.6 * len(drawn), sharex=True, sharey=True)
        for letter, axes, (loss, found) in zip("abc", every_axes, drawn.items()):
            _draw(axes, found)
            _mark_second_stage(axes, results.get(Cell(HRNN, "serial", k, loss)))
            axes.set_title(f"({letter}) {_formula(loss)}")
        every_axes[-1].set_xlabel("Epoch")
        every_axes[-1].xaxis.get_major_locator().set_params(integer=True)
        _add_legend(figure, drawn)
    return [figures.Figure("figure2", f"{TITLE}, k={k}", _caption(k), _alt(drawn, k), figure)]


def _courses(results, grid, loss):
    """dict (method, role) -> (epochs, GAPs) of those that are wanted and finished."""
    k = grid.k_of(K)
    where = {
        ("serial", schema.TEACHER): Cell(HRNN, SKYLINE),
        ("serial", schema.STUDENT): Cell(HRNN, "serial", k, loss),
        ("parallel", schema.TEACHER): Cell(HRNN, "parallel", k, loss),
        ("parallel", schema.STUDENT): Cell(HRNN, "parallel", k, loss),
    }
    histories = {
        key: results.get(cell).history[key[1]] for key, cell in where.items() if grid.wants(cell) and results.get(cell)
    }
    return {
        key: ([point["epoch"] for point in history], [point["gap_at_20"] for point in history])
        for key, history in histories.items()
        if history
    }


def _draw(axes, courses):
    for key, (epochs, gaps) in courses.items():
        axes.plot(epochs, gaps, **_looks(*key))
    if ("serial", schema.TEACHER) in courses:
        axes.axhline(max(courses["serial", schema.TEACHER][1]), **BEST)
    axes.set_ylabel("GAP")


def _looks(method, role):
    """A color and a marker for each way of training; for teachers dashes, and markers that no student's can hide."""
    looks = {"color": COLORS[method], "marker": MARKERS[method]}
    if role == schema.STUDENT:
        return {**looks, "zorder": 3, "markersize": 6}
    return {**looks, "linestyle": (0, (4, 2)), "markersize": 11, "markerfacecolor": "white"}


def _mark_second_stage(axes, result):
    """A line where a serial run on `rep` alone has ended its first stage."""
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
    """One legend for all panels, with the curves that are in any of them."""
    shown = [key for key in NAMES if any(key in courses for courses in drawn.values())]
    handles = [figures.handle(NAMES[key], **_looks(*key)) for key in shown]
    if ("serial", schema.TEACHER) in shown:
        handles.insert(shown.index(("serial", schema.TEACHER)) + 1, figures.handle("its best epoch", **BEST))
    figure.legend(handles=handles, loc="outside upper left", ncols=2, handlelength=3.5)


def _formula(loss):
    """("rep", "ce") -> "$L_{rep}$, $L_{CE}$"."""
    return ", ".join(f"${title.replace('_', '_{')}}}$" for title in map(LOSS_TITLES.get, loss))


def _caption(k):
    return (
        f"GAP on the validation videos at the end of each epoch; students see {k} frames; first seed. The serial "
        "teacher is trained before its students, which learn from its best epoch: the paper draws it as a constant "
        "line, the dotted one here; the dashed curve is its own training. A serial student of L_rep alone first "
        "matches its teacher and is then fine-tuned, its epochs counted on."
    )


def _alt(drawn, k):
    def ends(courses):
        return ", ".join(f"{NAMES[key].lower()} {gaps[-1]:.3f}" for key, (_, gaps) in courses.items())

    panels = "; ".join(f"with {loss_title(loss)}: {ends(courses)}" for loss, courses in drawn.items())
    return f"Curves of GAP by epoch at k={k}. In the last epoch, {panels}."
