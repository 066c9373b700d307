"""Pictures: saved alike each time, every curve in its place and told apart without color, none of nothing."""

import dataclasses
import io
import json
import random
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.figure
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproduce import figures
from reproduce.cells import ALL_LOSSES, BASELINES, HRNN, NEXTVLAD, SKYLINE, STUDENTS, Cell
from reproduce.grid import Grid
from reproduce.recipes import classes, cost, figure2, figure3
from reproduce.results import Results, read_results, write_result
from reproduce.tables import METHOD_TITLES, Table
from tests.reproduce.made_up import made_up_result, made_up_results
from youtube8m_distill import schema

GRID = Grid(families=(HRNN,), ks=(6, 10, 30), seeds=2)
RECIPES = (figure2, figure3, cost, classes)
NUM_CLASSES = 60
ROLES = (schema.TEACHER, schema.STUDENT)
NAMES = ["Vehicle", "Food <b> & $5, $6"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Results of a folder where all recipes find what they show."""
    folder = tmp_path_factory.mktemp("experiment")
    made_up = made_up_results(GRID)
    for recipe in RECIPES:
        for cell in GRID.cells(recipe.plan(GRID)):
            write_result(folder, made_up.get(cell), class_scores(cell))
    (folder / "results" / "class_names.csv").write_text('class,name\n0,Vehicle\n1,"Food <b> & $5, $6"\n3,NA\n')
    (encoded,) = figure3.encodings(GRID)
    write_encodings(folder / "results" / "encodings" / encoded.name)
    results = read_results(folder)
    results.timings = made_up.timings
    return results


def class_scores(cell):
    """Class i has i videos; the student is below the Skyline by i hundredths of a half, above it in 55-59."""
    number = np.arange(NUM_CLASSES)
    change = {SKYLINE: 0, "serial": np.where(number < 55, -number / 200, (number - 54) / 100)}.get(cell.method, -0.4)
    return {"average_precision": np.where(number > 0, 0.5 + change, np.nan), "num_positives": number}


def write_encodings(path):
    path.parent.mkdir()
    rows = [
        {"video_id": f"v{video}", "class": video % 2, "role": role, "x": video, "y": -video}
        for role in ROLES
        for video in range(20)
    ]
    pd.DataFrame(rows).to_csv(f"{path}.csv", index=False)
    listed = [{"class": index, "num_videos": 10} for index in range(2)]
    about = {"format": 1, "classes": listed, "relative_distance": 0.125, "nearest_is_own": 0.75}
    with open(f"{path}.json", "w", encoding="utf-8") as file:
        json.dump(about, file)


def picture(recipe, results, name=None):
    """The figure of a recipe; by `name` where it has several."""
    found = {each.name: each for each in recipe.outputs(results, GRID) if isinstance(each, figures.Figure)}
    return found[name or recipe.__name__.rpartition(".")[2]]


def table(recipe, results):
    (found,) = [each for each in recipe.outputs(results, GRID) if isinstance(each, Table)]
    return found


def curves(axes):
    """The lines that have points, as lists of (x, y)."""
    return [
        list(zip(*map(np.ndarray.tolist, map(np.asarray, line.get_data()))))
        for line in axes.lines
        if line.get_marker() not in ("None", "", "_", "|")
    ]


def small_figure(name="small"):
    with figures.looks():
        figure, (axes,) = figures.panels(1, 3)
        axes.plot([1, 2], [3, 4])
        axes.set_title("Some text")
    return figures.Figure(name, "Title", "Caption.", "A line.", figure)


def test_a_figure_is_saved_twice_alike_as_png_and_as_svg_with_its_text(tmp_path):
    for folder in ("one", "other"):
        small_figure().save(tmp_path / folder)
    for name in ("small.png", "small.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["small.png", "small.svg"]
    assert "Some text</text>" in (tmp_path / "one" / "small.svg").read_text(encoding="utf-8")


def test_a_png_is_1050_pixels_wide():
    image = matplotlib.image.imread(io.BytesIO(small_figure().to_png()))
    assert image.shape[:2] == (450, 1050)  # 7 x 3 inches of 150 dots


def test_drawing_leaves_the_settings_of_others_alone():
    before = dict(matplotlib.rcParams)
    small_figure().to_svg()
    assert dict(matplotlib.rcParams) == before


RISING = st.lists(st.floats(0, 1), max_size=8).map(sorted)


@given(RISING, st.floats(0.01, 0.3), st.none() | st.floats(0, 1))
def test_names_are_apart_in_order_and_below_the_top(values, gap, highest):
    moved = figures.spread(values, gap, highest)
    assert len(moved) == len(values)
    assert all(after - before >= gap - 1e-9 for before, after in zip(moved, moved[1:]))
    assert highest is None or all(value <= highest + 1e-9 for value in moved)


@pytest.mark.parametrize(
    "values, moved",
    [
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]),  # far enough apart
        ([0.5, 0.5], [0.45, 0.55]),  # both give way by half
        ([0.0, 0.5, 0.5, 0.5], [0.0, 0.4, 0.5, 0.6]),
    ],
)
def test_names_move_no_more_than_they_must(values, moved):
    assert figures.spread(values, 0.1) == pytest.approx(moved)


def test_shades_lie_between_their_colors():
    assert figures.shade("black", "white", 0.25) == (0.25, 0.25, 0.25)
    assert figures.shade("#FF0000", "white", 0) == (1, 0, 0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_figure_is_described_and_no_letters_are_small(recipe, everything):
    pictures = [output for output in recipe.outputs(everything, GRID) if isinstance(output, figures.Figure)]
    assert pictures
    for each in pictures:
        assert each.title and each.caption.endswith(".") and each.alt.endswith(".")
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([0-9.]+)px", each.to_svg())]
        assert sizes and min(sizes) >= 9  # of 504 across: subscripts; all else has 12


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("grid", [GRID, Grid(families=(NEXTVLAD,))])
def test_nothing_is_shown_of_nothing(recipe, grid, tmp_path):
    assert recipe.outputs(Results(), grid) == []
    assert recipe.outputs(Results(folder=tmp_path), grid) == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_is_shown_of_a_family_that_is_not_wanted(recipe, everything):
    assert recipe.outputs(everything, Grid(families=(NEXTVLAD,), ks=GRID.ks)) == []


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("seed", range(4))
def test_any_cells_may_be_missing(recipe, everything, seed):
    kept = random.Random(seed).sample(list(everything), len(everything) // 2)
    for output in recipe.outputs(Results(kept, folder=everything.folder), GRID):
        output.to_svg() if isinstance(output, figures.Figure) else output.to_markdown()


def test_figure_2_draws_each_history_in_the_panel_of_its_loss(everything):
    figure = picture(figure2, everything)
    assert "k=30" in figure.title
    panels = figure.figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "(a) $L_{rep}$",
        "(b) $L_{rep}$, $L_{CE}$",
        "(c) $L_{rep}$, $L_{pred}$, $L_{CE}$",
    ]
    for axes, loss in zip(panels, figure2.LOSSES):
        runs = [
            (Cell(HRNN, SKYLINE), schema.TEACHER),
            (Cell(HRNN, "serial", 30, loss), schema.STUDENT),
            (Cell(HRNN, "parallel", 30, loss), schema.TEACHER),
            (Cell(HRNN, "parallel", 30, loss), schema.STUDENT),
        ]
        assert curves(axes) == [
            [(point["epoch"], point["gap_at_20"]) for point in everything.get(cell).history[role]] for cell, role in runs
        ]
    assert len({axes.get_ylim() for axes in panels}) == 1


def test_the_curves_of_figure_2_differ_in_marker_or_dashes_not_only_in_color(everything):
    figure = picture(figure2, everything)
    for axes in figure.figure.axes:
        lines = [line for line in axes.lines if line.get_marker() != "None"]
        assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == len(lines) == 4


def test_the_line_of_figure_2_is_the_teachers_best_epoch():
    best_in_the_middle = [{"epoch": epoch, "gap_at_20": gap} for epoch, gap in enumerate((0.5, 0.8, 0.7), 1)]
    results = [
        dataclasses.replace(made_up_result(cell), history={role: best_in_the_middle for role in cell.roles})
        for cell in figure2.plan(GRID)
    ]
    figure = picture(figure2, Results(results))
    for axes in figure.figure.axes:
        assert [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "None"] == [0.8]


@pytest.mark.parametrize(
    "config, places", [({"training": {"num_epochs": 3}}, [3.5]), ({"training": {"num_epochs": 5}}, []), ({}, [])]
)
def test_figure_2_marks_where_fine_tuning_begins_if_it_does(config, places):
    cells = [Cell(HRNN, SKYLINE), Cell(HRNN, "serial", 30, ("rep",))]
    results = [dataclasses.replace(made_up_result(cell), config=config) for cell in cells]  # of five epochs
    figure = picture(figure2, Results(results))
    (axes,) = figure.figure.axes  # other losses have no panel
    verticals = [line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]]
    assert verticals == places
    assert [text.get_text() for text in axes.texts] == ["fine-tuning"] * len(places)


def test_figure_3_puts_each_encoding_where_the_file_says_dark_for_the_teacher(everything):
    figure = picture(figure3, everything)
    (axes,) = figure.figure.axes
    expected = [[[video, -video] for video in range(first, 20, 2)] for first in (0, 1) for _ in ROLES]
    assert [clouds.get_offsets().tolist() for clouds in axes.collections] == expected
    teachers, students = axes.collections[::2], axes.collections[1::2]
    for teacher, student in zip(teachers, students):
        assert (teacher.get_facecolor()[0, :3] < student.get_facecolor()[0, :3]).all()
    assert len({cloud.get_paths()[0].vertices.tobytes() for cloud in teachers}) == 2  # a marker for each class


def test_figure_3_says_its_numbers_and_shows_names_as_they_stand(everything):
    figure = picture(figure3, everything)
    for text in (figure.caption, figure.alt):
        assert "0.125 times" in text and "75% of" in text and "20 " in text
    assert "perplexity 13" in figure.caption  # of 20 videos: (2 * 20 - 1) / 3
    shown = [node.text for node in ElementTree.fromstring(figure.to_svg()).iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(shown) == sorted(f"{name}: {role}" for name in NAMES for role in ROLES)


def test_cost_draws_a_curve_for_each_method_over_its_own_work_and_speed(everything):
    for name, methods in (("cost", {*BASELINES, *STUDENTS}), ("cost_best", {"uniform", *STUDENTS})):
        work, speed = picture(cost, everything, name).figure.axes
        expected = {}
        for method in methods:
            cells = [Cell(HRNN, method, k, ALL_LOSSES if method in STUDENTS else ()) for k in GRID.ks]
            expected[method] = [float(np.mean(everything.scores(cell))) for cell in cells]
        for axes, places in (
            (work, [(19e6 * k + 16e6) / 1e9 for k in GRID.ks]),
            (speed, [30_150 / k for k in GRID.ks]),
        ):  # made_up.py; median of two
            drawn = [curve for curve in curves(axes) if len(curve) > 1]
            assert all([x for x, _ in curve] == pytest.approx(places) for curve in drawn)
            np.testing.assert_allclose(sorted([y for _, y in curve] for curve in drawn), sorted(expected.values()))
            assert {METHOD_TITLES[method] for method in methods} <= {text.get_text() for text in axes.texts}
        assert not work.xaxis_inverted() and speed.xaxis_inverted()


def test_the_curves_of_cost_differ_in_marker_not_only_in_color():
    markers = [marker for _, marker, _, _ in cost.LOOKS.values()]
    assert len(set(markers)) == len(markers) == len(BASELINES) + len(STUDENTS)


def test_cost_without_timings_has_one_panel_and_no_speeds(everything):
    assert len(picture(cost, Results(everything)).figure.axes) == 1
    assert all(row.values[2] is None for row in table(cost, Results(everything)).rows)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("methods", [("skyline", "uniform"), ("uniform",)])
def test_cost_of_a_single_k_is_drawn_with_room_at_both_sides(everything, methods):
    few = dataclasses.replace(GRID, ks=(6,), methods=methods)
    for axes in cost.outputs(everything, few)[0].figure.axes:
        places = [x for curve in curves(axes) for x, _ in curve]
        low, high = sorted(axes.get_xlim())
        assert low < 0.96 * min(places) and max(places) < 0.96 * high


def test_the_table_of_cost_has_what_was_kept_of_the_skyline(everything):
    shown = table(cost, everything)
    rows = {row.labels: row.values for row in shown.rows}
    assert len(rows) == 1 + len(GRID.ks) * (len(BASELINES) + len(STUDENTS))
    gap, work, speed, kept = rows["Serial", "10"]
    skyline = np.mean(everything.scores(Cell(HRNN, SKYLINE)))
    scores = everything.scores(Cell(HRNN, "serial", 10, ALL_LOSSES))
    assert gap.count == len(scores) == 2 and gap.mean == pytest.approx(np.mean(scores))
    assert work.mean == pytest.approx(0.206)  # 19e6 * 10 + 16e6
    assert speed.mean == pytest.approx(3015)
    assert kept.mean == pytest.approx(100 * gap.mean / skyline)
    assert rows["Teacher-Skyline", "all"][3].mean == 100


def test_frames_too_close_for_a_label_each_share_one(everything):
    same = {
        HRNN: {
            "networks": [{"k": k, "videos_per_second": [100 if k is None else 1000 + (k or 0)]} for k in (None, *GRID.ks)],
            "num_videos": 1000,
            "machine": "2 cores",
        }
    }
    work, speed = picture(cost, Results(everything, same)).figure.axes
    numbers = [
        [text.get_text() for text in axes.texts if text.get_text()[0].isdigit() or text.get_text() == "all"]
        for axes in (work, speed)
    ]
    assert numbers == [["6", "10", "30", "all"], ["6, 10, 30", "all"]]


def test_classes_lists_those_that_lose_and_gain_most(everything):
    shown = table(classes, everything)
    rows = shown.rows
    # class_scores: class i loses i / 200 up to class 54, and 59 gains most
    assert [row.labels[0] for row in rows] == [f"class {index}" for index in (*range(54, 34, -1), *range(59, 54, -1))]
    assert [row.section for row in rows] == ["Lose most"] * 20 + ["Gain most"] * 5
    assert [round(value.mean, 6) for value in rows[0].values] == [54, 0.5, 0.1, 0.23, -0.27]
    assert [value.count for value in rows[0].values] == [None, 2, 2, 2, None]
    assert "(2 of skyline, 2 of uniform, 2 of student), of classes with 10 of them or more;" in shown.note


def test_classes_have_their_names_where_these_are_known(everything):
    name = everything.class_namer()
    assert (name(0), name(3), name(4)) == ("Vehicle", "NA", "class 4")


def test_the_picture_of_classes_is_skyline_over_student(everything):
    figure = picture(classes, everything)
    rest, losing, gaining = figure.figure.axes[0].collections
    assert losing.get_offsets()[0].tolist() == pytest.approx([0.23, 0.5])
    assert gaining.get_offsets()[0].tolist() == pytest.approx([0.55, 0.5])
    assert len(rest.get_offsets()) == 60 - 10 - 25  # with ten videos, and not listed
    assert "90% of the classes" in figure.alt  # 45 of 50


def test_where_few_classes_have_ten_videos_those_with_fewer_are_shown_and_it_is_said(tmp_path):
    for cell in GRID.cells(classes.plan(GRID)):
        scores = class_scores(cell)
        scores["num_positives"] = np.minimum(scores["num_positives"], 4)
        write_result(tmp_path, made_up_result(cell), scores)
    shown = table(classes, read_results(tmp_path))
    assert "with 4 of them or more (too few classes have 10)" in shown.note
    assert len(shown.rows) == 25
