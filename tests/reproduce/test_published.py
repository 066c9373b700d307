"""The papers' numbers agree with the papers' text and with each other."""

import pytest

from reproduce import flops, published
from reproduce.grid import PAPER_KS
from reproduce.recipes import skipframe, table1, table4
from reproduce.recipes.table1 import METHODS_AND_LOSSES, PARALLEL_LOSSES, SERIAL_LOSSES
from reproduce.trials import ALL_LOSSES, BASELINES, SKYLINE
from youtube8m_distill.families.skip_frame.settings import SkipFrameSettings

GAP, MAP = 0, 1
STUDENT_ROWS = [("parallel", loss) for loss in PARALLEL_LOSSES] + [("serial", loss) for loss in SERIAL_LOSSES]


def row(method, loss=(), measure=GAP):
    """One row of Table 1, from k = 6 to k = 30."""
    return [published.table1(method, loss, k)[measure] for k in PAPER_KS]


def test_selected_scores_of_table_1_equal_the_printed_ones():
    """Read from the PDF of CVPR 2019, Table 1."""
    assert published.table1("uniform", (), 6) == (0.715, 0.266)
    assert published.table1("first_middle_last", (), 30) == (0.721, 0.287)
    assert published.table1("random", (), 15) == (0.717, 0.268)
    assert published.table1("parallel", ("rep",), 6) == (0.724, 0.280)
    assert published.table1("serial", ("pred",), 10) == (0.766, 0.341)
    assert published.table1("serial", ("pred", "ce"), 20) == (0.795, 0.386)
    assert published.table1("serial", ALL_LOSSES, 30) == (0.806, 0.405)


def test_the_column_sums_of_table_1_equal_those_of_the_slides():
    """Sums of the 14 rows of the table in the slides of 2019, which reveal any wrong digit."""
    sums = [
        [sum(score[measure] for (_, _, k), score in published.TABLE1.items() if k == column) for column in PAPER_KS]
        for measure in (GAP, MAP)
    ]
    assert sums[GAP] == pytest.approx([9.155, 9.652, 9.960, 10.170, 10.369])
    assert sums[MAP] == pytest.approx([3.409, 3.961, 4.299, 4.567, 4.777])


@pytest.mark.parametrize("measure", [GAP, MAP])
@pytest.mark.parametrize("number", range(len(PAPER_KS)))
def test_uniform_is_the_best_baseline_and_last_the_worst(number, measure):
    """CVPR 2019, section 6, point 1."""
    scores = {method: row(method, measure=measure)[number] for method in BASELINES}
    assert max(scores, key=scores.get) == "uniform"
    assert min(scores, key=scores.get) == "last"


@pytest.mark.parametrize("measure", [GAP, MAP])
@pytest.mark.parametrize("method, loss", STUDENT_ROWS)
def test_every_student_is_above_uniform_and_below_the_skyline(method, loss, measure):
    """CVPR 2019, section 6, point 2."""
    for student, uniform in zip(row(method, loss, measure), row("uniform", measure=measure)):
        assert uniform < student < published.SKYLINE_SCORES[measure]


@pytest.mark.parametrize("measure", [GAP, MAP])
def test_no_student_is_above_the_serial_one_with_all_losses(measure):
    """CVPR 2019, section 6, point 3: serial training has the best results of Table 1."""
    best = row("serial", ALL_LOSSES, measure)
    for method, loss in STUDENT_ROWS:
        assert all(score <= bound for score, bound in zip(row(method, loss, measure), best))


@pytest.mark.parametrize("measure", [GAP, MAP])
@pytest.mark.parametrize("method, loss", METHODS_AND_LOSSES[1:])
def test_scores_rise_with_k(method, loss, measure):
    scores = row(method, loss, measure)
    assert scores == sorted(set(scores))


def test_the_drop_of_serial_students_at_30_frames_equals_the_text():
    """Both papers, on computation time: GAP and mAP drop by 0.5-0.9% and 0.9-2%, for the losses that both have."""
    drops = [
        [bound - score for bound, score in zip(published.SKYLINE_SCORES, published.table1("serial", loss, 30))]
        for loss in SERIAL_LOSSES
        if "rep" in loss
    ]
    gaps, maps = zip(*drops)
    assert (min(gaps), max(gaps)) == pytest.approx((0.005, 0.009))
    assert (min(maps), max(maps)) == pytest.approx((0.009, 0.020))


def test_the_lead_over_uniform_grows_with_fewer_videos():
    """CVPR 2019, section 6, point 2."""
    for measure in (GAP, MAP):
        leads = [
            published.table2("serial", fraction, 30)[measure] - published.table2("uniform", fraction, 30)[measure]
            for fraction in (0.1, 0.25, 0.5)
        ]
        assert leads == sorted(leads, reverse=True)
        assert min(leads) > 0
    assert published.table2("serial", 0.1, 30) == (0.774, 0.345)
    assert published.table2("uniform", 0.5, 30) == (0.776, 0.349)


def test_table_2_equals_table_1_on_all_videos():
    for method, loss in (("serial", ALL_LOSSES), ("uniform", ())):
        assert published.table2(method, 1.0, 30) == published.table1(method, loss, 30)
    assert published.table2(SKYLINE, 1.0, 30) == published.SKYLINE_SCORES


def test_30_frames_take_a_tenth_of_the_flops_and_30_percent_less_time():
    """CVPR 2019, section 6, point 6."""
    few, whole = published.table3(30), published.table3(None)
    assert few.giga / whole.giga == pytest.approx(0.1, abs=0.005)
    assert few.hours / whole.hours == pytest.approx(0.7, abs=0.005)


def test_the_costs_of_table_3_equal_those_in_flops():
    by_source = {(row.source, row.giga) for row in flops.PUBLISHED_COST}
    assert by_source == (
        {(flops.CVPR, cost.giga) for cost in published.TABLE3.values()}
        | {(flops.EARLIER_PAPER, cost.earlier_giga) for cost in published.TABLE3.values()}
    )


@pytest.mark.parametrize("method", ["parallel", "serial"])
@pytest.mark.parametrize("loss", table4.LOSSES)
def test_the_final_columns_of_table_4_equal_table_1_at_30_frames(method, loss):
    assert published.table4(method, loss, False, 30) == published.table1(method, loss, 30)


def test_matching_intermediate_encodings_changes_gap_by_0_002_at_most():
    """CVPR 2019, section 6, point 5: no benefit."""
    changes = [
        published.table4(method, loss, True, 30)[GAP] - published.table4(method, loss, False, 30)[GAP]
        for method in ("parallel", "serial")
        for loss in table4.LOSSES
    ]
    assert max(map(abs, changes)) == pytest.approx(0.002)
    assert published.table4("serial", ("rep",), True, 30) == (0.804, 0.395)
    assert published.table4("parallel", ALL_LOSSES, True, 30) == (0.804, 0.400)


@pytest.mark.parametrize("scores, k", [(published.TABLE5, 10), (published.TABLE5, 30), (published.TABLE6, 30)])
def test_students_of_other_families_are_above_uniform_and_below_their_skyline(scores, k):
    """CVPR 2019, section 6, points 7 and 8. GAP is higher than mAP; the paper prints mAP first."""
    for measure in (GAP, MAP):
        assert scores["uniform", k][measure] < scores["serial", k][measure] < scores[SKYLINE, None][measure]
    assert all(gap > mean_ap for gap, mean_ap in scores.values())


def test_nextvlad_with_30_frames_takes_a_tenth_of_the_flops():
    """CVPR 2019, Table 6: 1.337 and 0.134 billion."""
    assert published.TABLE6_GIGA["serial", 30] / published.TABLE6_GIGA[SKYLINE, None] == pytest.approx(0.1, abs=0.001)
    assert published.TABLE6_GIGA["serial", 30] == published.TABLE6_GIGA["uniform", 30]


def test_numbers_that_the_papers_lack_are_none():
    assert published.table1("uniform", (), 7) == (None, None)
    assert published.table1("parallel", ("pred",), 30) == (None, None)
    assert published.table2("serial", 0.1, 20) == published.table2(SKYLINE, 0.5, 30) == (None, None)
    assert published.table3(15).hours is published.table3(15).giga is None
    assert published.table4("serial", ("rep",), True, 20) == (None, None)
    assert published.table5("uniform", 20) == published.table6("uniform", 10) == (None, None)


def test_table_1_has_every_row_that_is_trained():
    rows = table1.METHODS_AND_LOSSES[1:]  # the Skyline has no k
    assert set(published.TABLE1) == {(method, loss, k) for method, loss in rows for k in PAPER_KS}


def test_the_baselines_of_the_slides_differ_from_table_1_only_in_random():
    same = {method for method in skipframe.BASELINES if published.skipframe(method, 10) == published.table1(method, (), 10)}
    assert set(skipframe.BASELINES) - same == {"random"}
    assert published.skipframe("random", 10) == (0.675, 0.251) and published.skipframe(SKYLINE, None) == (0.812, 0.414)


def test_skipframe_with_the_reward_gap_beats_uniform_and_the_others_do_not():
    """The slides: "GAP + Exp beats Uniform by slight margin of 0.6%", which is 0.005 in the table."""
    variants = [key for key in published.SKIPFRAME if isinstance(key, tuple)]
    leads = {key: published.SKIPFRAME[key][GAP] - published.skipframe("uniform", 10)[GAP] for key in variants}
    assert leads.pop(("gap", "5-25")) == pytest.approx(0.005)
    assert len(leads) == 4 and max(leads.values()) < 0


def test_a_decision_costs_as_much_as_20_products_with_a_state_of_4096_numbers():
    assert published.DECISION_MULTIPLY_ADDS == 4096 * len(SkipFrameSettings(skip_actions="5-25").skips)
    assert (published.table3(None).giga, published.table3(10).giga) == (5.058, 0.167)  # also in the slides


def test_the_slides_have_no_scores_for_other_budgets_or_skips():
    assert published.skipframe("skipframe", 4, "gap", "5-25") == (None, None)
    assert published.skipframe("skipframe", 10, "gap", "1-4") == (None, None)
    assert published.skipframe("uniform", 6) == published.skipframe("parallel", 10) == (None, None)
