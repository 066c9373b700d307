"""The settings that all trials on segments share, and the run configuration and command of each trial."""

import shlex

from reproduce.segment_trials import DBOF, FINETUNED, NETWORKS, SegmentTrial
from reproduce.settings import ExperimentSettings, feature_flags, plain, run_folder
from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.errors import written
from youtube8m_distill.settings import setting

SEGMENTS = configs.Reading(segment_labels=True)
# The sizes that are larger in the networks called large, and by which factor.
LARGER, FACTOR = ("nextvlad_cluster_size", "expansion"), 2
# Settings that differ between whole videos and segments: their flags are about videos.
OF_VIDEOS = ("dropout", "l2_penalty")
SCHEDULE = (
    "batch_size",
    "base_learning_rate",
    "learning_rate_decay",
    "learning_rate_decay_examples",
    "num_epochs",
    "finetune_epochs",
)


class SegmentSettings(ExperimentSettings):
    """Data, sizes, and schedules of the trials on segments. `training` and `network` have the values for whole videos."""

    validation_data_pattern: str = setting("", "Not used: as in the paper, the last epoch counts.", may_change=True)
    finetune_data_pattern: str = setting(..., "Globs of the files whose segments are trained on.", may_change=True)
    finetuning: dict = setting({}, "Values for segments that differ from the recipe mod_finetune.")


def run_config(trial: SegmentTrial, settings: SegmentSettings, folder) -> configs.RunConfig:
    """The RunConfig of a trial, equal to the one that `yt8m train` builds from `command`.

    Args:
        trial: SegmentTrial.
        settings: SegmentSettings.
        folder: the experiment's folder.
    """
    whitened = _is_whitened(trial, settings)
    options = {**_recipe_of_network(trial), **_network_settings(trial, settings)}
    if whitened:
        options["reverse_whitening"] = True
    training = {
        **configs.FAMILY_OF[trial.family].training,
        **plain(configs.RECIPES[_recipe_name(trial)].training),
        **_given_training(trial, settings),
    }
    return configs.RunConfig(
        mode="teacher",
        networks={schema.TEACHER: configs.network_config(trial.family, settings.num_classes, settings.features, **options)},
        training=configs.TrainingConfig(**training),
        recipe=_recipe_name(trial),
        train_data_pattern=_train_data_pattern(trial, settings),
        exclude_records=settings.exclude_records,
        pca_eigenvalues=settings.pca_eigenvalues if whitened and trial.method != FINETUNED else "",
        init_from=str(run_folder(folder, trial.prerequisite)) if trial.prerequisite else "",
        reading=SEGMENTS if trial.on_segments else configs.Reading(),
    )


def command(trial: SegmentTrial, settings: SegmentSettings, folder) -> str:
    """The `yt8m train` command that trains the same network with the same seed."""
    config = run_config(trial, settings, folder)
    values = {
        "recipe": config.recipe if config.recipe != "default" else "",
        "model": trial.family,
        "num_classes": settings.num_classes,
        **feature_flags(settings.features),
        **_network_settings(trial, settings),
        **_given_training(trial, settings),
        "init_from": config.init_from,
        "pca_eigenvalues": config.pca_eigenvalues,
        "exclude_records": settings.exclude_records,
        "train_data_pattern": config.train_data_pattern,
        "train_dir": run_folder(folder, trial),
    }
    switches = ["--segment_labels"] if trial.on_segments else []
    switches += [f"--{name}={written(value)}" for name, value in values.items() if value != ""]
    return f"yt8m train {shlex.join(switches)}"


def _recipe_name(trial):
    """The recipe of `yt8m train`. Those of the MOD paper do not describe a DBoF."""
    if trial.network == DBOF:
        return "default"
    return "mod_finetune" if trial.on_segments else "mod_pretrain"


def _recipe_of_network(trial):
    return plain(configs.RECIPES[_recipe_name(trial)].of_network(trial.family, configs.FrameView()))


def _train_data_pattern(trial, settings):
    return settings.finetune_data_pattern if trial.on_segments else settings.train_data_pattern


def _network_settings(trial, settings):
    """The network settings of a trial that differ from its recipe."""
    network, known = NETWORKS[trial.network], configs.network_config(trial.family).settings()
    given = {name: value for name, value in settings.network.items() if name in known}
    if trial.on_segments:
        given = {name: value for name, value in given.items() if name not in OF_VIDEOS}
        given |= {name: settings.finetuning[name] for name in OF_VIDEOS if name in settings.finetuning and name in known}
    found = {**network.settings, **given, **network.shape}
    if network.is_large:
        found |= {name: FACTOR * given.get(name, known[name]) for name in LARGER}
    if trial.temperature is not None:
        found["cl_temperature"] = trial.temperature
    return found


def _given_training(trial, settings):
    """The training settings of a trial that differ from its recipe. A DBoF has the schedule of the other networks."""
    given = {**settings.training, "max_to_keep": 1, "seed": trial.seed}
    if not trial.on_segments:
        return {name: value for name, value in given.items() if name != "finetune_epochs"}
    given = {name: value for name, value in given.items() if name not in SCHEDULE}
    of_segments = {name: value for name, value in settings.finetuning.items() if name in SCHEDULE}
    if trial.network == DBOF:
        of_segments = {**plain(configs.RECIPES["mod_finetune"].training), **of_segments}
    return {**given, **of_segments}


def _is_whitened(trial, settings):
    return bool(settings.pca_eigenvalues) and "reverse_whitening" in configs.FAMILY_OF[trial.family].model_fields
