"""What all cells of an experiment share, and the run that a cell becomes: configuration and command."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shlex
import tempfile

from reproduce.cells import BASELINES, HRNN, STUDENTS
from reproduce.results import FORMAT, read_versioned, write_versioned
from youtube8m_distill import config as configs
from youtube8m_distill import files, schema
from youtube8m_distill.manifest import Manifest

SETTINGS_FILE = "settings.json"
RUNS, TARGETS = "runs", "targets"

# What an experiment may be gone on with other values of: where its files are, and how the same numbers are come by.
MAY_CHANGE = (
    "train_data_pattern",
    "validation_data_pattern",
    "eval_data_pattern",
    "pca_eigenvalues",
    "store_targets",
    "about_data",
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Data, sizes and schedule of all cells.

    Attributes:
        train_data_pattern, validation_data_pattern, eval_data_pattern: globs of the files to train on, to choose the best
            epoch by, and to score on. No video may be in two of them.
        features: FeatureConfig.
        num_classes: int.
        network: dict, NetworkConfig field -> value, where it is not the published one; each family takes what it has.
        training: dict, TrainingConfig field -> value, likewise. A `base_learning_rate` is the H-RNN's; other families take
            it in the proportion in which they were published.
        same_steps: bool, whether cells of a share of the training videos train for as many steps as those of all, in more
            epochs; else they train for as many epochs.
        pca_eigenvalues: file for NeXtVLAD's reverse whitening, or "".
        store_targets: bool, whether teachers' targets are computed once for all their students.
        about_data: a sentence on what the data are, for the head of the report.
        fingerprints: dict, name of a pattern, or `pca_eigenvalues`, -> fingerprint of its files.
    """

    train_data_pattern: str
    validation_data_pattern: str
    eval_data_pattern: str
    features: configs.FeatureConfig = configs.FeatureConfig()
    num_classes: int = schema.NUM_CLASSES
    network: dict = dataclasses.field(default_factory=dict)
    training: dict = dataclasses.field(default_factory=dict)
    same_steps: bool = False
    pca_eigenvalues: str = ""
    store_targets: bool = True
    about_data: str = ""
    fingerprints: dict = dataclasses.field(default_factory=dict)


def read_settings(folder):
    """What `keep_settings` has noted in an experiment's folder, as a dict; None where nothing is."""
    path = pathlib.Path(folder) / SETTINGS_FILE
    return read_versioned(path) if path.exists() else None


def check_settings(settings, folder):
    """Sees that an experiment's folder is new or was begun with these settings.

    Raises:
        ValueError: beginning with output_dir, if the folder has results of other settings.
    """
    path = pathlib.Path(folder) / SETTINGS_FILE
    if path.exists():
        Manifest(
            path, {"format": FORMAT, **_as_json(settings)}, flag="output_dir", what="an experiment", may_change=MAY_CHANGE
        ).check()


def keep_settings(settings, folder):
    """Notes the settings in an experiment's folder. Of two commands that begin one at once, the first one's count.

    Raises:
        ValueError: as of `check_settings`.
    """
    path, ours = pathlib.Path(folder) / SETTINGS_FILE, _as_json(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, suffix=files.SUFFIX) as scratch:
        write_versioned(pathlib.Path(scratch) / SETTINGS_FILE, ours)
        with contextlib.suppress(FileExistsError):
            os.link(pathlib.Path(scratch) / SETTINGS_FILE, path)
    check_settings(settings, folder)
    about_data = settings.about_data or read_settings(folder)["about_data"]
    write_versioned(path, {**ours, "about_data": about_data})  # with what may change


def digest(settings):
    """Tells results that can be compared from others: the same for all settings that are the same but for MAY_CHANGE."""
    values = {name: value for name, value in _as_json(settings).items() if name not in MAY_CHANGE}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _as_json(settings):
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return json.loads(json.dumps({**values, "features": settings.features.to_dict()}))


def run_folder(folder, cell):
    """Where a cell is trained, in the folder of an experiment."""
    return pathlib.Path(folder) / RUNS / cell.name


def run_config(cell, settings, folder):
    """The RunConfig that trains a cell; the one that `command` gives train.py.

    Args:
        cell: Cell.
        settings: Settings.
        folder: of the experiment.
    """
    all_frames, few_frames = configs.FrameView(), _frames(cell)
    if cell.method in STUDENTS:
        networks = {
            schema.TEACHER: _network(cell, settings, all_frames),
            schema.STUDENT: _network(cell, settings, few_frames),
        }
        distillation = configs.DistillationConfig(cell.student_loss, match_intermediate=cell.match_intermediate)
    else:
        networks, distillation = {schema.TEACHER: _network(cell, settings, few_frames)}, None
    options = {
        **configs.FAMILY_OF[cell.family].training,
        **_given_training(cell, settings),
        "train_fraction": cell.train_fraction,
    }
    return configs.RunConfig(
        _mode(cell),
        networks,
        configs.TrainingConfig(**options),
        distillation,
        settings.train_data_pattern,
        settings.validation_data_pattern,
        teacher_dir=_teacher_dir(cell, folder),
        pca_eigenvalues=settings.pca_eigenvalues if _whitened(cell, settings) and _mode(cell) != "serial" else "",
        teacher_targets_dir=_targets_dir(cell, settings, folder),
    )


def command(cell, settings, folder):
    """The train.py command line that trains the same network from the same seed, for a shell. str."""
    config = run_config(cell, settings, folder)
    frames = config.networks[config.main_role].view
    values = {
        "mode": config.mode,
        "train_dir": run_folder(folder, cell),
        "train_data_pattern": settings.train_data_pattern,
        "validation_data_pattern": settings.validation_data_pattern,
        "teacher_dir": config.teacher_dir,
        "teacher_targets_dir": config.teacher_targets_dir,
        "pca_eigenvalues": config.pca_eigenvalues,
    }
    if config.mode != "serial":  # a serial student takes over its teacher's network
        values |= {
            "model": cell.family,
            "num_classes": settings.num_classes,
            **_feature_flags(settings.features),
            **_of_family(cell, settings),
        }
    if cell.k:
        values |= {"frame_selection": frames.frame_selection, "frames_per_video": frames.frames_per_video}
    if config.distillation:
        values["student_loss"] = ",".join(cell.student_loss)
    if cell.train_fraction != 1.0:
        values["train_fraction"] = cell.train_fraction
    training = _given_training(cell, settings)
    switches = ["--match_intermediate"] if cell.match_intermediate else []
    switches += [f"--{name}={_shown(value)}" for name, value in {**values, **training}.items() if value != ""]
    return f"python train.py {shlex.join(switches)}"


def _given_training(cell, settings):
    """What a cell's training has that is not its family's recipe."""
    given = {**settings.training, "max_to_keep": 1, "seed": cell.seed}
    if "base_learning_rate" in given:
        published, of_hrnn = (
            configs.TrainingConfig(**configs.FAMILY_OF[family].training).base_learning_rate for family in (cell.family, HRNN)
        )
        given["base_learning_rate"] *= published / of_hrnn
    if settings.same_steps and cell.train_fraction != 1.0:
        recipe = configs.TrainingConfig(**{**configs.FAMILY_OF[cell.family].training, **given})
        given |= {name: round(getattr(recipe, name) / cell.train_fraction) for name in ("num_epochs", "finetune_epochs")}
    if not (cell.method == "serial" and cell.student_loss == ("rep",)):  # the only training in two stages
        given.pop("finetune_epochs", None)
    return given


def _mode(cell):
    return cell.method if cell.method in STUDENTS else "teacher"


def _frames(cell):
    if cell.k is None:
        return configs.FrameView()
    return configs.FrameView(cell.method if cell.method in BASELINES else "uniform", cell.k)


def _of_family(cell, settings):
    """Those of the given network settings that a family has."""
    known = configs.network_config(cell.family).settings()
    return {name: value for name, value in settings.network.items() if name in known}


def _whitened(cell, settings):
    return bool(settings.pca_eigenvalues) and "reverse_whitening" in configs.FAMILY_OF[cell.family].model_fields


def _network(cell, settings, frames):
    options = _of_family(cell, settings)
    if _whitened(cell, settings):
        options["reverse_whitening"] = True
    return configs.network_config(cell.family, settings.num_classes, settings.features, frames, **options)


def _teacher_dir(cell, folder):
    return str(run_folder(folder, cell.teacher)) if cell.teacher else ""


def _targets_dir(cell, settings, folder):
    """Stored targets where several students have the teacher: those of a part of the videos have it for themselves."""
    stored = settings.store_targets and cell.teacher and not cell.match_intermediate and cell.train_fraction == 1.0
    return str(pathlib.Path(folder) / TARGETS / cell.teacher.name) if stored else ""


def _feature_flags(features):
    if features.names == schema.FRAME_FEATURES and features.sizes == configs.FeatureConfig().sizes:
        return {}
    return {"feature_names": ",".join(features.names), "feature_sizes": ",".join(map(str, features.sizes))}


def _shown(value):
    return str(value).lower() if isinstance(value, bool) else value
