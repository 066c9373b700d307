"""The validation measures of a run by epoch."""

from youtube8m_distill.engine.history import read_rows
from youtube8m_distill.runs.run import Run


def read_history(run: Run) -> dict[str, list[dict]]:
    """The validation measures of a run's networks at the end of each epoch.

    Args:
        run: runs.Run.
    Returns:
        dict role -> list of dicts by epoch: `epoch` (from 1) and each measure, as `metrics.Evaluator` names it. Empty lists
        for a run without validation, or of a version that wrote no history.csv.
    """
    found = {role: [] for role in run.config.trained_roles}
    for row in read_rows(run.folder):
        found.setdefault(row.pop("role"), []).append({name: value for name, value in row.items() if name != "step"})
    return found
