"""How a run is started, resumed, or joined by another worker of its job. `run` reads what it writes."""

import contextlib
import pathlib
from collections.abc import Callable

from youtube8m_distill import config as configs
from youtube8m_distill import files
from youtube8m_distill.engine import history
from youtube8m_distill.engine.checkpoints import Checkpoints
from youtube8m_distill.manifest import Manifest, differences
from youtube8m_distill.runs.lock import locked
from youtube8m_distill.runs.run import BETWEEN_FINGERPRINTS, COMMAND_FILE, CONFIG_FILE, Run, open_run, other_content
from youtube8m_distill.settings import fields_with, require

# What `start_new` removes; the last two are of versions that skipped bad records themselves.
WRITTEN = (COMMAND_FILE, "checkpoints", "best", "tensorboard", "eval", history.FILE, "bad_records.json", "bad_records.csv")
# Settings that may change when a run is resumed.
MAY_CHANGE = (
    *fields_with(configs.RunConfig, may_change=True),
    *(f"training.{name}" for name in fields_with(configs.TrainingConfig, may_change=True)),
)


def lock_run(folder: str | pathlib.Path) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Holds a folder to train in for this process; the value of the `with` block goes to `prepare_run`.

    Raises:
        SettingError: if the folder holds something else, before anything is written, or if another process trains in it.
    """
    files.check_output("train_dir", folder, folder=True)
    about = other_content(pathlib.Path(folder))
    require((pathlib.Path(folder) / CONFIG_FILE).exists() or not about, "train_dir", f"is not a run.{about}", folder)
    _manifest(folder, {}).read()
    return locked(folder)


def prepare_run(
    folder: str | pathlib.Path,
    config: configs.RunConfig,
    start_new: bool = False,
    check_held: Callable[[], None] | None = None,
) -> Run:
    """Starts a run in an empty or new folder, or resumes the run in it.

    Args:
        start_new: remove the run that is there first. Other files in the folder stay.
        check_held: what `lock_run` gave: checkpoints are then saved only while this process holds the folder.
    Raises:
        SettingError: if the folder holds something else, or its run has other settings that may not change.
    """
    folder = pathlib.Path(folder)
    before = _manifest(folder, {}).read()
    if before is not None and start_new:
        for path in (folder / name for name in WRITTEN):  # config.json is replaced: it marks the folder as a run
            if path.is_dir() and not path.is_symlink():
                files.remove_folder(path)
            else:
                path.unlink(missing_ok=True)
    elif before is not None and (Checkpoints(folder).steps() or (folder / "best").is_dir()):
        _check_same(folder, before, config)  # a run that stopped before its first checkpoint has nothing to protect
    for place in (folder, folder / "checkpoints"):
        files.remove_leftovers(place)
    files.write_text(folder / CONFIG_FILE, configs.to_json(config))
    return Run(folder, config, check_held)


def join_run(folder: str | pathlib.Path, config: configs.RunConfig) -> Run:
    """The run that the chief of a job has just prepared, for the other workers of the job.

    Raises:
        FileNotFoundError, ValueError: if this machine cannot see it, or the chief was started with other settings.
    """
    try:
        run = open_run(folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} The train_dir of a job must be where every machine sees it.") from error
    differing = "; ".join(differences(run.config.to_dict(), config.to_dict()))
    if differing:
        raise ValueError(f"this worker's settings differ from the chief's: {differing}. Give every worker the same command.")
    return run


def _manifest(folder, settings, may_change=()):
    return Manifest(
        pathlib.Path(folder) / CONFIG_FILE,
        settings,
        flag="train_dir",
        what="a run",
        may_change=may_change,
        remedy="name another folder (--init_from starts a new run from these weights), or replace it with --start_new_model",
        parse=lambda text: configs.from_json(text).to_dict(),
    )


def _check_same(folder, before, config):
    """Refuses to resume a run with other settings. `before` is the dict of the folder's RunConfig."""
    now, then = config.training.batch_size, before["training"]["batch_size"]
    reason = (
        f"the run in {folder} has batches of {then}. Its steps, its learning rate and its position in the data count "
        f"batches, so it keeps their size. Give --batch_size={then}, or start a new run from its weights with --init_from."
    )
    require(now == then, "batch_size", reason, now)
    given, known = config.teacher_weights.split(BETWEEN_FINGERPRINTS), before["teacher_weights"].split(BETWEEN_FINGERPRINTS)
    reason = (
        f"names the teachers of the run in {folder} in another order, and the student follows the first one. The run was "
        f"started with --teacher_dir={before['teacher_dir']}."
    )
    require(given == known or sorted(given) != sorted(known), "teacher_dir", reason, config.teacher_dir)
    # A configuration written by hand may lack fingerprints.
    fingerprints = ("train_files", "validation_files", "teacher_weights", "init_weights")
    unknown = [name for name in fingerprints if not before[name]]
    if config.distillation is not None and not config.distillation.needs_teacher:
        unknown.append("teacher_targets")  # of a version that computed targets which no term needs
    _manifest(folder, config.to_dict(), (*MAY_CHANGE, *unknown)).check()
    now, then = config.training.num_epochs, before["training"]["num_epochs"]
    reason = f"the first stage of the run in {folder} ended after {then} epochs. Use that; finetune_epochs may change."
    require(now == then or not Checkpoints(folder).newest_progress().stage, "num_epochs", reason, now)
