"""The findings about SkipFrame hold with the slides' numbers, and reversing one result changes one finding."""

import pytest

from reproduce import findings, published, verdicts
from reproduce.grid import Grid
from reproduce.recipes import skipframe
from reproduce.results import Results
from reproduce.trials import HRNN, SKIP_NETWORK, Trial
from tests.reproduce.test_findings import GAP, MAP, results_of

GRID = Grid(ks=(6, 10))
NAMES = ("uniform", "reward", "delayed", "baselines", "control")
FIRST = 10  # the first of these findings in the list
BEST = skipframe.skip_frame(GRID, "gap")
DELAYED, IMMEDIATE, ALT_DELAYED, ALT_IMMEDIATE = (
    skipframe.skip_frame(GRID, reward, is_sparse) for is_sparse in (False, True) for reward in ("delayed", "immediate")
)
UNIFORM, CONTROL = Trial(HRNN, "uniform", 10), Trial(SKIP_NETWORK, "uniform", 10)


def slides_scores():
    """The scores of the slides, and the control, which they do not have, level with Uniform."""
    scores = {
        trial: published.skipframe(trial.method, trial.k, trial.reward, trial.actions) for trial in skipframe.plan(GRID)
    }
    return {**scores, CONTROL: (0.759, 0.324)}


def judge(scores, grid=GRID):
    return findings.judge(results_of(scores), lambda _: grid)[FIRST:]


def verdicts_of(found, measure=GAP):
    return dict(zip(NAMES, (finding.judgements[measure].verdict for finding in found), strict=True))


@pytest.mark.parametrize("measure", [GAP, MAP])
def test_all_findings_hold_with_the_slides_numbers(measure):
    assert set(verdicts_of(judge(slides_scores()), measure).values()) == {verdicts.HOLDS}


@pytest.mark.parametrize(
    "name, changed",
    [
        ("uniform", {UNIFORM: 0.765}),
        ("reward", {DELAYED: 0.765}),
        ("reward", {ALT_DELAYED: 0.765}),
        ("delayed", {IMMEDIATE: 0.756}),
        ("delayed", {ALT_IMMEDIATE: 0.743}),
        ("baselines", {Trial(HRNN, "random", 10): 0.7385}),
        ("baselines", {Trial(HRNN, "middle", 10): 0.7385}),
        ("baselines", {IMMEDIATE: 0.67}),
        ("control", {CONTROL: 0.765}),
    ],
)
def test_a_reversed_result_changes_only_its_finding(name, changed):
    scores = slides_scores()
    changed = {trial: (gap, scores[trial][1]) for trial, gap in changed.items()}
    found = judge({**scores, **changed})
    assert verdicts_of(found) == {**dict.fromkeys(NAMES, verdicts.HOLDS), name: verdicts.DOES_NOT_HOLD}
    assert set(verdicts_of(found, MAP).values()) == {verdicts.HOLDS}


def test_the_spread_comes_from_the_skipframes_alone():
    """(0.764, 0.768) has the standard deviation 0.004 / sqrt(2). Of two and one seed, the margin is 2 s sqrt(3/2)."""
    scores = slides_scores() | {BEST.with_seed(1): (0.768, 0.341), UNIFORM.with_seed(1): (0.2, 0.324)}
    judgement = judge(scores | {UNIFORM.with_seed(1): (0.759, 0.324)})[0].judgements[GAP]
    assert judgement.spread == pytest.approx(0.004 / 2**0.5) == judge(scores)[0].judgements[GAP].spread
    assert judgement.comparisons[0].margin == pytest.approx(2 * judgement.spread * (1 / 2 + 1 / 2) ** 0.5)
    summary, _ = verdicts.as_tables(findings.judge(results_of(scores), lambda _: GRID))
    assert "; for SkipFrame, s = 0.0028 (GAP), 0.0000 (mAP)." in summary.note


def test_without_seeds_of_uniform_the_note_reports_the_spread_of_skipframe_alone():
    scores = slides_scores() | {BEST.with_seed(1): (0.768, 0.341)}
    summary, _ = verdicts.as_tables(findings.judge(results_of(scores), lambda _: GRID))
    assert "over the means in it, where s is the standard deviation over seeds: for SkipFrame, s = 0.0028" in summary.note


def test_the_other_findings_do_not_depend_on_skipframe():
    scores = slides_scores()
    others = {trial: score for trial, score in scores.items() if not trial.reward}
    whole, part = (findings.judge(results_of(some), lambda _: GRID)[:FIRST] for some in (scores, others))
    assert whole == part


def test_only_the_lowest_skipframe_and_the_highest_baseline_are_compared():
    ((comparison,),) = [judge(slides_scores())[3].judgements[GAP].comparisons]
    assert comparison.label == "k=10 SkipFrame immediate 5-25 − Random-10"
    assert comparison.difference == pytest.approx(0.738 - 0.675)


def test_findings_are_not_run_without_results_or_with_other_skips():
    assert set(verdicts_of(findings.judge(Results(), lambda _: GRID)[FIRST:]).values()) == {verdicts.NOT_RUN}
    other = judge(slides_scores(), Grid(ks=(10,), skip_actions="1-4"))
    assert set(verdicts_of(other).values()) == {verdicts.NOT_RUN}
