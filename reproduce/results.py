"""The results of finished trials: plain files from which every table and figure is computed.

results/NAME.json           scores of each network, also by epoch; cost, command, and configuration
results/NAME.classes.csv    class, num_positives, average_precision of the trial's main network
results/class_names.csv     class and name, if a vocabulary was given
results/timing/FAMILY.json  videos per second of each network, measured side by side
results/encodings/NAME.csv, NAME.json       data for Figure 3: video, class, and position of each encoding
results/frame_choices/NAME.json             which frames of the held-out videos a network reads
"""

import dataclasses
import json
import pathlib
import statistics

import pandas as pd

from reproduce.segment_trials import AnyTrial, SegmentTrial
from reproduce.trials import Trial
from youtube8m_distill import files
from youtube8m_distill.errors import SettingError

FORMAT, READABLE_FORMATS = 2, (1, 2)  # in format 1, the key "trial" is called "cell"
FOLDER, CLASS_NAMES, FRAME_CHOICES = "results", "class_names.csv", "frame_choices"
NETWORK_MEASURES = {"gap_at_20", "mean_average_precision", "num_videos", "multiply_adds"}  # used in tables and figures
REMEDY = "Remove {}. The next training command recreates it. Until then, it counts as not finished."


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished trial.

    Attributes:
        trial: Trial or SegmentTrial.
        networks: dict from role to a dict with `gap_at_20`, `mean_average_precision`, `hit_at_one`, `perr`, `loss`, and
            `num_videos` on the held-out videos, and with `multiply_adds` (per video), `parameters`, `max_frames`, `step`,
            and `epoch`. Of a SegmentTrial, the measures are those of segments, and `map_at_k` and `num_rated` are added.
        history: dict from role to a list of dicts, one per epoch, with `epoch` (from 1) and the same measures on the
            validation videos.
        command: the `yt8m train` command that trains the same network.
        config: dict, the run's `config.json`.
        about: dict with `settings`, a digest of the settings that comparable trials share; `seconds`, from the last start of
            the training to its end; `machine`; `versions`; and `experiment`, the command that trained the trial.
        losses: of a SegmentTrial, dict from loss term to a list of (step, mean since the previous step of the list).
    """

    trial: AnyTrial
    networks: dict
    history: dict
    command: str
    config: dict
    about: dict
    losses: dict = dataclasses.field(default_factory=dict)

    def score(self, measure=None, role=None):
        """A measure of one network on the held-out videos, by default that of the trial and of the main network."""
        return self.networks[role or self.trial.main_role][measure or self.trial.measure]


class Results:
    """All finished trials of a folder.

    Args:
        results: iterable of Result.
        timings: dict from family to the record of `measurements.measure_speed`.
        folder: the results folder, from which more files are read on demand; None for results in memory.
    """

    def __init__(self, results=(), timings=None, folder=None):
        self.by_trial = {result.trial: result for result in results}
        self.timings = timings or {}
        self.folder = folder

    def __iter__(self):
        return iter(self.by_trial.values())

    def __len__(self):
        return len(self.by_trial)

    @property
    def recipe(self) -> str:
        """The recipe of the trials that name none. All of a folder have the same; older ones do not record it."""
        return next((result.config.get("recipe", "default") for result in self if not result.trial.recipe), "default")

    def get(self, trial: AnyTrial) -> Result | None:
        """The Result of a trial, or None if it is not finished."""
        return self.by_trial.get(trial)

    def seeds(self, trial: AnyTrial) -> list[Result]:
        """The Results of all finished seeds of a trial, by seed. The seed of `trial` does not matter."""
        return sorted(
            (result for result in self if result.trial.with_seed(trial.seed) == trial), key=lambda result: result.trial.seed
        )

    def scores(self, trial: AnyTrial, measure=None, role=None) -> list:
        """A measure for each finished seed, by seed; empty if there are none."""
        return [result.score(measure, role) for result in self.seeds(trial)]

    def speeds(self, family: str) -> dict:
        """A dict from k to the median of videos per second over the rounds; empty if nothing was timed."""
        networks = self.timings.get(family, {"networks": []})["networks"]
        return {
            network["k"]: statistics.median(network["videos_per_second"])
            for network in networks
            if network["videos_per_second"]
        }

    def speed_scatter(self, family: str) -> float:
        """The largest ratio of the fastest to the slowest round of one network."""
        return max(
            max(network["videos_per_second"]) / min(network["videos_per_second"])
            for network in self.timings[family]["networks"]
            if network["videos_per_second"]
        )

    def frame_choices(self, trial: AnyTrial) -> list[dict]:
        """The records of `measurements.record_frame_choices`, one for each seed that has one, by seed."""
        folder = (self.folder or pathlib.Path()) / FRAME_CHOICES
        paths = [folder / f"{result.trial.name}.json" for result in self.seeds(trial)] if self.folder else []
        return [read_versioned(path) for path in paths if path.exists()]

    def class_namer(self):
        """A function from class index to name. It uses the vocabulary if one was given."""
        names = read_class_names(self.folder) if self.folder else {}
        return lambda index: names.get(index, f"class {index}")

    def classes(self, trial: AnyTrial) -> pd.DataFrame:
        """DataFrame of class, num_positives, and average_precision of a finished trial.

        Raises:
            ValueError: if the file is missing.
        """
        if self.folder is None:
            raise ValueError("These results have no folder with a file of classes.")
        path = self.folder / f"{trial.name}.classes.csv"
        if not path.exists():
            raise ValueError(f"{path} is missing. {REMEDY.format(path_of(self.folder.parent, trial))}")
        return pd.read_csv(path)


def path_of(folder, trial: AnyTrial) -> pathlib.Path:
    """The path of a trial's result in an experiment's folder."""
    return pathlib.Path(folder) / FOLDER / f"{trial.name}.json"


def write_result(folder, result: Result, classes):
    """Writes a finished trial. The JSON file comes last: if it exists, the result is complete.

    Args:
        folder: the experiment's folder.
        result: Result.
        classes: dict of arrays, as returned by `metrics.Evaluator.per_class`.
    """
    path = path_of(folder, result.trial)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame(classes)[["num_positives", "average_precision"]].rename_axis("class")
    files.write_text(path.with_name(f"{result.trial.name}.classes.csv"), rows.to_csv())
    record = dataclasses.asdict(result)
    if not result.losses:
        del record["losses"]
    write_versioned(path, record)


def read_result(path) -> Result:
    """The Result in a file of format 1 or 2.

    Raises:
        ValueError: with the path, if the file is not a result or contains the result of another trial.
    """
    record, path = read_versioned(path), pathlib.Path(path)
    try:
        result = Result(_read_trial(record.pop("cell" if "cell" in record else "trial")), **record)
        missing = {role: NETWORK_MEASURES - result.networks[role].keys() for role in result.trial.roles}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not a valid result: {error!r}. {REMEDY.format(path)}") from None
    for role, names in missing.items():
        if names:
            raise ValueError(f"{path} lacks {', '.join(sorted(names))} of its {role}. {REMEDY.format(path)}")
    if result.trial.name != path.stem:
        raise ValueError(f"{path} is the result of {result.trial.name}, which does not match its file name. Remove it.")
    return result


def _read_trial(values) -> AnyTrial:
    """The Trial or SegmentTrial with these values."""
    if "network" in values:
        return SegmentTrial(**values)
    return Trial(**{**values, "student_loss": tuple(values["student_loss"])})


def read_results(folder, settings=None) -> Results:
    """The Results in an experiment's folder.

    Args:
        folder: the experiment's folder.
        settings: str, the digest that all results must have; None if they only need to agree with each other.
    Raises:
        ValueError: with the paths, if a file is not a result or if the settings differ.
    """
    folder = pathlib.Path(folder) / FOLDER
    timings = {path.stem: read_versioned(path) for path in sorted((folder / "timing").glob("*.json"))}
    found = [read_result(path) for path in sorted(folder.glob("*.json"))]
    measured = [path for name in ("encodings", FRAME_CHOICES) for path in (folder / name).glob("*.json")]
    by_settings = {read_versioned(path).get("settings"): f"{path.parent.name}/{path.name}" for path in measured}
    by_settings |= {timing.get("settings"): f"timing/{family}.json" for family, timing in timings.items()}
    by_settings |= {result.about.get("settings"): f"{result.trial.name}.json" for result in found}
    if len(by_settings) > 1:
        raise ValueError(
            f"{folder} contains results of different settings or data, among them {' and '.join(by_settings.values())}. "
            "They cannot be compared. Keep the results of one experiment only."
        )
    for other, name in by_settings.items():
        if settings not in (None, other):
            raise SettingError(
                "output_dir",
                f"contains results of other settings or data, among them {name}. They cannot be compared with the trials "
                "of this command. Choose another folder.",
                folder.parent,
            )
    return Results(found, timings, folder)


def write_class_names(folder, names: pd.Series):
    """Writes class names, a Series by class index, next to the results."""
    path = pathlib.Path(folder) / FOLDER / CLASS_NAMES
    path.parent.mkdir(parents=True, exist_ok=True)
    names = names.dropna().map(lambda name: " ".join(str(name).split()))  # each name on one line
    files.write_text(path, names.rename("name").rename_axis("class").to_csv())


def read_class_names(results_folder) -> dict:
    """A dict from class index to name; empty if there is no file."""
    path = pathlib.Path(results_folder) / CLASS_NAMES
    return pd.read_csv(path, index_col="class", keep_default_na=False)["name"].to_dict() if path.exists() else {}


def write_versioned(path: pathlib.Path, record: dict):
    """Writes a dict as JSON, with the version of the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps({"format": FORMAT, **record}, indent=2) + "\n")


def read_versioned(path) -> dict:
    """The dict in a file written by `write_versioned`.

    Raises:
        ValueError: with the path, if the file is invalid or has an unknown format.
    """
    try:
        record = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        found = record.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error!r}. {REMEDY.format(path)}") from None
    if found not in READABLE_FORMATS:
        known = " and ".join(map(str, READABLE_FORMATS))
        raise ValueError(f"{path} has format {found!r}. This version reads formats {known}.")
    return record
