"""Takes a network out of a mixture: a training directory of its own, as if it had been trained alone."""

import pathlib

from youtube8m_distill import config as configs
from youtube8m_distill import files, schema
from youtube8m_distill.engine.checkpoints import save_weights, write_progress
from youtube8m_distill.errors import SettingError
from youtube8m_distill.runs.run import CONFIG_FILE, open_run


def extract(run, path, folder, network=None, checkpoint="best"):
    """Writes one network of a mixture as a run, complete or not at all.

    Args:
        run: runs.Run whose network is a mixture.
        path: which network: "2" is member 2, "2.0" the member 0 of that.
        folder: where the new run goes; not there yet, or empty.
        network: "teacher" or "student"; None for the run's main one.
        checkpoint: "best", "last" or a step.
    Returns:
        runs.Run in `folder`.
    Raises:
        FileNotFoundError, ValueError: if the run has no such network or checkpoint, or the folder is in use.
        OSError: with path and reason, if the folder cannot be written.
    """
    role = run.role(network)
    settings = run.config.networks[role]
    if not settings.is_mixture:
        raise SettingError("train_dir", f"its {role} is a {settings.model}, which is no mixture.", run.folder)
    if not path:
        raise SettingError("submodel", "is missing: the mixture as a whole is a run already.")
    folder = pathlib.Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingError("output_dir", "is in use; name a new folder.", folder)
    mixture, progress = run.load_network(role, checkpoint)
    submodel = mixture.submodel(path)
    for _ in path.split("."):
        settings = settings.member()
    config = configs.RunConfig("teacher", {schema.TEACHER: settings}, run.config.training)
    with files.atomic_path(folder) as temporary:
        (temporary / "best").mkdir(parents=True)
        (temporary / CONFIG_FILE).write_text(configs.to_json(config), encoding="utf-8")
        save_weights(submodel, temporary / "best" / f"{schema.TEACHER}.weights.h5")
        write_progress(temporary / "best", progress)
    return open_run(folder)
