"""The part of the papers' experiments that is run."""

from reproduce.trials import ALL_LOSSES, HRNN, METHODS, NETVLAD, NEXTVLAD, SKYLINE, Trial
from youtube8m_distill import schema
from youtube8m_distill.settings import Names, Settings, Sizes, require, setting

PAPER_KS = (6, 10, 15, 20, 30)
FAMILIES = (HRNN, NETVLAD, NEXTVLAD)


class Grid(Settings):
    """Families, methods, numbers of frames, and seeds to run."""

    families: Names = setting(FAMILIES, "Network families to run.")
    methods: Names = setting(METHODS, "Methods to run, the rows of the tables.")
    ks: Sizes = setting(PAPER_KS, "Numbers of frames that students see.")
    seeds: int = setting(1, "Number of seeds of H-RNN's Skyline, Uniform-k, and serial student of all losses.", ge=1, le=100)
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

    def num_seeds(self, trial: Trial) -> int:
        """The number of seeds of a trial. The seed of `trial` itself does not matter."""
        is_main = trial.method in (SKYLINE, "uniform") or (
            trial.method == "serial" and trial.student_loss == ALL_LOSSES and not trial.match_intermediate
        )
        return self.seeds if is_main and trial.family == HRNN and trial.train_fraction == 1.0 else self.other_seeds

    def k_of(self, wanted: int) -> int:
        """The member of `ks` that is nearest to a k of the paper, for tables and figures with a single k."""
        return min(self.ks, key=lambda k: (abs(k - wanted), k))

    def wants(self, trial: Trial) -> bool:
        """Whether a trial is part of this grid."""
        return trial.family in self.families and trial.method in self.methods and (trial.k is None or trial.k in self.ks)

    def trials(self, plan) -> tuple[Trial, ...]:
        """The trials of a plan that this grid wants, with all their seeds and teachers, without duplicates.

        Teachers come before their students.

        Args:
            plan: iterable of Trial with seed 0.
        """
        wanted = [trial.with_seed(seed) for trial in plan if self.wants(trial) for seed in range(self.num_seeds(trial))]
        found = {}
        for trial in wanted:
            if trial.teacher is not None:
                found[trial.teacher] = None
            found[trial] = None
        return tuple(found)
