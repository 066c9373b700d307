"""Extracts a network from a mixture into a training directory of its own, as if it had been trained alone."""

import dataclasses
import pathlib

from youtube8m_distill import config as configs
from youtube8m_distill import files, schema
from youtube8m_distill.runs.run import Run, write_run
from youtube8m_distill.settings import require

KEPT = ("training", "reading", "train_data_pattern", "validation_data_pattern", "exclude_records")  # fields of a RunConfig


def extract(
    run: Run, path: str, folder: str | pathlib.Path, network: str | None = None, checkpoint: str | int = "best"
) -> Run:
    """Writes one network of a mixture as a run, complete or not at all.

    Args:
        path: which network: "2" is member 2, "2.0" is member 0 of that.
        folder: of the new run; missing or empty.
        network: the mixture: "teacher" or "student"; None for the run's main one.
        checkpoint: "best", "last" or a step.
    Raises:
        FileNotFoundError, ValueError: if the run has no such network or checkpoint, or the folder is in use.
    """
    role = run.role(network)
    settings, folder = run.config.networks[role], pathlib.Path(folder)
    require(settings.is_mixture, "train_dir", f"its {role} is a {settings.model}, not a mixture.", run.folder)
    require(path, "submodel", "is missing: the whole mixture is a run already.")
    files.check_new_folder("output_dir", folder)
    mixture, progress = run.load_network(role, checkpoint)
    submodel = mixture.submodel(path)
    for _ in path.split("."):
        settings = settings.member()
    kept = {name: value for name, value in run.config.values().items() if name in KEPT}
    config = configs.RunConfig(mode="teacher", networks={schema.TEACHER: settings}, **kept)
    # The validation GAP is that of the mixture.
    progress = dataclasses.replace(progress, best_step=None, best_value=None)
    return write_run(folder, config, submodel, progress)
