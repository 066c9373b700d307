"""The MOD paper's tables show each number in its place, and the verdicts follow the rules."""

import pytest

from reproduce import published, verdicts
from reproduce.grid import Grid
from reproduce.recipes import SEGMENT_RECIPES, mod_figures34, mod_table1, mod_table2
from reproduce.results import Results, read_result, write_result
from reproduce.segment_findings import judge
from reproduce.segment_rows import ROWS, TABLE1, TABLE2
from reproduce.segment_tables import paired_differences
from reproduce.tables import SEGMENT_MEASURES
from tests.reproduce.made_up_segments import made_up_segments_result, results_of

FULL = Grid()
CLASSES = {"average_precision": [0.5], "num_positives": [3]}


def everything():
    trials = {trial: None for recipe in SEGMENT_RECIPES.values() for trial in FULL.trials(recipe.plan(FULL))}
    return Results(map(made_up_segments_result, trials))


def test_selected_numbers_of_the_paper_equal_the_printed_ones():
    """Read from MOD 2019, Tables 1 and 2."""
    assert published.MOD_TABLE1["DBoF Baseline"] == (16, 0.69882, 0.71077)
    assert published.MOD_TABLE1["NeXtVLAD_distill"] == (83, 0.81509, 0.82267)
    assert published.MOD_TABLE2["MixNeXtVLAD (T=10)"] == (250, 0.81617, 0.82477)
    assert published.MOD_TABLE2["MixNeXtVLAD_large (T=20)"] == (1280, 0.82262, 0.83014)


def test_the_numbers_of_the_paper_rise_from_row_to_row():
    """MOD 2019, section 4.3: every row of both tables is better than the one before it."""
    for rows in (published.MOD_TABLE1, published.MOD_TABLE2):
        for column in ("private", "public"):
            scores = [getattr(paper, column) for paper in rows.values()]
            assert scores == sorted(scores)


@pytest.mark.parametrize("recipe, rows", [(mod_table1, TABLE1), (mod_table2, TABLE2)], ids=["table1", "table2"])
def test_each_number_is_in_the_row_of_its_trial(recipe, rows):
    scores = {row.title: [0.5 + number / 100] for number, row in enumerate(rows)}
    (table,) = recipe.outputs(results_of(scores), FULL)
    place = {title: index for index, title in enumerate(table.titles)}
    assert [row.labels for row in table.rows] == [(row.title,) for row in rows]
    for line, row in zip(table.rows, rows):
        assert line.values[place["MAP@K"]].mean == pytest.approx(scores[row.title][0])
        assert line.values[place["base networks"]] == str(row.num_base)
        assert line.values[place["parameters in millions"]].paper == row.paper.parameters
        assert line.values[place["paper private"]] == f"{row.paper.private:.5f}"
        assert line.values[place["paper public"]] == f"{row.paper.public:.5f}"
    assert table.to_markdown() and table.to_csv()


def test_table_2_scores_one_network_of_each_mixture_alone():
    (table,) = mod_table2.outputs(results_of({"MODNeXtVLAD (T=20)": [0.8]}), FULL)
    (line,) = table.rows
    assert line.values[table.titles.index("MAP@K of one network")].mean == pytest.approx(0.7)


def test_the_distilled_network_of_table_1_is_one_of_the_mod():
    (table,) = mod_table1.outputs(results_of({"NeXtVLAD_distill": [0.6]}), FULL)
    (line,) = table.rows
    assert line.labels == ("NeXtVLAD_distill",) and line.values[0] == "1" and line.values[2].mean == pytest.approx(0.6)


def test_differences_are_of_common_seeds_and_the_sentence_has_the_verdict():
    scores = {"Dummy prediction": [0.60, 0.62, 0.61], "DBoF Baseline": [0.70, 0.70]}
    results = results_of(scores)
    assert paired_differences(ROWS["DBoF Baseline"], results) == pytest.approx([0.10, 0.08])
    (table,) = mod_table1.outputs(results, FULL)
    assert table.rows[1].values[-3].mean == pytest.approx(0.09)
    # Means 0.70 and 0.61. s² = (2 * 0.01² + 0) / 3, so s = 0.008165. The margin is 2 s sqrt(1/3 + 1/2) = 0.0149.
    assert table.rows[1].values[-1] == (
        "Better than Dummy prediction: holds. The means differ by +0.090 (margin 0.015, paper +0.051)."
    )
    assert "s = 0.0082" in table.note


def test_a_row_whose_reference_is_not_finished_says_so():
    (table,) = mod_table1.outputs(results_of({"NeXtVLAD_large": [0.8]}), FULL)
    assert [str(value) for value in table.rows[0].values[-2:]] == ["NeXtVLAD", "Not run."]


def found(scores):
    """The verdict on each finding, by statement."""
    judged = judge(results_of(scores), None)
    return {finding.statement: finding.judgements["map_at_k"].verdict for finding in judged}


def test_every_claim_of_the_paper_is_judged():
    judged = judge(everything(), None)
    assert len(judged) == 5 + 6 + 4
    assert all(finding.judgements["map_at_k"].num_run for finding in judged)
    summary, comparisons = verdicts.as_tables(judged, SEGMENT_MEASURES)
    assert len(summary.rows) == len(comparisons.rows) == 15


@pytest.mark.parametrize(
    "ours, reference, verdict",
    [
        ([0.82, 0.80], [0.70, 0.72], "holds"),
        ([0.70, 0.72], [0.82, 0.80], "does not hold"),
        ([0.71, 0.73], [0.70, 0.72], "undecided"),
    ],
)
def test_a_difference_counts_only_beyond_its_margin(ours, reference, verdict):
    """Both spreads are 0.0141, so the margin is 0.0283."""
    verdicts = found({"MixNeXtVLAD (T=1)": ours, "MixNeXtVLAD (T=0)": reference})
    assert verdicts["MixNeXtVLAD (T=1) is above MixNeXtVLAD (T=0)."] == verdict


@pytest.mark.parametrize(
    "ours, verdict", [(0.7001, "holds"), (0.7049, "undecided"), (0.72, "does not hold"), (0.68, "does not hold")]
)
def test_a_similar_row_must_be_within_the_limit_and_the_margin(ours, verdict):
    """s is 0.0001414 and the margin 0.000283."""
    scores = {"MixNeXtVLAD (T=0)": [ours, ours + 0.0002], "NeXtVLAD_large": [0.7, 0.7002]}
    assert found(scores)["MixNeXtVLAD (T=0) is within 0.005 of NeXtVLAD_large."] == verdict


def test_without_two_seeds_only_the_sign_counts():
    verdicts = found({"NeXtVLAD": [0.8], "NeXtVLAD, no pretraining": [0.7999]})
    assert verdicts["NeXtVLAD is above NeXtVLAD, no pretraining."] == "holds"
    assert verdicts["NeXtVLAD_large is above NeXtVLAD."] == "not run"


def test_the_figures_describe_their_curves():
    results = everything()
    figure3, figure4 = mod_figures34.outputs(results, FULL)
    assert (figure3.name, figure4.name) == ("mod_figure3", "mod_figure4")
    assert len(figure3.figure.axes) == len(figure4.figure.axes) == 2
    drawn = [axes.lines[0].get_ydata() for axes in figure3.figure.axes]
    # Made-up curves fall from 1 to 0.05. With T², those on segments are 400 times as high.
    assert drawn[0][0] == pytest.approx(1.0) and drawn[1][0] == pytest.approx(400.0)
    assert "Videos, T=1: from 0.75 over a lowest 0.0513 to 0.0513" in figure3.caption
    assert "regularization loss" in figure4.alt and figure4.to_svg()


def test_a_figure_of_the_pretraining_alone_has_one_panel():
    pretrained = made_up_segments_result(mod_figures34.FINE_TUNED.prerequisite)
    figure3, _ = mod_figures34.outputs(Results([pretrained]), FULL)
    assert len(figure3.figure.axes) == 1


def test_a_result_on_segments_is_read_back_unchanged(tmp_path):
    result = made_up_segments_result(mod_figures34.FINE_TUNED)
    write_result(tmp_path, result, CLASSES)
    found = read_result(tmp_path / "results" / f"{result.trial.name}.json")
    assert found.trial == result.trial and found.networks == result.networks
    assert found.losses["label_loss"][0] == [10, 1.0]
