"""The part of the papers' experiments that is run."""

from reproduce.segment_trials import AnyTrial
from reproduce.trials import HRNN, METHODS, NETVLAD, NEXTVLAD, SKIP_NETWORK, Trial, check_student_recipe
from youtube8m_distill import config as configs
from youtube8m_distill import schema
from youtube8m_distill.errors import SettingError
from youtube8m_distill.settings import Names, Settings, Sizes, require, setting

PAPER_KS = (6, 10, 15, 20, 30)
PAPER_SKIPS = "5-25"
FAMILIES = (HRNN, NETVLAD, NEXTVLAD, SKIP_NETWORK)


class Grid(Settings):
    """Families, methods, numbers of frames, skips, and seeds to run."""

    families: Names = setting(FAMILIES, "Network families to run.")
    methods: Names = setting(METHODS, "Methods to run, the rows of the tables.")
    ks: Sizes = setting(PAPER_KS, "Numbers of frames that students see.")
    skip_actions: str = setting(PAPER_SKIPS, "Skips of SkipFrame, without alt-, which is added where every other is used.")
    student_recipes: Names = setting((), "Recipes with which serial students are trained as well, in rows of their own.")
    seeds: int = setting(1, "Number of seeds of the main trials.", ge=1, le=100)
    other_seeds: int = setting(1, "Number of seeds of all other trials.", ge=1, le=100)

    def model_post_init(self, context, /):
        for name, known in (("families", FAMILIES), ("methods", METHODS)):
            values = getattr(self, name)
            require(values, name, f"is empty; choose from {', '.join(known)}.")
            require(len(set(values)) == len(values), name, "contains duplicates.", values)
            unknown = [value for value in values if value not in known]
            require(not unknown, name, f"is unknown; choose from {', '.join(known)}.", unknown)
        require(
            self.ks and all(1 <= k <= schema.MAX_FRAMES for k in self.ks) and list(self.ks) == sorted(set(self.ks)),
            "ks",
            f"give increasing whole numbers from 1 to {schema.MAX_FRAMES}.",
            self.ks,
        )
        require(len(set(self.student_recipes)) == len(self.student_recipes), "student_recipes", "contains duplicates.")
        for name in self.student_recipes:
            try:
                check_student_recipe(name, HRNN)
            except SettingError as error:
                raise SettingError("student_recipes", error.reason, name) from None
        for actions in (self.skip_actions, every_other(self.skip_actions)):
            configs.network_config(SKIP_NETWORK, skip_actions=actions)  # reports invalid ones

    def num_seeds(self, trial: AnyTrial) -> int:
        """The number of seeds of a trial. The seed of `trial` itself does not matter."""
        return self.seeds if trial.is_main else self.other_seeds

    def k_of(self, wanted: int) -> int:
        """The member of `ks` that is nearest to a k of the paper, for tables and figures with a single k."""
        return min(self.ks, key=lambda k: (abs(k - wanted), k))

    def wants(self, trial: AnyTrial) -> bool:
        """Whether a trial is part of this grid. Only seeds restrict the trials on segments."""
        if not isinstance(trial, Trial):
            return True
        return trial.family in self.families and trial.method in self.methods and (trial.k is None or trial.k in self.ks)

    def trials(self, plan) -> tuple:
        """The trials of a plan that this grid wants, with all their seeds and prerequisites, without duplicates.

        Prerequisites come before the trials that need them.

        Args:
            plan: iterable of trials with seed 0.
        """
        wanted = [trial.with_seed(seed) for trial in plan if self.wants(trial) for seed in range(self.num_seeds(trial))]
        found = {}
        for trial in wanted:
            if trial.prerequisite is not None:
                found[trial.prerequisite] = None
            found[trial] = None
        return tuple(found)


def every_other(actions: str) -> str:
    """The --skip_actions with every other of some skips."""
    return f"alt-{actions}"
