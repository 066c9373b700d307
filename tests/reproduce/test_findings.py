"""Findings are judged by the rules of the module: reversing one result changes one finding, and noise decides nothing."""

import json
import random

import pytest
from hypothesis import given, settings, strategies

from reproduce import findings, published, verdicts
from reproduce.grid import Grid
from reproduce.recipes.best import best_control, best_student
from reproduce.results import Results
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, HRNN, NETVLAD, SKYLINE, Trial
from tests.reproduce import made_up

GRID = Grid(families=(HRNN,), ks=(10, 20, 30))
NAMES = (
    "selection",
    "middle and first",
    "last",
    "students",
    "gap",
    "few videos",
    "serial as parallel",
    "intermediate",
    "control",
    "best",
)
GAP, MAP = findings.MEASURES


def serial(k, loss=ALL_LOSSES, **fields):
    return Trial(HRNN, "serial", k, loss, **fields)


def parallel(k, loss=ALL_LOSSES, **fields):
    return Trial(HRNN, "parallel", k, loss, **fields)


def baseline(name, k, **fields):
    return Trial(HRNN, name, k, **fields)


def expected_score(trial):
    """A score with which all findings hold: students are 0.030 above Uniform, and 0.080 on a tenth of the videos.

    The control is 0.010 above Uniform, that of the recipe `best` 0.020, and its student 0.120.
    """
    if trial.method == SKYLINE:
        return 0.9
    below_uniform = {
        "random": 0.1,
        "first_middle_last": 0.2,
        "last": 0.5,
        "middle": 0.3,
        "first": 0.35 if trial.k <= 20 else 0.25,
    }
    score = {10: 0.7, 20: 0.75, 30: 0.79}[trial.k] - below_uniform.get(trial.method, 0)
    if trial.is_control:
        return score + (0.02 if trial.recipe else 0.01)
    if trial.recipe:
        return score + 0.12
    if trial.student_loss:
        return score + (0.02 if trial.train_fraction < 1 else 0.03) + (0.001 if trial.method == "serial" else 0)
    return score - (0.06 if trial.train_fraction < 1 else 0)


def result(trial, gap, mean_average_precision=None):
    found = made_up.made_up_result(trial, gap)
    for measures in found.networks.values():
        measures[MAP] = gap if mean_average_precision is None else mean_average_precision
    return found


def results_of(scores):
    """Results of a dict Trial -> one score, or a pair of GAP and mAP."""
    return Results(result(trial, *(score if isinstance(score, tuple) else (score,))) for trial, score in scores.items())


def everything():
    """dict Trial -> score of all H-RNN trials, with which all findings hold."""
    return {found.trial: expected_score(found.trial) for found in made_up.made_up_results(GRID)}


def in_grid(_):
    return GRID


def verdicts_of(found, measure=GAP):
    return dict(zip(NAMES, (finding.judgements[measure].verdict for finding in found)))


def judged(scores, grid=GRID, measure=GAP):
    return verdicts_of(findings.judge(results_of(scores), lambda _: grid), measure)


# Changed scores that reverse one finding and are not part of any other.
REVERSED = [
    ("selection", {baseline("random", 20): 0.76}),
    ("selection", {baseline("first_middle_last", 10): 0.61}),
    ("middle and first", {baseline("first", 10): 0.41}),
    ("middle and first", {baseline("first", 20): 0.46}),
    ("middle and first", {baseline("middle", 30): 0.55}),
    ("last", {baseline("last", 10): 0.36}),
    ("last", {baseline("last", 20): 0.41}),
    ("last", {baseline("last", 30): 0.5}),
    ("students", {serial(10, ("pred",)): 0.69}),
    ("students", {serial(30, ("pred", "ce")): 0.78}),
    ("students", {serial(20, ("rep",)): 0.744, parallel(20, ("rep",)): 0.744}),
    ("gap", {serial(10): 0.785, parallel(10): 0.785}),
    ("gap", {serial(20): 0.825, parallel(20): 0.825}),
    ("few videos", {baseline("uniform", 30, train_fraction=0.1): 0.782}),
    ("few videos", {serial(30, train_fraction=0.1): 0.759}),
    ("serial as parallel", {parallel(10): 0.719}),
    ("serial as parallel", {parallel(20, ("rep",)): 0.793}),
    ("serial as parallel", {parallel(30, ("rep", "ce"), match_intermediate=matched): 0.8 for matched in (False, True)}),
    ("intermediate", {serial(30, ("rep",), match_intermediate=True): 0.828}),
    ("intermediate", {parallel(30, match_intermediate=True): 0.827}),
    ("control", {serial(10, CONTROL_LOSS): 0.732}),
    ("control", {serial(30, CONTROL_LOSS): 0.83}),
    ("best", {best_student(10): 0.73}),
    ("best", {best_control(20): 0.88}),
]


def test_all_findings_hold_with_the_expected_scores():
    assert set(judged(everything()).values()) == set(judged(everything(), measure=MAP).values()) == {verdicts.HOLDS}


@pytest.mark.parametrize("name, changed", REVERSED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_reversed_result_changes_only_its_finding_and_its_measure(name, changed):
    scores = everything()
    assert set(changed) <= set(scores)
    in_map_only = {**scores, **{trial: (scores[trial], score) for trial, score in changed.items()}}
    assert judged(in_map_only) == judged(scores)
    assert judged(in_map_only, measure=MAP) == {**judged(scores), name: verdicts.DOES_NOT_HOLD}


def test_every_finding_has_a_reversed_result():
    assert {name for name, _ in REVERSED} == set(NAMES)


def papers_results():
    """The papers' Tables 1, 2, and 4 as results of one seed."""
    scores = {Trial(HRNN, SKYLINE): published.SKYLINE_SCORES}
    scores |= {Trial(HRNN, method, k, loss): score for (method, loss, k), score in published.TABLE1.items()}
    scores |= {
        Trial(HRNN, method, 30, ALL_LOSSES if method == "serial" else (), train_fraction=fraction): score
        for (method, fraction), score in published.TABLE2.items()
    }
    scores |= {
        Trial(HRNN, method, 30, loss, match_intermediate=True): score
        for (method, loss, intermediate), score in published.TABLE4.items()
        if intermediate
    }
    return results_of(scores)


def test_the_findings_hold_with_the_papers_numbers():
    found = findings.judge(papers_results(), lambda _: Grid(families=(HRNN,)))
    of_papers = {**dict.fromkeys(NAMES, verdicts.HOLDS), "control": verdicts.NOT_RUN, "best": verdicts.NOT_RUN}
    assert verdicts_of(found) == of_papers
    # For mAP, 0.349 and 0.337 at k = 10 differ by more than the rule allows.
    assert verdicts_of(found, MAP) == {**of_papers, "serial as parallel": "does not hold"}
    assert [comparison.label for comparison in found[6].judgements[MAP].of(verdicts.CONTRADICTED)] == [
        "k=10 Serial rep+pred+ce − Parallel rep+pred+ce"
    ]


# Two trials of 2 seeds: (x, x + 4) has the variance 8, (y, y) 0, together over 2 degrees of freedom 4; so s = 2, and two
# means of 2 seeds have the margin 2 * 2 * sqrt(1/2 + 1/2) = 4.
@pytest.mark.parametrize(
    "random_score, difference, verdict",
    [(7, 5, "holds"), (8, 4, "undecided"), (12, 0, "undecided"), (16, -4, "undecided"), (17, -5, "contradicted")],
)
def test_a_difference_counts_if_it_exceeds_the_margin(random_score, difference, verdict):
    scores = {
        baseline("uniform", 10): 10,
        baseline("uniform", 10, seed=1): 14,
        baseline("random", 10): random_score,
        baseline("random", 10, seed=1): random_score,
    }
    judgement = findings.judge(results_of(scores), in_grid)[0].judgements[GAP]
    assert judgement.spread == 2
    assert judgement.comparisons[0] == ("k=10 Uniform − Random", difference, 4, verdict)


def test_comparisons_use_means_over_seeds():
    scores = {baseline("uniform", 10, seed=seed): score for seed, score in enumerate((0, 0, 9))}
    judgement = findings.judge(results_of({**scores, baseline("random", 10): 2}), in_grid)[0].judgements[GAP]
    assert judgement.comparisons[0].difference == 3 - 2


def test_trials_with_more_seeds_have_more_weight_in_the_spread():
    # (0, 2) has the variance 2 and one degree of freedom, (0, 1, 2) the variance 1 and two: s^2 = (2 + 1 * 2) / 3.
    scores = {baseline("uniform", 10, seed=seed): 2 * seed for seed in range(2)}
    scores |= {serial(30, seed=seed): seed for seed in range(3)}
    spread = findings.judge(results_of(scores), in_grid)[0].judgements[GAP].spread
    assert spread == pytest.approx((4 / 3) ** 0.5)


# s = 3 from (0, 3, 6), whose variance is 9. Four means of one seed have the margin 2 * 3 * sqrt(4) = 12; with 8 seeds
# on a tenth of the videos, 2 * 3 * sqrt(1 + 1 + 1/8 + 1/8) = 9. The lead is 30 - 20 there, and 2 - 1, 2 - 2, 2 + 8 on all.
@pytest.mark.parametrize("seeds, margin", [(1, 12), (8, 9)])
@pytest.mark.parametrize("uniform_score, difference", [(1, 9), (2, 10), (-8, 0)])
def test_the_lead_on_few_videos_has_the_margin_of_four_means(seeds, margin, uniform_score, difference):
    scores = {baseline("last", 10, seed=seed): 3 * seed for seed in range(3)}
    scores |= {serial(30): 2, baseline("uniform", 30): uniform_score}
    for seed in range(seeds):  # their scatter of 2 does not count: s comes from the full training set
        scatter = 2 * (-1) ** seed if seeds > 1 else 0
        scores[serial(30, train_fraction=0.1, seed=seed)] = 30 + scatter
        scores[baseline("uniform", 30, train_fraction=0.1, seed=seed)] = 20 - scatter
    (comparison,) = findings.judge(results_of(scores), in_grid)[5].judgements[GAP].comparisons
    assert comparison[1:] == (difference, margin, verdicts.HOLDS if difference > margin else verdicts.UNDECIDED)


@pytest.mark.parametrize(
    "name, trials, difference, margin, verdict",
    [
        # 0.010 and 0.005 are the limits; with s = 1 and means of one seed the margin about them is 2 * sqrt(2) = 2.83.
        ("serial as parallel", (serial(10), parallel(10)), 0.009, 0, verdicts.HOLDS),
        ("serial as parallel", (serial(10), parallel(10)), 0.011, 0, verdicts.DOES_NOT_HOLD),
        ("serial as parallel", (serial(10), parallel(10)), -0.009, 0, verdicts.HOLDS),
        ("serial as parallel", (serial(10), parallel(10)), -0.011, 0, verdicts.DOES_NOT_HOLD),
        ("serial as parallel", (serial(10), parallel(10)), 2.8, 1, verdicts.UNDECIDED),
        ("serial as parallel", (serial(10), parallel(10)), -2.8, 1, verdicts.UNDECIDED),
        ("serial as parallel", (serial(10), parallel(10)), 0, 1, verdicts.UNDECIDED),
        ("serial as parallel", (serial(10), parallel(10)), 0, 0.001, verdicts.HOLDS),
        ("serial as parallel", (serial(10), parallel(10)), -2.9, 1, verdicts.DOES_NOT_HOLD),
        ("intermediate", (serial(30, match_intermediate=True), serial(30)), 0.004, 0, verdicts.HOLDS),
        ("intermediate", (serial(30, match_intermediate=True), serial(30)), 0.006, 0, verdicts.DOES_NOT_HOLD),
        ("intermediate", (serial(30, match_intermediate=True), serial(30)), -9, 0, verdicts.HOLDS),
        ("intermediate", (serial(30, match_intermediate=True), serial(30)), 2.8, 1, verdicts.UNDECIDED),
        ("intermediate", (serial(30, match_intermediate=True), serial(30)), -2.8, 1, verdicts.UNDECIDED),
        ("intermediate", (serial(30, match_intermediate=True), serial(30)), -2.9, 1, verdicts.HOLDS),
        ("intermediate", (serial(30, match_intermediate=True), serial(30)), 2.9, 1, verdicts.DOES_NOT_HOLD),
    ],
)
def test_claims_of_no_difference_hold_only_within_the_limit_and_margin(name, trials, difference, margin, verdict):
    spread = {baseline("last", 10, seed=seed): margin * seed for seed in range(3)}
    assert judged({**spread, trials[0]: difference, trials[1]: 0})[name] == verdict


@pytest.mark.parametrize("trial", [Trial(NETVLAD, "uniform", 10), baseline("uniform", 30, train_fraction=0.5)])
def test_the_spread_comes_from_hrnn_on_all_videos(trial):
    scores = {trial: 0, trial.with_seed(1): 9, baseline("uniform", 10): 1, baseline("random", 10): 0}
    judgement = findings.judge(results_of(scores), in_grid)[0].judgements[GAP]
    assert judgement.spread is None and judgement.comparisons[0] == ("k=10 Uniform − Random", 1, None, verdicts.HOLDS)


@pytest.mark.parametrize("difference, verdict", [(1, "holds"), (0, "undecided"), (-1, "does not hold")])
def test_the_sign_decides_with_one_seed(difference, verdict):
    assert judged({baseline("uniform", 10): difference, baseline("random", 10): 0})["selection"] == verdict


def test_last_is_compared_with_the_lowest_other_baseline():
    scores = {
        baseline(name, 10): score
        for name, score in [("uniform", 5), ("random", 4), ("first", 2), ("first_middle_last", 3), ("last", 1)]
    }
    comparisons = findings.judge(results_of(scores), in_grid)[2].judgements[GAP].comparisons
    assert comparisons[:2] == (
        ("k=10 First − Last", 1, None, verdicts.HOLDS),
        ("k=10 Middle − Last", None, None, verdicts.NOT_RUN),
    )


@pytest.mark.parametrize("k", [21, 29])
def test_middle_and_first_are_not_compared_between_20_and_30_frames(k):
    scores = {baseline("middle", k): 1, baseline("first", k): 2}
    assert judged(scores, Grid(ks=(k,)))["middle and first"] == verdicts.NOT_RUN


def test_all_findings_are_not_run_without_results():
    found = findings.judge(Results(), in_grid)
    assert set(verdicts_of(found).values()) == {verdicts.NOT_RUN}
    summary, _ = verdicts.as_tables(found)
    assert [row.values[:4] for row in summary.rows] == [("not run", "not run", "", "")] * len(found)


@pytest.mark.parametrize("seed", range(2))
def test_missing_trials_are_listed_as_not_run_and_the_rest_is_judged(seed):
    scores = everything()
    kept = random.Random(seed).sample(sorted(scores, key=lambda trial: trial.name), len(scores) // 2)
    whole, half = (findings.judge(results_of(some), in_grid) for some in (scores, {trial: scores[trial] for trial in kept}))
    for name, finding, complete in zip(NAMES, half, whole):
        found, all_of_it = finding.judgements[GAP], complete.judgements[GAP]
        assert found.verdict in (verdicts.HOLDS, verdicts.NOT_RUN)
        if name != "last":  # with another lowest baseline
            assert [comparison.label for comparison in found.comparisons] == [
                comparison.label for comparison in all_of_it.comparisons
            ]
            assert set(found.comparisons) - set(found.of(verdicts.NOT_RUN)) <= set(all_of_it.comparisons)
        if 0 < found.num_run < len(found.comparisons):
            assert found.share == f"{found.num_run} of {found.num_run}, {len(found.of(verdicts.NOT_RUN))} not run"


def test_the_distance_to_the_skyline_is_not_run_without_a_skyline():
    scores = {trial: score for trial, score in everything().items() if trial.method != SKYLINE}
    assert judged(scores) == {**judged(everything()), "gap": "not run"}


def test_each_finding_is_judged_in_the_grid_of_its_table():
    other = Grid(families=(HRNN,), ks=(20,))
    scores = everything()
    found = findings.judge(results_of(scores), lambda name: other if name == "table4" else GRID)
    labels = [[comparison.label for comparison in finding.judgements[GAP].comparisons] for finding in found]
    assert all(label.startswith("k=20 ") for label in labels[7]) and labels[5][0].startswith("k=30 ")
    assert verdicts_of(found) == {**judged(scores), "intermediate": "not run"}


def test_a_contradicted_comparison_outweighs_a_missing_one():
    scores = everything()
    del scores[baseline("uniform", 30)]
    assert judged({**scores, baseline("random", 10): 0.71})["selection"] == verdicts.DOES_NOT_HOLD


def test_comparisons_are_shown_with_difference_margin_and_verdict():
    scores = {
        **everything(),
        baseline("random", 20): 0.762,
        baseline("last", 10, seed=1): expected_score(baseline("last", 10)) + 0.004 * 2**0.5,
    }
    del scores[baseline("uniform", 30)]
    found = findings.judge(results_of(scores), in_grid)
    assert found[0].judgements[GAP].share == "4 of 5, 1 not run"
    rows = {row.labels: row for row in verdicts.as_tables(found)[1].rows if row.section == found[0].statement}
    difference, margin, verdict = rows["k=20 Uniform − Random", "GAP"].values
    # s = 0.004, from two scores that differ by sqrt(2) times as much; the margin is 2 * sqrt(2) * s.
    assert (str(difference), str(margin), verdict) == ("-0.012", "0.011", "contradicted")
    assert rows["k=30 Uniform − Random", "GAP"].values == (None, None, "not run")


@settings(max_examples=5)
@given(strategies.randoms(use_true_random=False), strategies.integers(1, 3))
def test_the_order_of_the_results_does_not_matter(shuffler, num_seeds):
    noise = random.Random(0)
    scores = {
        trial.with_seed(seed): score + noise.gauss(0, 0.02)
        for trial, score in everything().items()
        for seed in range(num_seeds)
    }
    found = [result(trial, score) for trial, score in scores.items()]
    before = findings.judge(Results(found), in_grid)
    shuffler.shuffle(found)
    assert findings.judge(Results(found), in_grid) == before


def test_the_tables_have_a_row_for_each_finding_and_each_comparison():
    grid = Grid(ks=GRID.ks)
    found = findings.judge(made_up.made_up_results(grid), lambda _: grid)
    summary, comparisons = verdicts.as_tables(found)
    assert [row.labels for row in summary.rows] == [(finding.statement,) for finding in found]
    assert summary.titles == (
        "verdict GAP",
        "verdict mAP",
        "comparisons that hold GAP",
        "comparisons that hold mAP",
        "source",
    )
    for row, finding in zip(summary.rows, found):
        gap, mean_average_precision = (finding.judgements[measure] for measure in (GAP, MAP))
        assert row.values == (
            f"{gap.verdict}, by sign alone",
            f"{mean_average_precision.verdict}, by sign alone",
            gap.share,
            mean_average_precision.share,
            finding.source,
        )
    assert "only the sign of a difference counts" in summary.note
    assert [(row.section, *row.labels) for row in comparisons.rows] == [
        (finding.statement, comparison.label, title)
        for finding in found
        for measure, title in ((GAP, "GAP"), (MAP, "mAP"))
        for comparison in finding.judgements[measure].comparisons
    ]


def test_the_note_reports_the_spread():
    scores = {baseline("uniform", 10): (10, 1), baseline("uniform", 10, seed=1): (12, 1)}
    summary, _ = verdicts.as_tables(findings.judge(results_of(scores), in_grid))
    assert "s = 1.4142 (GAP), 0.0000 (mAP)" in summary.note


def test_the_record_is_complete_and_fits_into_json():
    found = findings.judge(made_up.made_up_results(GRID), in_grid)
    record = json.loads(json.dumps(verdicts.findings_record(found)))
    assert record == verdicts.findings_record(found)
    for entry, finding in zip(record, found):
        assert (entry["statement"], entry["source"]) == (finding.statement, finding.source)
        for measure, judgement in finding.judgements.items():
            record = entry["measures"][measure]
            assert record["verdict"] == judgement.verdict
            assert tuple(verdicts.Comparison(**entry) for entry in record["comparisons"]) == judgement.comparisons
