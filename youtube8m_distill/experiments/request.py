"""What the commands on an experiment's folder have asked for together: what its report shows."""

import dataclasses
import pathlib

from youtube8m_distill.experiments.grid import Grid
from youtube8m_distill.experiments.recipes import RECIPES
from youtube8m_distill.experiments.results import read_versioned, write_versioned

REQUEST_FILE = "request.json"


def add_request(folder, names, grid):
    """Notes what a command asks for beside what earlier ones did, and gives all of it.

    Args:
        folder: of the experiment.
        names: list of str, recipes.
        grid: Grid.
    Returns:
        list of str and Grid.
    """
    path = pathlib.Path(folder) / REQUEST_FILE
    if path.exists():
        before, earlier = read_request(folder)
        names, grid = [name for name in RECIPES if name in {*names, *before}], _joined(earlier, grid)
    write_versioned(path, {"names": names, "grid": dataclasses.asdict(grid)})
    return names, grid


def read_request(folder):
    """Names of recipes and Grid of all commands that have trained in a folder.

    Raises:
        FileNotFoundError: if none did.
        ValueError: if the file cannot be read.
    """
    path = pathlib.Path(folder) / REQUEST_FILE
    if not path.exists():
        raise FileNotFoundError(f"output_dir={folder} holds no experiment: {REQUEST_FILE} is not there.")
    request = read_versioned(path)
    return request["names"], Grid(**{name: tuple(value) if isinstance(value, list) else value
                                     for name, value in request["grid"].items()})


def _joined(grid, other):
    """The Grid of everything that is in either."""
    def either(name):
        return tuple(value for value in getattr(Grid(), name) if value in {*getattr(grid, name), *getattr(other, name)})

    return Grid(either("families"), either("methods"), tuple(sorted({*grid.ks, *other.ks})), max(grid.seeds, other.seeds),
                max(grid.other_seeds, other.other_seeds))
