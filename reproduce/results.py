"""What is known of finished cells: plain files, one set a cell, from which every table and figure is made again.

results/NAME.json           scores of each network, its course by epoch, cost, command and configuration
results/NAME.classes.csv    class, num_positives, average_precision of the network that the cell is about
results/class_names.csv     class, name, where a vocabulary was given
results/timing/FAMILY.json  videos a second of each network, measured one beside the other
results/encodings/NAME.csv, NAME.json       Figure 3: video, class and place in the plane of each encoding
"""

import dataclasses
import json
import pathlib
import statistics

import pandas as pd

from reproduce.cells import Cell
from youtube8m_distill import files
from youtube8m_distill.errors import SettingError

FORMAT = 1
FOLDER, CLASS_NAMES = "results", "class_names.csv"
NETWORK_MEASURES = {"gap_at_20", "mean_average_precision", "num_videos", "multiply_adds"}  # that tables and figures show
REMEDY = "Remove {}: what it should hold is then made again, or shown as not finished."


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished cell.

    Attributes:
        cell: Cell.
        networks: dict role -> dict of `gap_at_20`, `mean_average_precision`, `hit_at_one`, `perr`, `loss`, `num_videos`
            on the held-out videos, and `multiply_adds` (a video), `parameters`, `max_frames`, `step`, `epoch`.
        history: dict role -> list of dicts by epoch: `epoch` (1 ...) and the same measures on the validation videos.
        command: the train.py command that trains the same network.
        config: dict, the run's `config.json`.
        about: dict of what else is of interest: `settings`, a digest of what all cells of a comparison must share; `seconds`
            from the last start of the training to its end; `machine`, `versions`.
    """

    cell: Cell
    networks: dict
    history: dict
    command: str
    config: dict
    about: dict

    def score(self, measure="gap_at_20", role=None):
        """A measure of one network on the held-out videos; by default of the one that the cell is about."""
        return self.networks[role or self.cell.main_role][measure]


class Results:
    """All finished cells of a folder.

    Args:
        results: iterable of Result.
        timings: dict family -> what `measurements.measure_speed` has found.
        folder: where they were read, for what is read when asked for; None for results made up in memory.
    """

    def __init__(self, results=(), timings=None, folder=None):
        self.by_cell = {result.cell: result for result in results}
        self.timings = timings or {}
        self.folder = folder

    def __iter__(self):
        return iter(self.by_cell.values())

    def __len__(self):
        return len(self.by_cell)

    def get(self, cell):
        """The Result of a cell, or None where it is not finished."""
        return self.by_cell.get(cell)

    def seeds(self, cell):
        """The Results of a cell under all seeds that are finished, by seed. `cell`: with any seed."""
        return sorted(
            (result for result in self if result.cell.with_seed(cell.seed) == cell), key=lambda result: result.cell.seed
        )

    def scores(self, cell, measure="gap_at_20", role=None):
        """A measure under all seeds that are finished; a list, empty where none is."""
        return [result.score(measure, role) for result in self.seeds(cell)]

    def speeds(self, family):
        """dict k -> videos a second, the median of the rounds; empty where nothing was timed."""
        networks = self.timings.get(family, {"networks": []})["networks"]
        return {
            network["k"]: statistics.median(network["videos_per_second"])
            for network in networks
            if network["videos_per_second"]
        }

    def speed_scatter(self, family):
        """How many times as fast as its slowest round a network's fastest was, of the one where that is the most; float."""
        return max(
            max(network["videos_per_second"]) / min(network["videos_per_second"])
            for network in self.timings[family]["networks"]
            if network["videos_per_second"]
        )

    def class_namer(self):
        """Function class -> name: that of the vocabulary, where one was given."""
        names = read_class_names(self.folder) if self.folder else {}
        return lambda index: names.get(index, f"class {index}")

    def classes(self, cell):
        """pandas.DataFrame of class, num_positives, average_precision of a finished cell.

        Raises:
            ValueError: if they are not there.
        """
        path = self.folder / f"{cell.name}.classes.csv"
        if not path.exists():
            raise ValueError(f"{path} is missing. {REMEDY.format(path_of(self.folder.parent, cell))}")
        return pd.read_csv(path)


def path_of(folder, cell):
    """Where a cell's result is, in the folder of an experiment."""
    return pathlib.Path(folder) / FOLDER / f"{cell.name}.json"


def write_result(folder, result, classes):
    """Writes a finished cell; the JSON last, so that a cell with one has everything.

    Args:
        folder: of the experiment.
        result: Result.
        classes: dict of arrays, as `metrics.Evaluator.per_class` gives them.
    """
    path = path_of(folder, result.cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame(classes)[["num_positives", "average_precision"]].rename_axis("class")
    files.write_text(path.with_name(f"{result.cell.name}.classes.csv"), rows.to_csv())
    write_versioned(path, dataclasses.asdict(result))


def read_result(path):
    """The Result in a file.

    Raises:
        ValueError: if it is no result, one of another cell or one of another version, naming it.
    """
    record, path = read_versioned(path), pathlib.Path(path)
    try:
        cell = {**record.pop("cell")}
        cell["student_loss"] = tuple(cell["student_loss"])
        result = Result(Cell(**cell), **record)
        missing = {role: NETWORK_MEASURES - result.networks[role].keys() for role in result.cell.roles}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not a result of ours: {error!r}. {REMEDY.format(path)}") from None
    for role, names in missing.items():
        if names:
            raise ValueError(f"{path} lacks {', '.join(sorted(names))} of its {role}. {REMEDY.format(path)}")
    if result.cell.name != path.stem:
        raise ValueError(f"{path} is the result of {result.cell.name}, and not of what its name says. Remove it.")
    return result


def read_results(folder, settings=None):
    """The Results in the folder of an experiment.

    Args:
        folder: of the experiment.
        settings: str, the digest that all must have; None where they need only have the same.
    Raises:
        ValueError: if a file among them is no result, or if they are of different settings, naming files.
    """
    folder = pathlib.Path(folder) / FOLDER
    timings = {path.stem: read_versioned(path) for path in sorted((folder / "timing").glob("*.json"))}
    found = [read_result(path) for path in sorted(folder.glob("*.json"))]
    by_settings = {read_versioned(path).get("settings"): path.name for path in (folder / "encodings").glob("*.json")}
    by_settings |= {timing.get("settings"): f"timing/{family}.json" for family, timing in timings.items()}
    by_settings |= {result.about.get("settings"): f"{result.cell.name}.json" for result in found}
    if len(by_settings) > 1:
        raise ValueError(
            f"{folder} holds results of different settings or data, among them "
            f"{' and '.join(by_settings.values())}: they cannot be compared. Keep those of one experiment."
        )
    for theirs, name in by_settings.items():
        if settings not in (None, theirs):
            raise SettingError(
                "output_dir",
                f"holds results of other settings or data, among them {name}: they "
                "cannot be compared with what these flags train. Name another folder.",
                folder.parent,
            )
    return Results(found, timings, folder)


def write_class_names(folder, names):
    """Keeps the names of classes with the results. `names`: pandas.Series by class."""
    path = pathlib.Path(folder) / FOLDER / CLASS_NAMES
    path.parent.mkdir(parents=True, exist_ok=True)
    names = names.dropna().map(lambda name: " ".join(str(name).split()))  # on one line, wherever they are shown
    files.write_text(path, names.rename("name").rename_axis("class").to_csv())


def read_class_names(results_folder):
    """dict class -> name."""
    path = pathlib.Path(results_folder) / CLASS_NAMES
    return pd.read_csv(path, index_col="class", keep_default_na=False)["name"].to_dict() if path.exists() else {}


def write_versioned(path, record):
    """Writes a dict as JSON with the version of its format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, json.dumps({"format": FORMAT, **record}, indent=2) + "\n")


def read_versioned(path):
    """The dict that `write_versioned` wrote.

    Raises:
        ValueError: if it is none, or one of another version, naming the file.
    """
    try:
        record = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        found = record.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} cannot be read as a result: {error!r}. {REMEDY.format(path)}") from None
    if found != FORMAT:
        raise ValueError(f"{path} has format {found!r}; this version reads format {FORMAT}.")
    return record
