"""Not in the papers: is the recipe `best` better than the paper's three losses, and is distillation the reason?

    python -m reproduce best --data=yt8m/frame --output_dir=experiments --seeds=3

Compares the serial student of --recipe=best with the paper's serial student of all losses, at each k. There are three
controls: Uniform-k; a student of the label loss alone that starts from the teacher's classifier; and a student of the label
loss alone with everything else that the recipe has.

Cost: 5 trainings per k and seed, and the Skyline.
"""

from reproduce import tables
from reproduce.published import UNKNOWN
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, HRNN, SKYLINE, Trial
from youtube8m_distill.config import RECIPES, RecipeName

BEST: RecipeName = "best"
TITLE = "The recipe `best` and the paper's losses, with controls"
QUESTION = "Is there a better way to train a student than the paper's three losses, and is distillation the reason?"
EXPECTED = "Not in the papers. The rule: a difference counts if it exceeds twice its variation over seeds."


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
    return tables.finished(tables.Table("best", TITLE, ("Training", "Student loss"), columns, tuple(rows), note))


def _students(k):
    own = [Trial(HRNN, "uniform", k), Trial(HRNN, "serial", k, CONTROL_LOSS), Trial(HRNN, "serial", k, ALL_LOSSES)]
    return [*own, best_control(k), best_student(k)]


def _row(results, grid, trials):
    labels = tables.title_of(trials[0]), tables.loss_title(trials[0].student_loss)
    return tables.Row(labels, tables.score_values(results, grid, trials, [UNKNOWN] * len(trials)), "")
