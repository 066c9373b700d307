"""Which cells are to be done: the cuts through a recipe, and the part of one machine."""

import dataclasses

from reproduce.cells import ALL_LOSSES, HRNN, METHODS, NETVLAD, NEXTVLAD, SKYLINE
from youtube8m_distill import schema
from reproduce.checks import check_types, no_repeats, one_of, require, within

PAPER_KS = (6, 10, 15, 20, 30)
FAMILIES = (HRNN, NETVLAD, NEXTVLAD)


@dataclasses.dataclass(frozen=True)
class Grid:
    """How much of the papers' experiments is run.

    Attributes:
        families: those of FAMILIES that are wanted.
        methods: rows that are wanted, of cells.METHODS.
        ks: frames a student sees, rising.
        seeds: how many seeds H-RNN's Skyline, Uniform-k and serial student of all three losses have, on all videos.
        other_seeds: how many all others have.
    """

    families: tuple[str, ...] = FAMILIES
    methods: tuple[str, ...] = METHODS
    ks: tuple[int, ...] = PAPER_KS
    seeds: int = 1
    other_seeds: int = 1

    def __post_init__(self):
        check_types(self)
        for name, known in (("families", FAMILIES), ("methods", METHODS)):
            require(getattr(self, name), f"{name} is empty; name at least one of {', '.join(known)}.")
            no_repeats(name, getattr(self, name))
            for value in getattr(self, name):
                one_of(name, value, known)
        require(
            self.ks and all(1 <= k <= schema.MAX_FRAMES for k in self.ks) and list(self.ks) == sorted(set(self.ks)),
            f"ks={','.join(map(str, self.ks))}: give whole numbers of 1 to {schema.MAX_FRAMES}, rising.",
        )
        within(1, 100, self, "seeds", "other_seeds")

    def num_seeds(self, cell):
        """How many seeds a cell has. `cell`: with any seed."""
        main = cell.method in (SKYLINE, "uniform") or (
            cell.method == "serial" and cell.student_loss == ALL_LOSSES and not cell.match_intermediate
        )
        return self.seeds if main and cell.family == HRNN and cell.train_fraction == 1.0 else self.other_seeds

    def k_of(self, wanted):
        """The k among `ks` that is nearest to the paper's, for what the paper shows at one k."""
        return min(self.ks, key=lambda k: (abs(k - wanted), k))

    def wants(self, cell):
        """Whether a cell is inside the cuts."""
        return cell.family in self.families and cell.method in self.methods and (cell.k is None or cell.k in self.ks)

    def cells(self, plan):
        """The cells of a plan under all their seeds, the teachers that they need before them, none twice.

        Args:
            plan: iterable of Cells with seed 0.
        Returns:
            tuple of Cell.
        """
        wanted = [cell.with_seed(seed) for cell in plan if self.wants(cell) for seed in range(self.num_seeds(cell))]
        found = {}
        for cell in wanted:
            if cell.teacher is not None:
                found[cell.teacher] = None
            found[cell] = None
        return tuple(found)
