"""SkipFrame's recipe: its table, the figure and table of the frames that are read, and the cost."""

import re

import pytest

from reproduce import published, tables
from reproduce.grid import Grid
from reproduce.measurements import choices_path
from reproduce.recipes import skipframe
from reproduce.results import FOLDER, Results, write_versioned
from reproduce.trials import HRNN, Trial
from tests.reproduce.made_up import made_up_result

GRID = Grid(ks=(6, 10), seeds=2)
SMALL = Grid(ks=(4,), skip_actions="1-4")


def with_choices(folder, grid, distance=0.25):
    """Made-up results, and records in which frame j is at index 10 j, or 10 j + 2 for every second seed."""
    trials = grid.trials(skipframe.plan(grid))
    for trial in trials:
        if trial.k and not skipframe.is_control(trial):
            reads = [{"mean": 10.0 * j + 2 * trial.seed, "deviation": 1.0, "num_videos": 8} for j in range(trial.k)]
            decision = {"decision_multiply_adds": 5_120} if trial.reward else {}
            about = {"num_videos": 8, "video_frames": 234.4, "frames_read": 9.5, "distance": distance, **decision}
            write_versioned(choices_path(folder, trial), {**about, "reads": reads})
    return Results(map(made_up_result, trials), folder=folder / FOLDER)


def outputs(folder, grid=GRID, **options):
    return {(type(one).__name__, one.name): one for one in skipframe.outputs(with_choices(folder, grid, **options), grid)}


def test_the_table_has_the_rows_of_the_slides_and_the_control(tmp_path):
    table = outputs(tmp_path)["Table", "skipframe"]
    assert [(row.section, *row.labels) for row in table.rows] == [
        ("", "Skyline", "", ""),
        *(("Baseline methods", f"{title}-10", "", "") for title in ("Uniform", "Random", "First", "Middle", "Last")),
        ("Control, not in the slides", "SkipFrame's LSTM on Uniform-10", "", ""),
        ("SkipFrame", "SkipFrame", "delayed", "5-25"),
        ("SkipFrame", "SkipFrame", "immediate", "5-25"),
        ("SkipFrame", "SkipFrame", "delayed", "alt-5-25"),
        ("SkipFrame", "SkipFrame", "immediate", "alt-5-25"),
        ("SkipFrame", "SkipFrame", "GAP", "5-25"),
    ]
    assert [value.paper for row in table.rows for value in row.values[:2] if value.paper] == [
        number for scores in published.SKIPFRAME.values() for number in scores
    ]
    assert str(table.rows[-1].values[2]) == "9.5 ± 0.0" and table.rows[0].values[2] is None
    assert "A held-out video has 234 frames on average; 230 in the slides." in table.note
    assert "not those of the slides" not in table.note


def test_each_score_is_in_the_row_of_its_trial():
    distinct = Results(made_up_result(trial, 0.6 + n / 100) for n, trial in enumerate(skipframe.plan(GRID)))
    table = skipframe.outputs(distinct, GRID)[0]
    found = [(row.values[0].mean, row.values[1].mean) for row in table.rows]
    assert found == [(0.6 + n / 100, (0.6 + n / 100) / 2) for n in range(12)]


def test_other_budgets_and_skips_are_reported_and_have_no_numbers_of_the_slides(tmp_path):
    table = outputs(tmp_path, SMALL)["Table", "skipframe"]
    assert "budget is 4 frames, with skips 1-4, which are not those of the slides (10 and 5-25)" in table.note
    assert [row.labels for row in table.rows if row.values[0].paper is not None] == [("Skyline", "", "")]


def test_the_frames_that_are_read_are_means_over_seeds(tmp_path):
    table = outputs(tmp_path)["Table", "skipframe_frames"]
    assert [row.labels[0] for row in table.rows][::5] == ["Uniform-10", "SkipFrame delayed 5-25"]
    uniform, gap = table.rows[0].values, table.rows[-1].values
    assert [value.mean for value in uniform[:10]] == [10 * j + 1 for j in range(10)]
    assert str(gap[10]) == "0.250 ± 0.000" and (uniform[11], gap[11]) == ("", "holds")


@pytest.mark.parametrize(
    "distances, spread, verdict",
    [
        ([0.4], None, "holds"),
        ([0.6], None, "does not hold"),
        ([0.3, 0.5], 0.05, "holds"),  # the margin is 2 * 0.05 / sqrt(2) = 0.07
        ([0.4, 0.5], 0.05, "undecided"),
        ([0.5, 0.6], 0.05, "undecided"),
        ([0.6, 0.6], 0.05, "does not hold"),
    ],
)
def test_frames_are_near_evenly_spaced_ones_within_half_a_spacing(distances, spread, verdict):
    assert skipframe.is_near(distances, spread) == verdict


def test_the_figure_has_a_curve_with_its_gap_for_each_model(tmp_path):
    results = with_choices(tmp_path, GRID)
    (figure,) = [output for output in skipframe.outputs(results, GRID) if not isinstance(output, tables.Table)]
    texts = [{text.get_text() for text in axes.texts} for axes in figure.figure.axes]
    gap = f"{skipframe._gap(results, skipframe.skip_frame(GRID, 'gap')):.3f}"
    assert len(texts[0]) == 5 + 1 and len(texts[1]) == 1 + 5
    assert f"GAP 5-25 {gap}" in texts[0] & texts[1] and any(re.fullmatch(r"Random-10 0\.\d{3}", text) for text in texts[0])
    assert f"SkipFrame GAP 5-25 at frame 91 with GAP {gap}" in figure.alt


def test_the_cost_has_the_numbers_of_the_slides(tmp_path):
    table = outputs(tmp_path)["Table", "skipframe_cost"]
    assert [(row.labels, *map(tables.text_of, row.values)) for row in table.rows] == [
        (("Skyline", "300"), "5.058 (5.058)", "5.7160", ""),
        (("Uniform-10", "10"), "0.184 (0.167)", "0.2060", ""),
        (("SkipFrame", "10"), "0.184 (0.167)", "0.2060", "5.12 (81.92)"),
    ]


def test_without_records_of_frames_the_scores_and_costs_are_shown(tmp_path):
    results = with_choices(tmp_path / "elsewhere", GRID)
    results.folder = tmp_path
    assert [output.name for output in skipframe.outputs(results, GRID)] == ["skipframe", "skipframe_cost"]


def test_every_network_but_the_skyline_and_the_control_is_recorded():
    assert [trial.name for trial in skipframe.frame_choices(SMALL)[:2]] == [
        Trial(HRNN, method, 4).name for method in ("uniform", "random")
    ]
    assert len(skipframe.frame_choices(SMALL)) == 10
