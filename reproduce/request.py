"""What is asked of an experiment: each recipe with its grid; of a folder, what all commands on it have asked together."""

import dataclasses
import functools
import pathlib

from reproduce.grid import Grid
from reproduce.recipes import RECIPES
from reproduce.results import read_versioned, write_versioned
from reproduce.checks import require
from youtube8m_distill.errors import SettingError

REQUEST_FILE = "request.json"
ANEW = "Give the command that trains once more: it notes what it is asked for, and what is finished is not trained again."


@dataclasses.dataclass(frozen=True)
class Request:
    """Recipes, each with its own Grid: what is wanted of one must not move what another shows.

    Attributes:
        grids: dict, key of RECIPES -> Grid, in the order of the report.
    """

    grids: dict

    def __post_init__(self):
        require(self.grids, "no recipe is asked for.")

    def grid_of(self, name):
        """The Grid of a recipe; of one that nobody asked for, that of all that were."""
        return self.grids.get(name) or functools.reduce(_joined, self.grids.values())

    def cells(self):
        """The cells of all recipes with their seeds and teachers, none twice. tuple of Cell."""
        return tuple({cell: None for name, grid in self.grids.items() for cell in grid.cells(RECIPES[name].plan(grid))})


def add_request(folder, request):
    """Notes what a command asks for beside what earlier ones did.

    Args:
        folder: of the experiment.
        request: Request.
    """
    path = pathlib.Path(folder) / REQUEST_FILE
    before = read_request(folder).grids if path.exists() else {}
    wanted = {name: [grids[name] for grids in (before, request.grids) if name in grids] for name in RECIPES}
    together = {name: functools.reduce(_joined, grids) for name, grids in wanted.items() if grids}
    write_versioned(path, {"grids": {name: dataclasses.asdict(grid) for name, grid in together.items()}})


def read_request(folder):
    """The Request of all commands that have trained in a folder.

    Raises:
        FileNotFoundError: if none did.
        ValueError: if the file cannot be read.
    """
    path = pathlib.Path(folder) / REQUEST_FILE
    if not path.exists():
        raise SettingError("output_dir", f"holds no experiment: {REQUEST_FILE} is not there. {ANEW}", folder)
    record = read_versioned(path)
    try:
        return Request(
            {
                name: Grid(
                    **{
                        field: tuple(value) if isinstance(value, list) else value
                        for field, value in record["grids"][name].items()
                    }
                )
                for name in RECIPES
                if name in record["grids"]
            }
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} says not what was asked for: {error!r}. Remove it. {ANEW}") from None


def _joined(grid, other):
    """The Grid of everything that is in either."""

    def either(name):
        return tuple(value for value in getattr(Grid(), name) if value in {*getattr(grid, name), *getattr(other, name)})

    return Grid(
        either("families"),
        either("methods"),
        tuple(sorted({*grid.ks, *other.ks})),
        max(grid.seeds, other.seeds),
        max(grid.other_seeds, other.other_seeds),
    )
