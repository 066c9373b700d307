"""Cells: the single trainings that the papers' tables and figures are made of."""

import dataclasses

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from reproduce.checks import one_of, require

SKYLINE = "skyline"  # the teacher: all frames, no teacher of its own
BASELINES = ("uniform", "random", "first", "middle", "last", "first_middle_last")  # k frames, no teacher
STUDENTS = ("parallel", "serial")  # k frames, evenly spaced, and a teacher
METHODS = (SKYLINE, *BASELINES, *STUDENTS)

HRNN, NETVLAD, NEXTVLAD = "HierarchicalLstmModel", "NetVLADModelLF", "NeXtVLADModel"
ALL_LOSSES = configs.STUDENT_LOSSES  # rep, pred, ce


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One training: what it is, apart from sizes and schedule, which all cells of a grid share.

    Attributes:
        family: a value of --model.
        method: one of METHODS.
        k: frames that the network, or the student, sees; None for all.
        student_loss: tuple of terms, in the order of config.STUDENT_LOSSES; empty where there is no student.
        match_intermediate: bool, whether L_rep^I is added.
        train_fraction: share of the training videos.
        seed: int.
    """

    family: str
    method: str
    k: int | None = None
    student_loss: tuple[str, ...] = ()
    match_intermediate: bool = False
    train_fraction: float = 1.0
    seed: int = 0

    def __post_init__(self):
        one_of("method", self.method, METHODS)
        require(
            (self.k is None) == (self.method == SKYLINE),
            f"k={self.k} with method={self.method}: all but the Skyline have one.",
        )
        require(
            bool(self.student_loss) == (self.method in STUDENTS),
            f"student_loss={self.student_loss} with method={self.method}: students have one, and only they.",
        )

    @property
    def name(self):
        """Names of files and folders of this cell; no two cells have the same."""
        parts = [self.family, self.method]
        parts += [f"k{self.k}"] if self.k else []
        parts += ["+".join(self.student_loss)] if self.student_loss else []
        parts += ["intermediate"] if self.match_intermediate else []
        parts += [f"of{self.train_fraction:g}"] if self.train_fraction != 1.0 else []
        return "-".join([*parts, f"seed{self.seed}"])

    @property
    def roles(self):
        """The networks that this cell trains, the one it is about last."""
        return {"serial": (schema.STUDENT,), "parallel": (schema.TEACHER, schema.STUDENT)}.get(
            self.method, (schema.TEACHER,)
        )

    @property
    def main_role(self):
        return self.roles[-1]

    @property
    def teacher(self):
        """The cell whose trained network this one learns from; None where it needs none."""
        if self.method != "serial":
            return None
        return Cell(self.family, SKYLINE, train_fraction=self.train_fraction, seed=self.seed)

    def with_seed(self, seed):
        return dataclasses.replace(self, seed=seed)


def with_teachers(cells):
    """The cells and the teachers that they need, none twice. list of Cell, the dearest first."""
    return sorted({*cells, *(cell.teacher for cell in cells if cell.teacher)}, key=dearest_first)


def dearest_first(cell):
    """Sorts by about the frames that a step reads: teachers come before their students, and long trainings first."""
    teacher = {"serial": schema.MAX_FRAMES / 3 if cell.match_intermediate else 0, "parallel": schema.MAX_FRAMES}
    frames = (cell.k or schema.MAX_FRAMES) + teacher.get(cell.method, 0)
    return (cell.method != SKYLINE, -frames * cell.train_fraction, cell.name)
