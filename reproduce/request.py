"""The recipes that all commands on an experiment's folder have requested, each with its grid."""

import dataclasses
import functools
import pathlib

from reproduce.grid import Grid
from reproduce.recipes import EVERY_RECIPE
from reproduce.results import read_versioned, write_versioned
from reproduce.segment_trials import AnyTrial
from youtube8m_distill.errors import SettingError

REQUEST_FILE = "request.json"
REMEDY = "Run the training command again. It writes the file, and finished trials are not repeated."


@dataclasses.dataclass(frozen=True)
class Request:
    """Recipes, each with its own Grid, so that options given for one recipe do not change another.

    Attributes:
        grids: dict, key of EVERY_RECIPE -> Grid, in the order of the report.
    """

    grids: dict[str, Grid]

    def __post_init__(self):
        if not self.grids:
            raise ValueError("no recipe was requested")

    def grid_of(self, name: str) -> Grid:
        """The Grid of a recipe; for a recipe that was not requested, the union of all grids."""
        return self.grids.get(name) or functools.reduce(_union, self.grids.values())

    def trials(self) -> tuple[AnyTrial, ...]:
        """The trials of all recipes, with all seeds and prerequisites, without duplicates."""
        plans = {name: EVERY_RECIPE[name].plan(grid) for name, grid in self.grids.items()}
        return tuple({trial: None for name, grid in self.grids.items() for trial in grid.trials(plans[name])})


def add_request(folder, request: Request):
    """Adds a request to those recorded in the experiment's folder."""
    path = pathlib.Path(folder) / REQUEST_FILE
    before = read_request(folder).grids if path.exists() else {}
    requested = {name: [grids[name] for grids in (before, request.grids) if name in grids] for name in EVERY_RECIPE}
    combined = {name: functools.reduce(_union, grids) for name, grids in requested.items() if grids}
    write_versioned(path, {"grids": {name: grid.to_dict() for name, grid in combined.items()}})


def read_request(folder) -> Request:
    """The combined Request of all training commands on a folder.

    Raises:
        SettingError: if there were none.
        ValueError: if the file is invalid.
    """
    path = pathlib.Path(folder) / REQUEST_FILE
    if not path.exists():
        raise SettingError("output_dir", f"contains no experiment: {REQUEST_FILE} is missing. {REMEDY}", folder)
    grids = read_versioned(path).get("grids", {})
    try:
        return Request({name: Grid(**grids[name]) for name in EVERY_RECIPE if name in grids})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a valid request: {error}. Remove it. {REMEDY}") from None


def _union(grid: Grid, other: Grid) -> Grid:
    """The smallest Grid that contains both. Of the skips, those of `other` apply."""

    def either(name):
        return tuple(value for value in getattr(Grid(), name) if value in {*getattr(grid, name), *getattr(other, name)})

    return Grid(
        families=either("families"),
        methods=either("methods"),
        ks=tuple(sorted({*grid.ks, *other.ks})),
        skip_actions=other.skip_actions,
        student_recipes=tuple(dict.fromkeys((*grid.student_recipes, *other.student_recipes))),
        seeds=max(grid.seeds, other.seeds),
        other_seeds=max(grid.other_seeds, other.other_seeds),
    )
