"""Judges which of the papers' findings hold. The rules were fixed before any two methods were compared.

Each finding is judged in the grid of the table that shows it.

Measures. GAP@20 and mAP on the held-out videos are judged separately.

Noise. s is the pooled sample standard deviation over seeds. It is computed from all H-RNN trials that have two or more seeds
and use all training videos: the sum of the squared deviations from each trial's mean, divided by the degrees of freedom,
n - 1 per trial, and the square root of that. A comparison adds and subtracts means over n1, n2, ... seeds. Its margin is
m = 2 s sqrt(1/n1 + 1/n2 + ...). Trials on a fraction of the videos are assumed to have the same s. If no trial has two
seeds, m is unknown and only the sign counts (m = 0). The verdict and the note under the table then state this.

Comparisons. d is the difference in the direction that the paper claims. A comparison holds if d > m, is contradicted if
d < -m, and is undecided otherwise. Findings 7 and 8 claim that a difference is at most a limit. For these, a comparison
holds if |d| + m (7) or d + m (8) is at most the limit, is contradicted if |d| - m or d - m exceeds it, and is undecided
otherwise. A wide margin therefore never makes a claim hold.

Findings. A finding is a set of comparisons at the k of the grid. It holds if all of them hold, does not hold if any is
contradicted, and is undecided otherwise. Comparisons with unfinished trials are listed as not run, and the verdict is based
on the others. If there are no others, the finding is not run. There is no correction for the number of comparisons: if two
methods are equal, one comparison in twenty exceeds m by chance, and more than that if s comes from few seeds.

1. Uniform is above Random, and Random above First-Middle-Last, at every k.
2. Middle is above First up to k = 20, and First above Middle from k = 30.
3. Last is below every other baseline at every k. It is compared with the lowest finished one.
4. Every student of Table 1 is above Uniform at every k.
5. Skyline - serial student of all losses decreases from each k to the next. The Skyline is the same for both, so this
   compares the two students. If a student is above the Skyline, its gap is negative and may decrease further.
6. Serial student of all losses - Uniform, at the k nearest to 30, is larger on a tenth of the training videos than on all of
   them.
7. |serial - parallel| is at most 0.010 at every k, for the losses that Table 1 has for both.
8. Student with intermediate matching - the same student without it is at most 0.005, for the pairs of Table 4. Judged only
   with --recipe=cvpr2019, since the default L_rep^I is not the sum of equation 3.

9. Not in the papers: the serial student of all losses is above the control, the serial student of the label loss alone, at
   every k.
10. Not in the papers: at every k, the student of the recipe `best` is above the serial student of all losses, and above the
   same student without distillation.

Findings 11 to 15 are about SkipFrame. Their rules and their s are in `skip_findings`.

The wording of rule 5 is from after the first results, in which students were above the Skyline. How it is computed did not
change.
"""

import dataclasses
import itertools
import math
import statistics

from reproduce import skip_findings, verdicts
from reproduce.recipes import best, table1, table4
from reproduce.tables import MEASURES
from reproduce.trials import ALL_LOSSES, BASELINES, CONTROL_LOSS, HRNN, SKYLINE, STUDENTS, Trial
from reproduce.verdicts import NOT_RUN, Comparison, Finding, Judgement, is_above, is_at_most

MIDDLE_FIRST_TO, FIRST_FIRST_FROM = 20, 30
FEW_VIDEOS, K_OF_FEW_VIDEOS = 0.1, 30
SAME_SERIAL_AND_PARALLEL, NOTHING_GAINED = 0.010, 0.005


def judge(results, grid_of):
    """Judges every finding by the finished trials.

    Args:
        results: Results.
        grid_of: function from the name of a recipe to its Grid, which gives the k to compare.
    Returns:
        list of Finding, in the order of the rules above.
    """
    scores = {measure: _Scores(results, measure, _is_full_hrnn) for measure in MEASURES}
    of_skipframe = {measure: _Scores(results, measure, skip_findings.gives_noise) for measure in MEASURES}
    return [
        *_judged(_FINDINGS, scores, results.recipe, grid_of),
        *_judged(skip_findings.FINDINGS, of_skipframe, results.recipe, grid_of, skip_findings.NOISE),
    ]


def _is_full_hrnn(trial):
    return trial.family == HRNN and trial.train_fraction == 1.0


def _judged(rules, scores, used_recipe, grid_of, noise=""):
    return [
        Finding(
            statement,
            source,
            {
                measure: Judgement(
                    tuple(compare(of_measure, grid_of(shown_by))) if recipe in (None, used_recipe) else (), of_measure.spread
                )
                for measure, of_measure in scores.items()
            },
            noise,
        )
        for statement, source, shown_by, compare, recipe in rules
    ]


class _Scores:
    """The scores of all finished trials by one measure, their spread over seeds, and comparisons of means.

    Args:
        results: Results.
        measure: str.
        gives_noise: function from Trial to whether the spread is computed from its seeds.
    """

    def __init__(self, results, measure, gives_noise):
        self._by_trial = {}
        for result in results:
            self._by_trial.setdefault(result.trial.with_seed(0), []).append(result.score(measure))
        # s of the rules; None if no trial has two seeds
        self.spread = verdicts.pooled_deviation(scores for trial, scores in self._by_trial.items() if gives_noise(trial))

    def has(self, trial):
        return trial in self._by_trial

    def mean(self, trial):
        return statistics.fmean(self._by_trial[trial])

    def compare(self, label, above, below, verdict, also=()):
        """Compares the summed means of the trials `above` with those of the trials `below`.

        Args:
            label: str.
            above, below: tuples of Trial with seed 0.
            verdict: function from difference and margin to a verdict.
            also: trials that cancel out of the difference but must be finished.
        """
        trials = (*above, *below)
        if not all(map(self.has, (*trials, *also))):
            return Comparison(label, None, None, NOT_RUN)
        difference = math.fsum([*map(self.mean, above), *(-self.mean(trial) for trial in below)])
        if self.spread is None:
            return Comparison(label, difference, None, verdict(difference, 0.0))
        margin = verdicts.margin_of(self.spread, [len(self._by_trial[trial]) for trial in trials])
        return Comparison(label, difference, margin, verdict(difference, margin))


def _is_the_same(difference, margin):
    return is_at_most(SAME_SERIAL_AND_PARALLEL, abs(difference), margin)


def _gains_nothing(difference, margin):
    return is_at_most(NOTHING_GAINED, difference, margin)


def _even_selection_is_best(scores, grid):
    for k in grid.ks:
        random = Trial(HRNN, "random", k)
        yield _ordered(scores, Trial(HRNN, "uniform", k), random)
        yield _ordered(scores, random, Trial(HRNN, "first_middle_last", k))


def _middle_then_first(scores, grid):
    for k in grid.ks:
        first, middle = Trial(HRNN, "first", k), Trial(HRNN, "middle", k)
        if k <= MIDDLE_FIRST_TO:
            yield _ordered(scores, middle, first)
        elif k >= FIRST_FIRST_FROM:
            yield _ordered(scores, first, middle)


def _last_is_lowest(scores, grid):
    for k in grid.ks:
        last = Trial(HRNN, "last", k)
        others = [Trial(HRNN, name, k) for name in BASELINES if name != last.method]
        finished = [trial for trial in others if scores.has(trial)]
        lowest = [min(finished, key=scores.mean)] if finished else []
        for trial in (*lowest, *(trial for trial in others if trial not in finished)):
            yield _ordered(scores, trial, last)


def _students_beat_uniform(scores, grid):
    for student in _students_of(table1, grid):
        yield _ordered(scores, student, Trial(HRNN, "uniform", student.k))


def _gap_to_skyline_shrinks(scores, grid):
    for k, next_k in itertools.pairwise(grid.ks):
        student, next_student = (Trial(HRNN, "serial", frames, ALL_LOSSES) for frames in (k, next_k))
        yield scores.compare(
            f"k={k} to {next_k} Skyline − {_title(student)}, decrease",
            (next_student,),
            (student,),
            is_above,
            also=(Trial(HRNN, SKYLINE),),
        )


def _students_need_fewer_videos(scores, grid):
    k = grid.k_of(K_OF_FEW_VIDEOS)
    (student, student_of_few), (uniform, uniform_of_few) = (
        [dataclasses.replace(trial, train_fraction=fraction) for fraction in (1.0, FEW_VIDEOS)]
        for trial in (Trial(HRNN, "serial", k, ALL_LOSSES), Trial(HRNN, "uniform", k))
    )
    yield scores.compare(
        f"k={k} {_title(student)} − {_title(uniform)}, on {FEW_VIDEOS:.0%} of the videos − on all",
        (student_of_few, uniform),
        (uniform_of_few, student),
        is_above,
    )


def _serial_as_parallel(scores, grid):
    students = _students_of(table1, grid)
    for parallel in (trial for trial in students if trial.method == "parallel"):
        serial = dataclasses.replace(parallel, method="serial")
        if serial in students:
            yield _ordered(scores, serial, parallel, _is_the_same)


def _intermediate_does_not_help(scores, grid):
    for student in _students_of(table4, grid):
        if student.match_intermediate:
            yield _ordered(scores, student, dataclasses.replace(student, match_intermediate=False), _gains_nothing)


def _distillation_beats_control(scores, grid):
    for k in grid.ks:
        yield _ordered(scores, Trial(HRNN, "serial", k, ALL_LOSSES), Trial(HRNN, "serial", k, CONTROL_LOSS))


def _best_is_better(scores, grid):
    for k in grid.ks:
        student = best.best_student(k)
        yield _ordered(scores, student, Trial(HRNN, "serial", k, ALL_LOSSES))
        yield _ordered(scores, student, best.best_control(k))


# (statement, source, table that shows it, function from scores and grid to comparisons, the only recipe that it is judged
# with, or None), in the order of the rules above
_FINDINGS = (
    (
        "At every k, Uniform-k is better than Random-k, and Random-k better than First-Middle-Last-k.",
        "CVPR 2019, Table 1 and section 6.1",
        "table1",
        _even_selection_is_best,
        None,
    ),
    (
        "Middle-k is better than First-k up to k = 20; at k = 30, First-k is better.",
        "CVPR 2019, Table 1",
        "table1",
        _middle_then_first,
        None,
    ),
    ("Last-k is the worst baseline at every k.", "CVPR 2019, Table 1", "table1", _last_is_lowest, None),
    (
        "Every student is better than Uniform-k at every k.",
        "CVPR 2019, Table 1 and section 6.2",
        "table1",
        _students_beat_uniform,
        None,
    ),
    (
        "With more frames, the student comes closer to the Skyline.",
        "CVPR 2019, Table 1",
        "table1",
        _gap_to_skyline_shrinks,
        None,
    ),
    (
        "With fewer training videos, the student's lead over Uniform-k grows.",
        "CVPR 2019, Table 2 and section 6.2",
        "table2",
        _students_need_fewer_videos,
        None,
    ),
    (
        "Serial and parallel training perform about equally well.",
        "CVPR 2019, Table 1 and section 6.3",
        "table1",
        _serial_as_parallel,
        None,
    ),
    (
        "Matching intermediate representations does not help (judged with --recipe=cvpr2019).",
        "CVPR 2019, Table 4 and section 6.5",
        "table4",
        _intermediate_does_not_help,
        "cvpr2019",
    ),
    (
        "The serial student of all losses is better than the control, a student of the label loss alone, at every k.",
        "not in the papers",
        "table1",
        _distillation_beats_control,
        None,
    ),
    (
        "At every k, the student of the recipe `best` is better than the serial student of all losses, and than itself "
        "without distillation.",
        "not in the papers",
        "best",
        _best_is_better,
        None,
    ),
)


def _students_of(recipe, grid):
    """The papers' H-RNN students in a recipe's table."""
    return [trial for trial in recipe.plan(grid) if trial.family == HRNN and trial.method in STUDENTS and not trial.is_added]


def _ordered(scores, above, below, verdict=is_above):
    return scores.compare(f"k={above.k} {_title(above)} − {_title(below)}", (above,), (below,), verdict)


def _title(trial):
    """Uniform, First-Middle-Last, Serial rep+pred+ce, Serial rep with intermediate, Serial pred+ce of best."""
    losses = f" {'+'.join(trial.student_loss)}" if trial.student_loss else ""
    more = " with intermediate" if trial.match_intermediate else f" of {trial.recipe}" if trial.recipe else ""
    return trial.method.replace("_", "-").title() + losses + more
