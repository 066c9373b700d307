"""Which of the papers' findings hold. The rules below were fixed before any two methods were compared.

Each is judged in the grid of the table that shows it.

Measure. GAP@20 on the held-out videos, and mAP beside it, each judged by itself.

Noise. s is the pooled sample standard deviation over seeds: of all H-RNN cells at the full training set that have two
seeds or more, the squared deviations from each cell's mean, over the degrees of freedom, n - 1 a cell. What is
compared is a sum and difference of means of n1, n2, ... seeds; its margin is m = 2 s sqrt(1/n1 + 1/n2 + ...). Cells of
a share of the videos are taken to spread as much. Without any cell of two seeds m is unknown: the sign alone decides then
(m = 0), and the verdict and the table's note say so.

One comparison. d is the difference in the direction that the paper claims: it holds if d > m, is contradicted if d <
-m, and is undecided between. Where the claim is that there is no difference (findings 7 and 8), there is a limit to what
counts as none: it holds if |d| + m, or d + m, is at most that limit, is contradicted if |d| - m, or d - m, is above it, and
is undecided between. So a wide margin never makes a claim hold.

One finding, a set of comparisons at the k of the grid: it holds if all hold, does not hold if any is contradicted,
and is undecided else. Comparisons of cells that are not finished are listed as not run, and the verdict is about the
others; without any other, the finding is not run. Nothing corrects for the number of comparisons: where two methods are
alike, one in twenty is beyond m by chance, and more where s is itself of a few seeds.

1. Uniform above Random, and Random above First-Middle-Last, at every k.
2. Middle above First up to k = 20, First above Middle from k = 30.
3. Last below every other baseline at every k: compared with the lowest of the others that are finished.
4. Every student of Table 1 above Uniform at every k.
5. Skyline - serial student of all losses is smaller at each next k. The Skyline is the same at both, so this compares
   the two students; where a student is above the Skyline, its gap is below zero and shrinks further as it gets ahead.
6. Serial student of all losses - Uniform, at k = 30 or the nearest, is larger at a tenth of the training videos than at
   all of them.
7. |serial - parallel| at most 0.010, for the losses that Table 1 has both ways, at every k.
8. Student with intermediate matching - the same without: at most 0.005, for the pairs of Table 4.
"""

import dataclasses
import itertools
import math
import statistics

from reproduce.cells import ALL_LOSSES, BASELINES, HRNN, SKYLINE, STUDENTS, Cell
from reproduce.recipes import table1, table4
from reproduce.tables import MEASURES
from reproduce.verdicts import CONTRADICTED, HOLDS, NOT_RUN, UNDECIDED, Comparison, Finding, Judgement

MIDDLE_FIRST_TO, FIRST_FIRST_FROM = 20, 30
FEW_VIDEOS, K_OF_FEW_VIDEOS = 0.1, 30
SAME_SERIAL_AND_PARALLEL, NOTHING_GAINED = 0.010, 0.005


def judge(results, grid_of):
    """Holds every finding against what is finished.

    Args:
        results: Results.
        grid_of: function, recipe's name -> Grid; its k are those that are compared.
    Returns:
        list of Finding, in the order of the rules above.
    """
    scores = {measure: _Scores(results, measure) for measure in MEASURES}
    return [
        Finding(
            statement,
            source,
            {
                measure: Judgement(tuple(compare(of_measure, grid_of(shown_by))), of_measure.spread)
                for measure, of_measure in scores.items()
            },
        )
        for statement, source, shown_by, compare in _FINDINGS
    ]


class _Scores:
    """One measure of all finished cells: their seeds' scores, the spread over seeds, and comparisons of means."""

    def __init__(self, results, measure):
        self._by_cell = {}
        for result in results:
            self._by_cell.setdefault(result.cell.with_seed(0), []).append(result.score(measure))
        self.spread = self._pooled_deviation()

    def _pooled_deviation(self):
        """s of the module's rules; None where no cell has two seeds."""
        several = [
            scores
            for cell, scores in self._by_cell.items()
            if cell.family == HRNN and cell.train_fraction == 1.0 and len(scores) > 1
        ]
        if not several:
            return None
        squares = math.fsum(statistics.variance(scores) * (len(scores) - 1) for scores in several)
        return math.sqrt(squares / sum(len(scores) - 1 for scores in several))

    def has(self, cell):
        return cell in self._by_cell

    def mean(self, cell):
        return statistics.fmean(self._by_cell[cell])

    def compare(self, label, above, below, verdict, also=()):
        """The sum of the means of the cells `above` minus those `below`, judged.

        Args:
            label: str.
            above, below: tuples of Cell with seed 0.
            verdict: function of difference and margin.
            also: cells that cancel out, and without which there is nothing to compare.
        Returns:
            Comparison.
        """
        cells = (*above, *below)
        if not all(map(self.has, (*cells, *also))):
            return Comparison(label, None, None, NOT_RUN)
        difference = math.fsum([*map(self.mean, above), *(-self.mean(cell) for cell in below)])
        if self.spread is None:
            return Comparison(label, difference, None, verdict(difference, 0.0))
        margin = 2 * self.spread * math.sqrt(math.fsum(1 / len(self._by_cell[cell]) for cell in cells))
        return Comparison(label, difference, margin, verdict(difference, margin))


def _is_above(difference, margin):
    if abs(difference) <= margin:
        return UNDECIDED
    return HOLDS if difference > 0 else CONTRADICTED


def _is_the_same(difference, margin):
    return _is_at_most(SAME_SERIAL_AND_PARALLEL, abs(difference), margin)


def _gains_nothing(difference, margin):
    return _is_at_most(NOTHING_GAINED, difference, margin)


def _is_at_most(limit, difference, margin):
    if abs(difference - limit) < margin:
        return UNDECIDED
    return HOLDS if difference <= limit else CONTRADICTED


def _even_selection_is_best(scores, grid):
    for k in grid.ks:
        drawn = Cell(HRNN, "random", k)
        yield _ordered(scores, Cell(HRNN, "uniform", k), drawn)
        yield _ordered(scores, drawn, Cell(HRNN, "first_middle_last", k))


def _middle_then_first(scores, grid):
    for k in grid.ks:
        first, middle = Cell(HRNN, "first", k), Cell(HRNN, "middle", k)
        if k <= MIDDLE_FIRST_TO:
            yield _ordered(scores, middle, first)
        elif k >= FIRST_FIRST_FROM:
            yield _ordered(scores, first, middle)


def _last_is_lowest(scores, grid):
    for k in grid.ks:
        last = Cell(HRNN, "last", k)
        others = [Cell(HRNN, name, k) for name in BASELINES if name != last.method]
        finished = [cell for cell in others if scores.has(cell)]
        lowest = [min(finished, key=scores.mean)] if finished else []
        for cell in (*lowest, *(cell for cell in others if cell not in finished)):
            yield _ordered(scores, cell, last)


def _students_beat_uniform(scores, grid):
    for student in _students_of(table1, grid):
        yield _ordered(scores, student, Cell(HRNN, "uniform", student.k))


def _gap_to_skyline_shrinks(scores, grid):
    for k, next_k in itertools.pairwise(grid.ks):
        student, next_student = (Cell(HRNN, "serial", frames, ALL_LOSSES) for frames in (k, next_k))
        yield scores.compare(
            f"k={k} to {next_k} Skyline − {_title(student)}, shrinking by",
            (next_student,),
            (student,),
            _is_above,
            also=(Cell(HRNN, SKYLINE),),
        )


def _students_need_fewer_videos(scores, grid):
    k = grid.k_of(K_OF_FEW_VIDEOS)
    (student, student_of_few), (uniform, uniform_of_few) = (
        [dataclasses.replace(cell, train_fraction=fraction) for fraction in (1.0, FEW_VIDEOS)]
        for cell in (Cell(HRNN, "serial", k, ALL_LOSSES), Cell(HRNN, "uniform", k))
    )
    yield scores.compare(
        f"k={k} {_title(student)} − {_title(uniform)}, at {FEW_VIDEOS:.0%} of the videos − at all",
        (student_of_few, uniform),
        (uniform_of_few, student),
        _is_above,
    )


def _serial_as_parallel(scores, grid):
    students = _students_of(table1, grid)
    for parallel in (cell for cell in students if cell.method == "parallel"):
        serial = dataclasses.replace(parallel, method="serial")
        if serial in students:
            yield _ordered(scores, serial, parallel, _is_the_same)


def _intermediate_brings_nothing(scores, grid):
    for student in _students_of(table4, grid):
        if student.match_intermediate:
            yield _ordered(scores, student, dataclasses.replace(student, match_intermediate=False), _gains_nothing)


# Statement, source, recipe, and the function from scores and grid to comparisons; in the order of the rules above.
_FINDINGS = (
    (
        "Uniform-k is better than Random-k, and that than First-Middle-Last-k, at every k.",
        "CVPR 2019, Table 1 and section 6.1",
        "table1",
        _even_selection_is_best,
    ),
    (
        "Middle-k is better than First-k up to k = 20; at k = 30 it is the other way round.",
        "CVPR 2019, Table 1",
        "table1",
        _middle_then_first,
    ),
    ("Last-k is the worst baseline at every k.", "CVPR 2019, Table 1", "table1", _last_is_lowest),
    (
        "Every student is better than Uniform-k, at every k.",
        "CVPR 2019, Table 1 and section 6.2",
        "table1",
        _students_beat_uniform,
    ),
    ("The more frames, the less the student is below the Skyline.", "CVPR 2019, Table 1", "table1", _gap_to_skyline_shrinks),
    (
        "With fewer training videos the student's lead over Uniform-k grows.",
        "CVPR 2019, Table 2 and section 6.2",
        "table2",
        _students_need_fewer_videos,
    ),
    ("Serial and parallel training are about as good.", "CVPR 2019, Table 1 and section 6.3", "table1", _serial_as_parallel),
    (
        "Matching intermediate representations brings nothing.",
        "CVPR 2019, Table 4 and section 6.5",
        "table4",
        _intermediate_brings_nothing,
    ),
)


def _students_of(recipe, grid):
    """The H-RNN students that a recipe's table has."""
    return [cell for cell in recipe.plan(grid) if cell.family == HRNN and cell.method in STUDENTS]


def _ordered(scores, above, below, verdict=_is_above):
    return scores.compare(f"k={above.k} {_title(above)} − {_title(below)}", (above,), (below,), verdict)


def _title(cell):
    """Uniform, First-Middle-Last, Serial rep+pred+ce, Serial rep with intermediate."""
    losses = f" {'+'.join(cell.student_loss)}" if cell.student_loss else ""
    return cell.method.replace("_", "-").title() + losses + (" with intermediate" if cell.match_intermediate else "")
