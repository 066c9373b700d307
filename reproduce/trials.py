"""Trials: the individual trainings behind the papers' tables and figures."""

import dataclasses
from typing import ClassVar, Literal

from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.settings import require

SKYLINE = "skyline"  # reads all frames; the students' teacher
BASELINES = ("uniform", "random", "first", "middle", "last", "first_middle_last")  # read k frames, without a teacher
STUDENTS = ("parallel", "serial")  # read k evenly spaced frames, with a teacher
SKIPFRAME = "skipframe"  # chooses at most k frames while it reads
METHODS = (SKYLINE, *BASELINES, *STUDENTS, SKIPFRAME)

HRNN, NETVLAD, NEXTVLAD = "HierarchicalLstmModel", "NetVLADModelLF", "NeXtVLADModel"
SKIP_NETWORK = "SkipFrameModel"
ALL_LOSSES = configs.CVPR_LOSSES  # rep, pred, ce
CONTROL_LOSS = ("ce",)  # of a serial student that takes nothing but the classifier from its teacher


def check_student_recipe(name: str, family: str):
    """Raises SettingError about `recipe` if this is not a recipe for serial students of a family."""
    require(name in configs.RECIPES, "recipe", f"is unknown; choose among {', '.join(configs.RECIPES)}.", name)
    configs.RECIPES[name].check(name, family, "serial")


@dataclasses.dataclass(frozen=True, order=True)
class Trial:
    """One training. Sizes and schedule are not part of it, because all trials of an experiment share them.

    Attributes:
        family: a value of --model. SkipFrameModel with the method uniform reads each of its k frames.
        method: one of METHODS.
        k: number of frames that the network or the student reads, of SkipFrame at most; None for all.
        student_loss: loss terms, in the order of config.CVPR_LOSSES; empty without a student.
        match_intermediate: whether L_rep^I is added.
        train_fraction: fraction of the training videos.
        seed: random seed.
        reward, actions: --skip_reward and --skip_actions of SkipFrame; empty for all others.
        recipe: a key of config.RECIPES that a serial student uses instead of the experiment's; empty for the experiment's.
        measure: the measure by which it is judged.
    """

    family: str
    method: str
    k: int | None = None
    student_loss: tuple[str, ...] = ()
    match_intermediate: bool = False
    train_fraction: float = 1.0
    seed: int = 0
    reward: str = ""
    actions: str = ""
    recipe: configs.RecipeName | Literal[""] = ""
    measure: ClassVar[str] = "gap_at_20"

    def __post_init__(self):
        require(self.method in METHODS, "method", f"is unknown; choose one of {', '.join(METHODS)}.", self.method)
        require((self.k is None) == (self.method == SKYLINE), "k", f"is invalid for the method {self.method}.", self.k)
        require(
            bool(self.student_loss) == (self.method in STUDENTS),
            "student_loss",
            f"must be given for the methods {' and '.join(STUDENTS)}, and only for them. The method is {self.method}.",
            self.student_loss,
        )
        require(
            {bool(self.reward), bool(self.actions)} == {self.method == SKIPFRAME},
            "reward",
            f"and actions must be given for the method {SKIPFRAME}, and only for it.",
            self.reward,
        )
        is_possible = self.method in (SKIPFRAME, "uniform") if self.family == SKIP_NETWORK else self.method != SKIPFRAME
        require(is_possible, "family", f"is invalid for the method {self.method}.", self.family)

        require(not self.recipe or self.method == "serial", "recipe", "is only for the method serial.", self.recipe)
        if self.recipe:
            check_student_recipe(self.recipe, self.family)

    @property
    def name(self) -> str:
        """The unique name of this trial, used for files and folders."""
        parts = [self.family, self.method]
        parts += [f"k{self.k}"] if self.k else []
        parts += ["+".join(self.student_loss)] if self.student_loss else []
        parts += [self.reward, self.actions] if self.method == SKIPFRAME else []
        parts += [f"recipe_{self.recipe}"] if self.recipe else []
        parts += ["intermediate"] if self.match_intermediate else []
        parts += [f"of{self.train_fraction:g}"] if self.train_fraction != 1.0 else []
        return "-".join([*parts, f"seed{self.seed}"])

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the networks that this trial trains, the main one last."""
        students = {"serial": (schema.STUDENT,), "parallel": (schema.TEACHER, schema.STUDENT)}
        return students.get(self.method, (schema.TEACHER,))

    @property
    def main_role(self) -> str:
        return self.roles[-1]

    @property
    def teacher(self) -> "Trial | None":
        """The trial that trains the teacher of a serial student; None for all other methods."""
        if self.method != "serial":
            return None
        return Trial(self.family, SKYLINE, train_fraction=self.train_fraction, seed=self.seed)

    @property
    def prerequisite(self) -> "Trial | None":
        """The trial that must be finished before this one."""
        return self.teacher

    @property
    def is_control(self) -> bool:
        """Whether it shows what a serial student reaches without distillation: by its start and the label loss alone."""
        return self.method == "serial" and self.student_loss == CONTROL_LOSS

    @property
    def is_added(self) -> bool:
        """Whether the papers have no such trial."""
        return self.is_control or bool(self.recipe)

    @property
    def is_main(self) -> bool:
        """Whether --seeds is the number of its seeds, and not --other_seeds."""
        is_full_serial = self.method == "serial" and self.student_loss == ALL_LOSSES and not self.match_intermediate
        is_main_method = self.method in (SKYLINE, "uniform", SKIPFRAME) or is_full_serial or self.is_added
        return is_main_method and self.family in (HRNN, SKIP_NETWORK) and self.train_fraction == 1.0

    @property
    def reads(self) -> tuple:
        """Two trials that read the same files in the same way have the same value."""
        return (self.family, self.train_fraction)

    @property
    def work(self) -> tuple:
        """Sort key of the work: teachers before students, then by about how many frames a training step reads."""
        teacher = {"serial": schema.MAX_FRAMES / 3 if self.match_intermediate else 0, "parallel": schema.MAX_FRAMES}
        own = schema.MAX_FRAMES if self.k is None or self.method == SKIPFRAME else self.k
        frames = own + teacher.get(self.method, 0)
        return (self.method != SKYLINE, -frames * self.train_fraction, self.name)

    @property
    def paper_order(self) -> tuple:
        """Sort key of the report: the order of the papers' tables."""
        return (
            self.family,
            METHODS.index(self.method),
            len(self.student_loss),
            self.student_loss,
            self.match_intermediate,
            -self.train_fraction,
            self.k or 0,
            self.actions,
            self.reward,
            self.recipe,
            self.seed,
        )

    def with_seed(self, seed: int) -> "Trial":
        return dataclasses.replace(self, seed=seed)


def with_prerequisites(trials) -> list:
    """The trials and those that must be finished before them, without duplicates, most expensive first."""
    needed = (trial.prerequisite for trial in trials if trial.prerequisite)
    return sorted({*trials, *needed}, key=lambda trial: trial.work)
