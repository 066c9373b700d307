"""The settings that all trials of an experiment share, and the run configuration and command of each trial."""

import contextlib
import hashlib
import json
import os
import pathlib
import shlex
import tempfile

from reproduce.results import FORMAT, read_versioned, write_versioned
from reproduce.segment_trials import AnyTrial
from reproduce.trials import BASELINES, HRNN, SKIP_NETWORK, SKIPFRAME, STUDENTS, Trial
from youtube8m_distill import config as configs
from youtube8m_distill import files, schema
from youtube8m_distill.errors import written
from youtube8m_distill.manifest import Manifest
from youtube8m_distill.settings import Settings, fields_with, setting

SETTINGS_FILE = "settings.json"
RUNS, TARGETS = "runs", "targets"
BLOCK = "frames_per_block"
EVERY_FRAME = "1-2"  # --skip_actions of a SkipFrameModel that reads each frame that it is given


class ExperimentSettings(Settings):
    """Data, sizes, and schedule of all trials. No video may be in two of the three sets of files.

    Fields marked `may_change` may have other values when an experiment is resumed. They locate or describe files, and no
    result depends on them.
    """

    train_data_pattern: str = setting(..., "Globs of the training files.", may_change=True)
    validation_data_pattern: str = setting(..., "Globs of the files that select the best epoch.", may_change=True)
    eval_data_pattern: str = setting(..., "Globs of the held-out files.", may_change=True)
    features: configs.FeatureConfig = setting(configs.FeatureConfig(), "What the files store.")
    num_classes: int = setting(schema.NUM_CLASSES, "Classes of the data set.")
    network: dict = setting({}, "Network settings that differ from the published ones. Each family uses those that it has.")
    training: dict = setting(
        {},
        "TrainingConfig values that differ from the published ones. `base_learning_rate` is for H-RNN; other families "
        "scale it by their published ratio.",
    )
    same_steps: bool = setting(
        False, "Whether trials on a fraction of the videos train for as many steps as trials on all videos."
    )
    exclude_records: str = setting("", "CSV of records to skip, as `yt8m check` writes it.", may_change=True)
    pca_eigenvalues: str = setting("", "File for the reverse whitening of NeXtVLAD.", may_change=True)
    store_targets: bool = setting(True, "Whether a teacher's targets are stored for all its students.", may_change=True)
    recipe: configs.RecipeName = setting("default", "Named set of values that all trials start from, as of `yt8m train`.")
    about_data: str = setting("", "A sentence that describes the data, for the report.", may_change=True)
    fingerprints: dict = setting({}, "Fingerprint of the files of each pattern and of `pca_eigenvalues`.")

    def to_dict(self):
        """The settings as JSON knows them, without the default recipe, which older folders do not have."""
        return {name: value for name, value in super().to_dict().items() if (name, value) != ("recipe", "default")}


def read_settings(folder) -> dict | None:
    """The settings recorded in an experiment's folder; None if there are none."""
    path = pathlib.Path(folder) / SETTINGS_FILE
    return read_versioned(path) if path.exists() else None


def check_settings(settings: ExperimentSettings, folder):
    """Refuses an experiment's folder that was started with other settings.

    Raises:
        SettingError: about output_dir, if the settings differ.
    """
    path = pathlib.Path(folder) / SETTINGS_FILE
    if path.exists():
        Manifest(
            path,
            {"format": FORMAT, **settings.to_dict()},
            flag="output_dir",
            what="an experiment",
            may_change=("format", *fields_with(type(settings), may_change=True)),
        ).check()


def write_settings(settings: ExperimentSettings, folder):
    """Records the settings in an experiment's folder. If two commands start at once, the first one's settings apply.

    Raises:
        SettingError: as in `check_settings`.
    """
    path, values = pathlib.Path(folder) / SETTINGS_FILE, settings.to_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, suffix=files.SUFFIX) as scratch:
        write_versioned(pathlib.Path(scratch) / SETTINGS_FILE, values)
        with contextlib.suppress(FileExistsError):
            os.link(pathlib.Path(scratch) / SETTINGS_FILE, path)
    check_settings(settings, folder)
    about_data = settings.about_data or (read_settings(folder) or {}).get("about_data", "")
    write_versioned(path, {**values, "about_data": about_data})  # the fields that may change


def digest(settings: ExperimentSettings) -> str:
    """A digest of the settings that may not change. Results are comparable only if their digests are equal."""
    may_change = fields_with(type(settings), may_change=True)
    values = {name: value for name, value in settings.to_dict().items() if name not in may_change}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def run_folder(folder, trial: AnyTrial) -> pathlib.Path:
    """The run folder of a trial in an experiment's folder."""
    return pathlib.Path(folder) / RUNS / trial.name


def run_config(trial: Trial, settings: ExperimentSettings, folder) -> configs.RunConfig:
    """The RunConfig of a trial, equal to the one that `yt8m train` builds from `command`.

    Args:
        trial: Trial.
        settings: ExperimentSettings.
        folder: the experiment's folder.
    """
    recipe = _recipe(trial, settings)
    options = {
        **configs.FAMILY_OF[trial.family].training,
        **plain(recipe.training),
        **_given_training(trial, settings),
        "train_fraction": trial.train_fraction,
    }
    if trial.method in STUDENTS:
        networks = {
            schema.TEACHER: _network(trial, settings, configs.FrameView()),
            schema.STUDENT: _student_network(trial, settings),
        }
        distillation = configs.DistillationConfig(
            **plain(recipe.of_distillation(trial.student_loss, configs.TrainingConfig(**options).batch_size))
            | {"student_loss": trial.student_loss, "match_intermediate": trial.match_intermediate}
        )
    else:
        networks, distillation = {schema.TEACHER: _network(trial, settings, _view(trial))}, None
    whitened = _is_whitened(trial, settings) and trial.method != "serial"
    return configs.RunConfig(
        mode=trial.method if trial.method in STUDENTS else "teacher",
        networks=networks,
        training=configs.TrainingConfig(**options),
        distillation=distillation,
        recipe=_recipe_name(trial, settings),
        train_data_pattern=settings.train_data_pattern,
        validation_data_pattern=settings.validation_data_pattern,
        exclude_records=settings.exclude_records,
        teacher_dir=str(run_folder(folder, trial.teacher)) if trial.teacher else "",
        pca_eigenvalues=settings.pca_eigenvalues if whitened else "",
        teacher_targets_dir=_targets_dir(trial, settings, folder),
    )


def command(trial: Trial, settings: ExperimentSettings, folder) -> str:
    """The `yt8m train` command that trains the same network with the same seed."""
    config = run_config(trial, settings, folder)
    view = config.networks[config.main_role].view
    values = {
        "mode": config.mode,
        "train_dir": run_folder(folder, trial),
        "train_data_pattern": settings.train_data_pattern,
        "validation_data_pattern": settings.validation_data_pattern,
        "exclude_records": settings.exclude_records,
        "teacher_dir": config.teacher_dir,
        "teacher_targets_dir": config.teacher_targets_dir,
        "pca_eigenvalues": config.pca_eigenvalues,
    }
    if config.recipe != "default":
        values["recipe"] = config.recipe
    if config.mode != "serial":  # a serial student takes the network settings from its teacher
        values |= {
            "model": trial.family,
            "num_classes": settings.num_classes,
            **feature_flags(settings.features),
            **_family_settings(trial, settings),
        }
    if trial.k and trial.method != SKIPFRAME and view:
        values |= {"frame_selection": view.frame_selection, "frames_per_video": view.frames_per_video}
    if config.distillation:
        values["student_loss"] = ",".join(trial.student_loss)
    if trial.train_fraction != 1.0:
        values["train_fraction"] = trial.train_fraction
    values |= _given_training(trial, settings)
    switches = ["--match_intermediate"] if trial.match_intermediate else []
    switches += [f"--{name}={written(value)}" for name, value in values.items() if value != ""]
    return f"yt8m train {shlex.join(switches)}"


def _recipe_name(trial, settings) -> configs.RecipeName:
    return trial.recipe or settings.recipe


def _recipe(trial, settings):
    return configs.RECIPES[_recipe_name(trial, settings)]


def _given_training(trial, settings):
    """The training settings of a trial that differ from its family's recipe."""
    given = {**settings.training, "max_to_keep": 1, "seed": trial.seed}
    recipe = configs.FAMILY_OF[trial.family].training
    if "base_learning_rate" in given:
        published, of_hrnn = (
            configs.TrainingConfig(**values).base_learning_rate for values in (recipe, configs.FAMILY_OF[HRNN].training)
        )
        given["base_learning_rate"] *= published / of_hrnn
    if settings.same_steps and trial.train_fraction != 1.0:
        training = configs.TrainingConfig(**{**recipe, **plain(_recipe(trial, settings).training), **given})
        given |= {name: round(getattr(training, name) / trial.train_fraction) for name in ("num_epochs", "finetune_epochs")}
    in_two_stages = trial.method == "serial" and set(trial.student_loss) <= set(configs.ENCODING_LOSSES)
    if not in_two_stages:
        given.pop("finetune_epochs", None)
    return given


def _view(trial):
    if trial.k is None or trial.method == SKIPFRAME:
        return configs.FrameView()
    return configs.FrameView(
        frame_selection=trial.method if trial.method in BASELINES else "uniform", frames_per_video=trial.k
    )


def _family_settings(trial, settings):
    """The network settings that a trial's family has, and those that the trial sets."""
    known = configs.network_config(trial.family).settings()
    given = {name: value for name, value in settings.network.items() if name in known}
    if trial.method == SKIPFRAME:
        given |= {"skip_budget": trial.k, "skip_reward": trial.reward, "skip_actions": trial.actions}
    elif trial.family == SKIP_NETWORK:
        given |= {"skip_budget": trial.k, "skip_actions": EVERY_FRAME}
    return given


def _is_whitened(trial, settings):
    return bool(settings.pca_eigenvalues) and "reverse_whitening" in configs.FAMILY_OF[trial.family].model_fields


def _network(trial, settings, view):
    options = {**plain(configs.RECIPES[settings.recipe].of_network(trial.family, view)), **_family_settings(trial, settings)}
    classifier = options.pop("video_level_classifier_model", None)
    if _is_whitened(trial, settings):
        options["reverse_whitening"] = True
    return configs.network_config(trial.family, settings.num_classes, settings.features, view, classifier, **options)


def _student_network(trial, settings):
    """The network of a student: its teacher's settings for its own frames; the block length is that of its recipe."""
    network = _network(trial, settings, _view(trial))
    if not trial.recipe or BLOCK not in network.settings():
        return network
    blocks = configs.RECIPES[trial.recipe].of_network(trial.family, network.view).get(BLOCK)
    return network.replace(**{BLOCK: blocks and blocks.value})


def plain(values):
    """The values of a recipe without their sources."""
    return {name: value.value for name, value in values.items()}


def _targets_dir(trial, settings, folder):
    """The folder of stored targets; "" without them. On a fraction of the videos, a teacher has only one student."""
    stored = settings.store_targets and trial.teacher and not trial.match_intermediate and trial.train_fraction == 1.0
    stored = stored and not trial.is_control  # which needs no targets
    return str(pathlib.Path(folder) / TARGETS / trial.teacher.name) if stored else ""


def feature_flags(features):
    if features.names == schema.FRAME_FEATURES and features.sizes == configs.FeatureConfig().sizes:
        return {}
    return {"feature_names": ",".join(features.names), "feature_sizes": ",".join(map(str, features.sizes))}
