"""Not in the papers: is the recipe `best` better than the paper's three losses, and is distillation the reason?

    python -m reproduce best --data=yt8m/frame --output_dir=experiments --seeds=3

Compares the serial student of --recipe=best with the paper's serial student of all losses, at each k. There are three
controls: Uniform-k; a student of the label loss alone that starts from the teacher's classifier; and a student of the label
loss alone with everything else that the recipe has.

Cost: 5 trainings per k and seed, and the Skyline.
"""

import statistics

from reproduce import figures, tables
from reproduce.published import UNKNOWN
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, HRNN, SKYLINE, Trial
from youtube8m_distill.config import RECIPES, RecipeName

BEST: RecipeName = "best"
TITLE = "The recipe `best` and the paper's losses, with controls"
QUESTION = "Is there a better way to train a student than the paper's three losses, and is distillation the reason?"
EXPECTED = "Not in the papers. The rule: a difference counts if it exceeds twice its variation over seeds."
STYLES = (  # of the rows, in their order
    {"color": figures.GRAY, "marker": "s", "linestyle": (0, (1, 2))},
    {"color": figures.SKY, "marker": "v", "linestyle": (0, (4, 2))},
    {"color": figures.VERMILION, "marker": "^"},
    {"color": figures.GREEN, "marker": "D", "linestyle": (0, (4, 2))},
    {"color": figures.BLUE, "marker": "o"},
)
TEACHER_LINE = {"color": figures.BLACK, "linewidth": 1.2}


def best_student(k: int) -> Trial:
    """The student of the recipe."""
    return Trial(HRNN, "serial", k, RECIPES[BEST].student_loss, recipe=BEST)


def best_control(k: int) -> Trial:
    """The student of the recipe without distillation."""
    return Trial(HRNN, "serial", k, CONTROL_LOSS, recipe=BEST)


def plan(grid):
    return [Trial(HRNN, SKYLINE), *(trial for k in grid.ks for trial in _students(k))]


def outputs(results, grid):
    rows = [_row(results, grid, [Trial(HRNN, SKYLINE)] * len(grid.ks))]
    rows += [_row(results, grid, trials) for trials in zip(*map(_students, grid.ks))]
    note = f"{tables.scores_note(results)} {tables.CONTROL_NOTE}"
    columns = tables.score_columns(f"k={k}" for k in grid.ks)
    table = tables.Table("best", TITLE, ("Training", "Student loss"), columns, tuple(rows), note)
    return tables.finished(table) + _figure(results, grid)


def _figure(results, grid):
    """GAP over the number of frames, a curve for each row; [] without a finished student."""
    curves = {trials[0]: _points(results, grid, trials) for trials in zip(*map(_students, grid.ks))}
    skyline = results.scores(Trial(HRNN, SKYLINE), "gap_at_20")
    if not any(curves.values()):
        return []
    with figures.style():
        figure, [axes] = figures.panels(1, 6.5)
        handles = []
        for (trial, points), look in zip(curves.items(), STYLES):
            if points:
                ks, means, deviations = zip(*points)
                axes.errorbar(ks, means, deviations, capsize=3, **look)
                handles.append(figures.handle(_name(trial), **look))
        if skyline:
            axes.axhline(statistics.fmean(skyline), **TEACHER_LINE)
            handles.insert(0, figures.handle("Skyline (all frames)", **TEACHER_LINE))
        figures.log_x(axes, grid.ks)
        axes.set_xticks(grid.ks)
        axes.set_xlabel("Frames per video")
        axes.set_ylabel("GAP")
        figure.legend(handles=handles, loc="outside upper left", handlelength=3.5)
    lowest = ", ".join(f"{_name(trial)} {points[0][1]:.3f}" for trial, points in curves.items() if points)
    caption = (
        "GAP on the held-out videos over the number of frames that a student reads: mean and standard deviation over seeds."
    )
    return [figures.Figure("best", TITLE, caption, f"Curves of GAP over frames. At the fewest frames: {lowest}.", figure)]


def _points(results, grid, trials):
    """(k, mean, standard deviation over seeds) of those trials that are finished."""
    found = [(trial.k, results.scores(trial, "gap_at_20")) for trial in trials if grid.wants(trial)]
    return [(k, statistics.fmean(own), statistics.stdev(own) if len(own) > 1 else 0.0) for k, own in found if own]


def _name(trial):
    loss = tables.loss_title(trial.student_loss)
    return f"{tables.title_of(trial)}{f' ({loss})' if loss and not trial.is_control else ''}"


def _students(k):
    own = [Trial(HRNN, "uniform", k), Trial(HRNN, "serial", k, CONTROL_LOSS), Trial(HRNN, "serial", k, ALL_LOSSES)]
    return [*own, best_control(k), best_student(k)]


def _row(results, grid, trials):
    labels = tables.title_of(trials[0]), tables.loss_title(trials[0].student_loss)
    return tables.Row(labels, tables.score_values(results, grid, trials, [UNKNOWN] * len(trials)), "")
