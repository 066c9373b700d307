"""What a run has written about its epochs."""

import collections

from youtube8m_distill.engine import event_files
from youtube8m_distill.engine.callbacks import BY_EPOCH


def read_history(run):
    """The validation measures of a run's networks at the end of each epoch.

    Args:
        run: runs.Run.
    Returns:
        dict role -> list of dicts by epoch: `epoch` (from 1) and each measure, as `metrics.Evaluator` names it.
    """
    return {role: _epochs(run.folder / "tensorboard" / role) for role in run.config.trained_roles}


def _epochs(folder):
    found = collections.defaultdict(dict)
    for tag, step, value in event_files.read_points(folder):
        if tag.startswith(f"{BY_EPOCH}/"):
            found[step][tag.removeprefix(f"{BY_EPOCH}/")] = value
    return [{"epoch": epoch, **found[epoch]} for epoch in sorted(found)]
