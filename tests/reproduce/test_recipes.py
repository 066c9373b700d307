"""Every recipe is a lab note, trains what the paper did, and shows what of it is finished, each number in its place."""

import statistics

import pytest

from reproduce import figures, published, tables
from reproduce.cells import ALL_LOSSES, HRNN, NETVLAD, NEXTVLAD, SKYLINE, Cell
from reproduce.grid import Grid
from reproduce.recipes import RECIPES, table1, table3, table4, table5, table6
from reproduce.results import Results
from tests.reproduce.made_up import made_up_result, made_up_results

FULL, SMALL = Grid(), Grid(ks=(6, 10, 30), seeds=3)
# Trainings with one seed, teachers among them: Table 1 has 6 baselines and 8 students at each of 5 k, and the Skyline.
NUM_CELLS = {
    "table1": 1 + 5 * (6 + 8),
    "figure2": 1 + 6,
    "table2": 4 * 3,
    "table3": 1 + 5,
    "table4": 1 + 12,
    "table5": 1 + 2 * 2,
    "table6": 3,
    "figure3": 2,
    "cost": 1 + 5 * (6 + 2),
    "classes": 3,
}
TABLES = ("table1", "table2", "table3", "table4", "table5", "table6")
every_recipe = pytest.mark.parametrize("name", RECIPES)
METHODS = {title: method for method, title in tables.METHOD_TITLES.items()}
PUBLISHED = {
    "table1": lambda cell: published.table1(cell.method, cell.student_loss, cell.k),
    "table2": lambda cell: published.table2(cell.method, cell.train_fraction, cell.k),
    "table4": lambda cell: published.table4(cell.method, cell.student_loss, cell.match_intermediate, cell.k),
    "table5": lambda cell: published.table5(cell.method, cell.k),
    "table6": lambda cell: published.table6(cell.method, cell.k),
}
LOSSES = {tables.loss_title(loss): loss for _, loss in table1.METHODS_AND_LOSSES}


@pytest.fixture(scope="module")
def results():
    return {grid: made_up_results(grid) for grid in (FULL, SMALL)}


def part_of(results, number):
    """Every second cell, from the first or the second on; the timings with the first half."""
    kept = sorted(results, key=lambda result: result.cell.name)[number::2]
    return Results(kept, results.timings if number == 0 else {})


@every_recipe
def test_a_recipe_says_what_it_asks_how_and_what_the_paper_found(name):
    recipe = RECIPES[name]
    assert f"python -m reproduce {name} " in recipe.__doc__
    assert recipe.QUESTION.endswith("?")
    assert recipe.TITLE and recipe.EXPECTED.endswith(".")


def shown(name, results, grid):
    """The tables of a recipe that are made of results."""
    return [output for output in RECIPES[name].outputs(results, grid) if output.name != "cost_parts"]


@every_recipe
@pytest.mark.parametrize("grid", [FULL, SMALL, Grid(ks=(20,))], ids=["full", "small", "one k"])
def test_a_plan_has_each_cell_once_and_leaves_seeds_to_the_grid(name, grid):
    cells = RECIPES[name].plan(grid)
    assert len(set(cells)) == len(cells)
    assert {cell.seed for cell in cells} == {0}
    assert {cell.k for cell in cells} <= {None, *grid.ks}


@every_recipe
def test_a_full_grid_trains_as_many_networks_as_the_paper(name):
    assert len(FULL.cells(RECIPES[name].plan(FULL))) == NUM_CELLS[name]


@every_recipe
@pytest.mark.parametrize("grid", [FULL, SMALL], ids=["full", "small"])
def test_outputs_are_tables_and_figures(name, grid, results):
    outputs = RECIPES[name].outputs(results[grid], grid)
    assert all(isinstance(output, tables.Table | figures.Figure) for output in outputs)
    assert outputs or name not in TABLES


def test_no_two_outputs_are_written_to_one_file(results):
    """Tables and figures go to folders of their own."""
    outputs = [output for recipe in RECIPES.values() for output in recipe.outputs(results[FULL], FULL)]
    assert len({(type(output), output.name) for output in outputs}) == len(outputs)


@every_recipe
def test_nothing_is_shown_of_nothing(name):
    assert RECIPES[name].outputs(Results(), FULL) == []


@every_recipe
@pytest.mark.parametrize("number", [0, 1])
def test_half_of_the_cells_are_shown_without_the_others(name, number, results):
    for output in RECIPES[name].outputs(part_of(results[SMALL], number), SMALL):
        if isinstance(output, tables.Table):
            assert output.to_markdown() and output.to_csv()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_one_cell_has_its_rows_alone(name, results):
    """The last of the plan; the row of the Skyline would be another."""
    cell = RECIPES[name].plan(FULL)[-1]
    table = shown(name, Results([results[FULL].get(cell)]), FULL)[0]
    assert len(table.rows) == 1


@pytest.mark.parametrize("name", TABLES)
def test_rows_that_are_not_wanted_are_left_out(name, results):
    grid = Grid(methods=("uniform",))
    labels = {row.labels[0] for table in shown(name, results[FULL], grid) for row in table.rows}
    assert labels <= {"Uniform-k", *(f"k={k}" for k in grid.ks)}


def test_families_that_are_not_wanted_are_left_out(results):
    grid = Grid(families=(NETVLAD,))
    assert [name for name in TABLES if shown(name, results[FULL], grid)] == ["table5"]


def cell_of(name, labels, group):
    """The Cell of which a table says to show the scores, read from its words alone."""
    method = METHODS[labels[0]]
    k = None if method == SKYLINE else int(group.removeprefix("k=")) if group.startswith("k=") else 30
    loss = LOSSES[labels[1]] if len(labels) > 1 else ALL_LOSSES if method == "serial" else ()
    return Cell(
        {"table5": NETVLAD, "table6": NEXTVLAD}.get(name, HRNN),
        method,
        k,
        loss,
        group == "Intermediate",
        int(group.partition("%")[0]) / 100 if "%" in group else 1.0,
    )


@pytest.mark.parametrize("name", [name for name in TABLES if name != "table3"])
def test_each_score_stands_under_its_k_and_measure_beside_its_method(name):
    """All scores differ: GAP from 0.6 on in steps of 0.0001, mAP half of it."""
    cells = {cell: None for recipe in RECIPES.values() for cell in FULL.cells(recipe.plan(FULL))}
    distinct = Results(made_up_result(cell, 0.6 + number / 10_000) for number, cell in enumerate(cells))
    (table,) = RECIPES[name].outputs(distinct, FULL)
    found = set()
    for row in table.rows:
        for (group, title), value in zip(table.columns, row.values):
            if title in tables.MEASURES.values():
                cell = cell_of(name, row.labels, group)
                score = distinct.get(cell).score({"GAP": "gap_at_20", "mAP": "mean_average_precision"}[title])
                figure = PUBLISHED[name](cell)[{"GAP": 0, "mAP": 1}[title]]
                assert (value.mean, value.paper) == (score, figure), (row.labels, group, title)
                found.add((cell, title))
    assert found == {(cell, title) for cell in RECIPES[name].plan(FULL) for title in ("GAP", "mAP")}


def test_table_1_is_laid_out_as_the_papers(results):
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
    ]
    assert table.columns == tuple((f"k={k}", measure) for k in (6, 10, 15, 20, 30) for measure in ("GAP", "mAP"))
    uniform = table.rows[1]
    assert [value.paper for value in uniform.values][:4] == [0.715, 0.266, 0.759, 0.324]


def test_several_seeds_are_shown_by_mean_and_deviation(results):
    (table,) = table1.outputs(results[SMALL], SMALL)
    uniform = next(row for row in table.rows if row.labels[0] == "Uniform-k").values[0]
    scores = [results[SMALL].get(Cell(HRNN, "uniform", 6, seed=seed)).score() for seed in range(3)]
    assert (uniform.mean, uniform.deviation, uniform.count) == pytest.approx(
        (statistics.fmean(scores), statistics.stdev(scores), 3)
    )


def test_at_a_k_that_the_paper_has_not_there_is_no_figure_of_it():
    grid = Grid(ks=(8, 12))
    made_up = made_up_results(grid)
    for name in TABLES:
        for table in shown(name, made_up, grid):
            values = [value for row in table.rows if row.labels[0] != "Teacher-Skyline" for value in row.values]
            assert all(value.paper is None for value in values if isinstance(value, tables.Value)), name


def test_table_3_sets_cost_and_speed_of_each_k_beside_the_skylines(results):
    """Made-up networks cost 19e6 * frames + 16e6, and predict 30,150 / frames videos a second, the median of two."""
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
    # The formula gives the paper's figure of k=10 for 9 frames.
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
    uniform = Results([results[FULL].get(Cell(HRNN, "uniform", 6))])
    ((row,), note) = [(table.rows, table.note) for table in table3.outputs(uniform, FULL)][0]
    assert list(map(tables.text_of, row.values)) == ["6", "0.117", "0.130", "", "", ""]
    assert "Videos a second" not in note


def test_table_4_says_which_terms_its_third_line_has(results):
    (table,) = table4.outputs(results[FULL], FULL)
    assert [row.labels for row in table.rows][2] == ("Parallel", "L_rep, L_pred, L_CE")
    assert [value.paper for value in table.rows[5].values] == [0.806, 0.405, 0.806, 0.405]
    assert "L_rep + L_pred" in table.note


def test_table_5_has_the_papers_two_k_rising(results):
    (table,) = table5.outputs(results[FULL], FULL)
    assert [group for group, _ in table.columns] == ["k=10", "k=10", "k=30", "k=30"]
    (table,) = table5.outputs(results[FULL], Grid(ks=(30,)))
    assert [group for group, _ in table.columns] == ["k=30", "k=30"]


def test_table_6_has_the_cost_of_each_network(results):
    (table,) = table6.outputs(results[FULL], FULL)
    assert [[str(value) for value in row.values[2:]] for row in table.rows] == [
        ["1.337 (1.337)", "5.716"],
        ["0.134 (0.134)", "0.586"],
        ["0.134 (0.134)", "0.586"],
    ]


def test_notes_say_on_how_many_videos_scores_are(results):
    (table,) = table1.outputs(results[FULL], FULL)
    assert table.note.startswith("Ours on 1,000 held-out videos")
