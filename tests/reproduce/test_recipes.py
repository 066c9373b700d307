"""Every recipe documents itself, trains what the paper trained, and shows what is finished, each number in its place."""

import statistics

import pytest

from reproduce import figures, published, tables
from reproduce.grid import Grid
from reproduce.recipes import EVERY_RECIPE, RECIPES, table1, table3, table4, table5, table6
from reproduce.results import Results
from reproduce.trials import ALL_LOSSES, CONTROL_LOSS, HRNN, NETVLAD, NEXTVLAD, SKYLINE, Trial
from tests.reproduce.made_up import made_up_result, made_up_results

FULL, SMALL = Grid(), Grid(ks=(6, 10, 30), seeds=3)
# Trainings with one seed, including teachers: Table 1 has 6 baselines, 8 students, and the control at each of 5 k, and the
# Skyline.
NUM_TRIALS = {
    "table1": 1 + 5 * (6 + 8 + 1),
    "figure2": 1 + 6,
    "table2": 4 * 4,
    "table3": 1 + 5,
    "table4": 1 + 12 + 1,
    "table5": 1 + 2 * 3,
    "table6": 4,
    "skipframe": 1 + 5 + 1 + 5,
    "best": 1 + 5 * (1 + 4),
    "figure3": 2,
    "cost": 1 + 5 * (6 + 2 + 1),
    "classes": 3,
}
TABLES = ("table1", "table2", "table3", "table4", "table5", "table6")
every_recipe = pytest.mark.parametrize("name", RECIPES)
METHODS = {title: method for method, title in tables.METHOD_TITLES.items()}
PUBLISHED = {
    "table1": lambda trial: published.table1(trial.method, trial.student_loss, trial.k),
    "table2": lambda trial: published.table2(trial.method, trial.train_fraction, trial.k),
    "table4": lambda trial: published.table4(trial.method, trial.student_loss, trial.match_intermediate, trial.k),
    "table5": lambda trial: published.table5(trial.method, trial.k),
    "table6": lambda trial: published.table6(trial.method, trial.k),
}
OWN_LOSSES = {"serial": ALL_LOSSES, tables.CONTROL: CONTROL_LOSS}  # in tables without a column for the loss
LOSSES = {tables.loss_title(loss): loss for loss in (*(loss for _, loss in table1.METHODS_AND_LOSSES), CONTROL_LOSS)}


@pytest.fixture(scope="module")
def results():
    return {grid: made_up_results(grid) for grid in (FULL, SMALL)}


def part_of(results, number):
    """Every second trial, starting with number 0 or 1; number 0 also has the timings."""
    kept = sorted(results, key=lambda result: result.trial.name)[number::2]
    return Results(kept, results.timings if number == 0 else {})


@pytest.mark.parametrize("name", EVERY_RECIPE)
def test_a_recipe_documents_its_question_command_and_expected_outcome(name):
    recipe = EVERY_RECIPE[name]
    assert f"python -m reproduce {name} " in recipe.__doc__
    assert recipe.QUESTION.endswith("?")
    assert recipe.TITLE and recipe.EXPECTED.endswith(".")


def shown(name, results, grid):
    """The tables of a recipe that depend on results."""
    return [output for output in RECIPES[name].outputs(results, grid) if output.name != "cost_parts"]


@every_recipe
@pytest.mark.parametrize("grid", [FULL, SMALL, Grid(ks=(20,))], ids=["full", "small", "one k"])
def test_a_plan_has_no_duplicates_and_only_seed_0(name, grid):
    trials = RECIPES[name].plan(grid)
    assert len(set(trials)) == len(trials)
    assert {trial.seed for trial in trials} == {0}
    assert {trial.k for trial in trials} <= {None, *grid.ks}


@every_recipe
def test_a_full_grid_trains_as_many_networks_as_the_paper_and_controls(name):
    assert len(FULL.trials(RECIPES[name].plan(FULL))) == NUM_TRIALS[name]


def test_outputs_are_tables_and_figures_and_no_two_have_the_same_file(results):
    """Tables and figures have separate folders."""
    outputs = {name: recipe.outputs(results[FULL], FULL) for name, recipe in RECIPES.items()}
    together = [output for of_recipe in outputs.values() for output in of_recipe]
    assert all(isinstance(output, tables.Table | figures.Figure) for output in together)
    assert all(outputs[name] for name in TABLES)
    assert len({(type(output), output.name) for output in together}) == len(together)


@pytest.mark.parametrize("name", EVERY_RECIPE)
def test_there_are_no_outputs_without_results(name):
    assert EVERY_RECIPE[name].outputs(Results(), FULL) == []


@every_recipe
@pytest.mark.parametrize("number", [0, 1])
def test_half_of_the_trials_can_be_shown(name, number, results):
    for output in RECIPES[name].outputs(part_of(results[SMALL], number), SMALL):
        if isinstance(output, tables.Table):
            assert output.to_markdown() and output.to_csv()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_one_trial_has_one_row(name, results):
    """The last trial of the plan, without the row of the Skyline."""
    trial = RECIPES[name].plan(FULL)[-1]
    table = shown(name, Results([results[FULL].get(trial)]), FULL)[0]
    assert len(table.rows) == 1


@pytest.mark.parametrize("name", TABLES)
def test_methods_outside_the_grid_are_left_out(name, results):
    grid = Grid(methods=("uniform",))
    labels = {row.labels[0] for table in shown(name, results[FULL], grid) for row in table.rows}
    assert labels <= {"Uniform-k", *(f"k={k}" for k in grid.ks)}


def test_families_outside_the_grid_are_left_out(results):
    grid = Grid(families=(NETVLAD,))
    assert [name for name in TABLES if shown(name, results[FULL], grid)] == ["table5"]


def trial_of(name, labels, group):
    """The Trial whose scores a table claims to show, derived from its texts."""
    row = METHODS[labels[0]]
    method = "serial" if row == tables.CONTROL else row
    k = None if method == SKYLINE else int(group.removeprefix("k=")) if group.startswith("k=") else 30
    loss = LOSSES[labels[1]] if len(labels) > 1 else OWN_LOSSES.get(row, ())
    return Trial(
        {"table5": NETVLAD, "table6": NEXTVLAD}.get(name, HRNN),
        method,
        k,
        loss,
        group == "Intermediate",
        int(group.partition("%")[0]) / 100 if "%" in group else 1.0,
    )


@pytest.mark.parametrize("name", [name for name in TABLES if name != "table3"])
def test_each_score_is_in_the_row_and_column_of_its_trial(name):
    """All scores differ: GAP increases from 0.6 in steps of 0.0001, and mAP is half of it."""
    trials = {trial: None for recipe in RECIPES.values() for trial in FULL.trials(recipe.plan(FULL))}
    distinct = Results(made_up_result(trial, 0.6 + number / 10_000) for number, trial in enumerate(trials))
    (table,) = RECIPES[name].outputs(distinct, FULL)
    found = set()
    for row in table.rows:
        for (group, title), value in zip(table.columns, row.values):
            if title in tables.MEASURES.values() and value is not None:
                trial = trial_of(name, row.labels, group)
                score = distinct.get(trial).score({"GAP": "gap_at_20", "mAP": "mean_average_precision"}[title])
                figure = None if trial.is_control else PUBLISHED[name](trial)[{"GAP": 0, "mAP": 1}[title]]
                assert (value.mean, value.paper) == (score, figure), (row.labels, group, title)
                found.add((trial, title))
    assert found == {(trial, title) for trial in RECIPES[name].plan(FULL) for title in ("GAP", "mAP")}


def test_table_1_has_the_layout_of_the_paper(results):
    (table,) = table1.outputs(results[FULL], FULL)
    assert [(row.section, *row.labels) for row in table.rows] == [
        ("", "Teacher-Skyline", ""),
        *(
            ("Baseline methods", title, "")
            for title in ("Uniform-k", "Random-k", "First-k", "Middle-k", "Last-k", "First-Middle-Last-k")
        ),
        *(("Teacher-student methods", "Parallel", loss) for loss in ("L_rep", "L_rep, L_CE", "L_rep, L_pred, L_CE")),
        *(
            ("Teacher-student methods", "Serial", loss)
            for loss in ("L_rep", "L_pred", "L_rep, L_CE", "L_pred, L_CE", "L_rep, L_pred, L_CE")
        ),
        ("Not in the papers", "Control: label loss alone", "L_CE"),
    ]
    assert table.columns == tuple((f"k={k}", measure) for k in (6, 10, 15, 20, 30) for measure in ("GAP", "mAP"))
    uniform = table.rows[1]
    assert [value.paper for value in uniform.values][:4] == [0.715, 0.266, 0.759, 0.324]


def test_every_table_of_students_has_the_control_and_tells_what_it_is_for(results):
    for name in ("table1", "table2", "table4", "table5", "table6", "cost"):
        found = [output for output in RECIPES[name].outputs(results[FULL], FULL) if isinstance(output, tables.Table)]
        controls = [row for row in found[0].rows if row.labels[0] == "Control: label loss alone"]
        assert controls and "no claim about distillation should be made" in found[0].note, name
        for row in controls:
            assert all(value.paper is None for value in row.values if isinstance(value, tables.Value)), name


def test_results_from_before_the_control_are_shown_without_its_row(results):
    before = Results(result for result in results[FULL] if not result.trial.is_control)
    for name in ("table1", "table2", "table4", "table5", "table6", "cost"):
        outputs = [output for output in RECIPES[name].outputs(before, FULL) if isinstance(output, tables.Table)]
        assert outputs and not any("Control" in row.labels[0] for row in outputs[0].rows), name


def test_table_1_has_a_row_for_each_student_recipe():
    grid = Grid(ks=(10, 30), student_recipes=("best", "release"))
    (table,) = table1.outputs(made_up_results(grid), grid)
    *_, control, best, release = [(row.section, *row.labels) for row in table.rows]
    assert control == ("Not in the papers", "Control: label loss alone", "L_CE")
    assert best == ("Not in the papers", "Serial, recipe best", "L_pred, L_CE")
    assert release == ("Not in the papers", "Serial, recipe release", "L_rep, L_pred, L_CE")
    assert "with the recipe cvpr2019," in table.note  # that of the other trials, in made_up.py


def test_several_seeds_are_shown_as_mean_and_deviation(results):
    (table,) = table1.outputs(results[SMALL], SMALL)
    uniform = next(row for row in table.rows if row.labels[0] == "Uniform-k").values[0]
    scores = [results[SMALL].get(Trial(HRNN, "uniform", 6, seed=seed)).score() for seed in range(3)]
    assert (uniform.mean, uniform.deviation, uniform.count) == pytest.approx(
        (statistics.fmean(scores), statistics.stdev(scores), 3)
    )


def test_there_is_no_paper_number_at_another_k():
    grid = Grid(ks=(8, 12))
    made_up = made_up_results(grid)
    for name in TABLES:
        for table in shown(name, made_up, grid):
            values = [value for row in table.rows if row.labels[0] != "Teacher-Skyline" for value in row.values]
            assert all(value.paper is None for value in values if isinstance(value, tables.Value)), name


def test_table_3_compares_cost_and_speed_with_the_skyline(results):
    """Made-up networks cost 19e6 * frames + 16e6 and predict 30,150 / frames videos per second, the median of two."""
    table, parts = table3.outputs(results[FULL], FULL)
    assert parts.name == "cost_parts"
    by_label = {row.labels[0]: row.values for row in table.rows}
    assert list(by_label) == ["Teacher-Skyline", "k=6", "k=10", "k=15", "k=20", "k=30"]
    assert [str(value) for value in by_label["k=30"]] == [
        "30",
        "0.520 (0.520)",
        "0.586",
        "0.103 (0.103)",
        "1,005",
        "0.100 (0.701)",
    ]
    # The paper's figure for k=10 is what the formula gives for 9 frames.
    assert [str(value) for value in by_label["k=10"][:2]] == ["10", "0.184 (0.167)"]
    assert [str(value) for value in by_label["Teacher-Skyline"]] == [
        "300",
        "5.058 (5.058)",
        "5.716",
        "1.000 (1.000)",
        "100",
        "1.000 (1.000)",
    ]
    assert "multiply-adds" in table.note and "1,000 videos on 2 cores" in table.note


def test_table_3_without_timings_or_skyline_leaves_gaps(results):
    uniform = Results([results[FULL].get(Trial(HRNN, "uniform", 6))])
    ((row,), note) = [(table.rows, table.note) for table in table3.outputs(uniform, FULL)][0]
    assert list(map(tables.text_of, row.values)) == ["6", "0.117", "0.130", "", "", ""]
    assert "Videos per second" not in note


def test_the_note_of_table_4_names_the_terms_of_its_third_row(results):
    (table,) = table4.outputs(results[FULL], FULL)
    assert [row.labels for row in table.rows][2] == ("Parallel", "L_rep, L_pred, L_CE")
    assert [value.paper for value in table.rows[5].values] == [0.806, 0.405, 0.806, 0.405]
    assert "L_rep + L_pred" in table.note


def test_table_5_has_the_two_k_of_the_paper(results):
    (table,) = table5.outputs(results[FULL], FULL)
    assert [group for group, _ in table.columns] == ["k=10", "k=10", "k=30", "k=30"]
    (table,) = table5.outputs(results[FULL], Grid(ks=(30,)))
    assert [group for group, _ in table.columns] == ["k=30", "k=30"]


def test_table_6_has_the_cost_of_each_network(results):
    (table,) = table6.outputs(results[FULL], FULL)
    assert [[str(value) for value in row.values[2:]] for row in table.rows] == [
        ["1.337 (1.337)", "5.716"],
        ["0.134 (0.134)", "0.586"],
        ["0.134", "0.586"],
        ["0.134 (0.134)", "0.586"],
    ]


def test_notes_report_the_number_of_held_out_videos(results):
    (table,) = table1.outputs(results[FULL], FULL)
    assert table.note.startswith("Our scores on 1,000 held-out videos")
