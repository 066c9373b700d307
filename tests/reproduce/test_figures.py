"""Figures are deterministic, show each curve in its place, and do not rely on color alone."""

import dataclasses
import functools
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
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce import figures
from reproduce.grid import Grid
from reproduce.recipes import classes, cost, figure2, figure3
from reproduce.results import Results, read_results, write_result
from reproduce.tables import CONTROL, METHOD_TITLES, Table
from reproduce.trials import ALL_LOSSES, BASELINES, CONTROL_LOSS, HRNN, NEXTVLAD, SKYLINE, STUDENTS, Trial
from tests.reproduce.made_up import made_up_result, made_up_results
from youtube8m_distill import schema

GRID = Grid(families=(HRNN,), ks=(6, 10, 30), seeds=2)
RECIPES = (figure2, figure3, cost, classes)
NUM_CLASSES = 60
ROLES = (schema.TEACHER, schema.STUDENT)
NAMES = ["Vehicle", "Food <b> & $5, $6"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Results of a folder with all files that the recipes need."""
    folder = tmp_path_factory.mktemp("experiment")
    made_up = made_up_results(GRID)
    for recipe in RECIPES:
        for trial in GRID.trials(recipe.plan(GRID)):
            write_result(folder, made_up.get(trial), class_scores(trial))
    (folder / "results" / "class_names.csv").write_text('class,name\n0,Vehicle\n1,"Food <b> & $5, $6"\n3,NA\n')
    (encoded,) = figure3.encodings(GRID)
    write_encodings(folder / "results" / "encodings" / encoded.name)
    results = read_results(folder)
    results.timings = made_up.timings
    return results


def class_scores(trial):
    """Class i has i videos. The student is i / 200 below the Skyline, and above it in classes 55-59."""
    number = np.arange(NUM_CLASSES)
    change = {SKYLINE: 0, "serial": np.where(number < 55, -number / 200, (number - 54) / 100)}.get(trial.method, -0.4)
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


@functools.cache
def outputs(recipe, results):
    """What a recipe makes of results, drawn once for all tests that look at it."""
    return recipe.outputs(results, GRID)


def picture(recipe, results, name=None):
    """The figure of a recipe, selected by `name` if it has several."""
    found = {each.name: each for each in outputs(recipe, results) if isinstance(each, figures.Figure)}
    return found[name or recipe.__name__.rpartition(".")[2]]


def table(recipe, results):
    (found,) = [each for each in outputs(recipe, results) if isinstance(each, Table)]
    return found


def curves(axes):
    """The lines that have points, as lists of (x, y)."""
    return [
        list(zip(*map(np.ndarray.tolist, map(np.asarray, line.get_data()))))
        for line in axes.lines
        if line.get_marker() not in ("None", "", "_", "|")
    ]


def small_figure(name="small"):
    with figures.style():
        figure, (axes,) = figures.panels(1, 3)
        axes.plot([1, 2], [3, 4])
        axes.set_title("Some text")
    return figures.Figure(name, "Title", "Caption.", "A line.", figure)


def test_saved_figures_are_identical_and_svg_contains_the_text(tmp_path):
    for folder in ("one", "other"):
        small_figure().save(tmp_path / folder)
    for name in ("small.png", "small.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["small.png", "small.svg"]
    assert "Some text</text>" in (tmp_path / "one" / "small.svg").read_text(encoding="utf-8")


def test_a_png_is_1050_pixels_wide():
    image = matplotlib.image.imread(io.BytesIO(small_figure().to_png()))
    assert image.shape[:2] == (450, 1050)  # 7 x 3 inches of 150 dots


def test_drawing_does_not_change_the_settings_of_matplotlib():
    before = dict(matplotlib.rcParams)
    small_figure().to_svg()
    assert dict(matplotlib.rcParams) == before


RISING = st.lists(st.floats(0, 1), max_size=8).map(sorted)


@settings(max_examples=30)
@given(RISING, st.floats(0.01, 0.3), st.none() | st.floats(0, 1))
def test_labels_are_apart_in_order_and_below_the_maximum(values, gap, highest):
    moved = figures.spread(values, gap, highest)
    assert len(moved) == len(values)
    assert all(after - before >= gap - 1e-9 for before, after in zip(moved, moved[1:]))
    assert highest is None or all(value <= highest + 1e-9 for value in moved)


@pytest.mark.parametrize(
    "values, moved",
    [
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]),  # far enough apart
        ([0.5, 0.5], [0.45, 0.55]),  # both move by half
        ([0.0, 0.5, 0.5, 0.5], [0.0, 0.4, 0.5, 0.6]),
    ],
)
def test_labels_move_as_little_as_possible(values, moved):
    assert figures.spread(values, 0.1) == pytest.approx(moved)


def test_shades_are_between_their_colors():
    assert figures.shade("black", "white", 0.25) == (0.25, 0.25, 0.25)
    assert figures.shade("#FF0000", "white", 0) == (1, 0, 0)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_figure_has_descriptions_and_readable_text(recipe, everything):
    pictures = [output for output in outputs(recipe, everything) if isinstance(output, figures.Figure)]
    assert pictures
    for each in pictures:
        assert each.title and each.caption.endswith(".") and each.alt.endswith(".")
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: ([0-9.]+)px", each.to_svg())]
        assert sizes and min(sizes) >= 9  # subscripts, at a width of 504; other text has 12


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("grid", [GRID, Grid(families=(NEXTVLAD,))])
def test_there_are_no_outputs_without_results(recipe, grid, tmp_path):
    assert recipe.outputs(Results(), grid) == []
    assert recipe.outputs(Results(folder=tmp_path), grid) == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_there_are_no_outputs_for_a_family_outside_the_grid(recipe, everything):
    assert recipe.outputs(everything, Grid(families=(NEXTVLAD,), ks=GRID.ks)) == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_any_trials_may_be_missing(recipe, everything):
    kept = random.Random(0).sample(list(everything), len(everything) // 2)
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
            (Trial(HRNN, SKYLINE), schema.TEACHER),
            (Trial(HRNN, "serial", 30, loss), schema.STUDENT),
            (Trial(HRNN, "parallel", 30, loss), schema.TEACHER),
            (Trial(HRNN, "parallel", 30, loss), schema.STUDENT),
        ]
        assert curves(axes) == [
            [(point["epoch"], point["gap_at_20"]) for point in everything.get(trial).history[role]] for trial, role in runs
        ]
    assert len({axes.get_ylim() for axes in panels}) == 1


def test_the_curves_of_figure_2_differ_in_marker_or_dashes(everything):
    figure = picture(figure2, everything)
    for axes in figure.figure.axes:
        lines = [line for line in axes.lines if line.get_marker() != "None"]
        assert len({(line.get_marker(), line.get_linestyle()) for line in lines}) == len(lines) == 4


def test_the_line_of_figure_2_is_the_teachers_best_epoch():
    best_in_the_middle = [{"epoch": epoch, "gap_at_20": gap} for epoch, gap in enumerate((0.5, 0.8, 0.7), 1)]
    results = [
        dataclasses.replace(made_up_result(trial), history={role: best_in_the_middle for role in trial.roles})
        for trial in figure2.plan(GRID)
    ]
    figure = picture(figure2, Results(results))
    for axes in figure.figure.axes:
        assert [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "None"] == [0.8]


@pytest.mark.parametrize(
    "config, places", [({"training": {"num_epochs": 3}}, [3.5]), ({"training": {"num_epochs": 5}}, []), ({}, [])]
)
def test_figure_2_marks_the_start_of_fine_tuning(config, places):
    trials = [Trial(HRNN, SKYLINE), Trial(HRNN, "serial", 30, ("rep",))]
    results = [dataclasses.replace(made_up_result(trial), config=config) for trial in trials]  # of five epochs
    figure = picture(figure2, Results(results))
    (axes,) = figure.figure.axes  # other losses have no panel
    verticals = [line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]]
    assert verticals == places
    assert [text.get_text() for text in axes.texts] == ["fine-tuning"] * len(places)


def test_figure_3_draws_the_points_of_the_file_and_the_teachers_dark(everything):
    figure = picture(figure3, everything)
    (axes,) = figure.figure.axes
    expected = [[[video, -video] for video in range(first, 20, 2)] for first in (0, 1) for _ in ROLES]
    assert [clouds.get_offsets().tolist() for clouds in axes.collections] == expected
    teachers, students = axes.collections[::2], axes.collections[1::2]
    for teacher, student in zip(teachers, students):
        assert (teacher.get_facecolor()[0, :3] < student.get_facecolor()[0, :3]).all()
    assert len({cloud.get_paths()[0].vertices.tobytes() for cloud in teachers}) == 2  # a marker for each class


def test_figure_3_reports_its_numbers_and_shows_names_unchanged(everything):
    figure = picture(figure3, everything)
    for text in (figure.caption, figure.alt):
        assert "0.125 times" in text and "75% of" in text and "20 " in text
    assert "perplexity 13" in figure.caption  # of 20 videos: (2 * 20 - 1) / 3
    shown = [node.text for node in ElementTree.fromstring(figure.to_svg()).iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(shown) == sorted(f"{name}: {role}" for name in NAMES for role in ROLES)


def test_cost_draws_each_method_over_its_computation_and_speed(everything):
    for name, methods in (("cost", {*BASELINES, *STUDENTS, CONTROL}), ("cost_best", {"uniform", *STUDENTS, CONTROL})):
        work, speed = picture(cost, everything, name).figure.axes
        expected = {}
        for method in methods:
            losses = {**dict.fromkeys(STUDENTS, ALL_LOSSES), CONTROL: CONTROL_LOSS}
            kind = "serial" if method == CONTROL else method
            trials = [Trial(HRNN, kind, k, losses.get(method, ())) for k in GRID.ks]
            expected[method] = [float(np.mean(everything.scores(trial))) for trial in trials]
        for axes, places in (
            (work, [(19e6 * k + 16e6) / 1e9 for k in GRID.ks]),
            (speed, [30_150 / k for k in GRID.ks]),
        ):  # made_up.py; median of two
            drawn = [curve for curve in curves(axes) if len(curve) > 1]
            assert all([x for x, _ in curve] == pytest.approx(places) for curve in drawn)
            np.testing.assert_allclose(sorted([y for _, y in curve] for curve in drawn), sorted(expected.values()))
            titles = {METHOD_TITLES[method].removesuffix(": label loss alone") for method in methods}
            assert titles <= {text.get_text() for text in axes.texts}
        assert not work.xaxis_inverted() and speed.xaxis_inverted()


def test_the_curves_of_cost_differ_in_marker():
    markers = [marker for _, marker, _, _ in cost.STYLES.values()]
    assert len(set(markers)) == len(markers) == len(BASELINES) + len(STUDENTS) + 1


def test_cost_without_timings_has_one_panel_and_no_speeds(everything):
    assert len(picture(cost, Results(everything)).figure.axes) == 1
    assert all(row.values[2] is None for row in table(cost, Results(everything)).rows)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("methods", [("skyline", "uniform"), ("uniform",)])
def test_cost_at_a_single_k_has_margins(everything, methods):
    few = GRID.replace(ks=(6,), methods=methods)
    for axes in cost.outputs(everything, few)[0].figure.axes:
        places = [x for curve in curves(axes) for x, _ in curve]
        low, high = sorted(axes.get_xlim())
        assert low < 0.96 * min(places) and max(places) < 0.96 * high


def test_the_table_of_cost_has_the_fraction_kept_of_the_skyline(everything):
    shown = table(cost, everything)
    rows = {row.labels: row.values for row in shown.rows}
    assert len(rows) == 1 + len(GRID.ks) * (len(BASELINES) + len(STUDENTS) + 1)
    gap, work, speed, kept = rows["Serial", "10"]
    skyline = np.mean(everything.scores(Trial(HRNN, SKYLINE)))
    scores = everything.scores(Trial(HRNN, "serial", 10, ALL_LOSSES))
    assert gap.count == len(scores) == 2 and gap.mean == pytest.approx(np.mean(scores))
    assert work.mean == pytest.approx(0.206)  # 19e6 * 10 + 16e6
    assert speed.mean == pytest.approx(3015)
    assert kept.mean == pytest.approx(100 * gap.mean / skyline)
    assert rows["Teacher-Skyline", "all"][3].mean == 100


def test_frame_numbers_that_are_too_close_share_a_label(everything):
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


def test_classes_lists_the_classes_that_lose_and_gain_most(everything):
    shown = table(classes, everything)
    rows = shown.rows
    # class_scores: class i loses i / 200 up to class 54, and 59 gains most
    assert [row.labels[0] for row in rows] == [f"class {index}" for index in (*range(54, 34, -1), *range(59, 54, -1))]
    assert [row.section for row in rows] == ["Lose most"] * 20 + ["Gain most"] * 5
    assert [round(value.mean, 6) for value in rows[0].values] == [54, 0.5, 0.1, 0.23, -0.27]
    assert [value.count for value in rows[0].values] == [None, 2, 2, 2, None]
    assert "(2 of skyline, 2 of uniform, 2 of student), of classes with at least 10 videos." in shown.note


def test_classes_have_the_names_of_the_vocabulary(everything):
    name = everything.class_namer()
    assert (name(0), name(3), name(4)) == ("Vehicle", "NA", "class 4")


def test_the_figure_of_classes_shows_the_skyline_over_the_student(everything):
    figure = picture(classes, everything)
    rest, losing, gaining = figure.figure.axes[0].collections
    assert losing.get_offsets()[0].tolist() == pytest.approx([0.23, 0.5])
    assert gaining.get_offsets()[0].tolist() == pytest.approx([0.55, 0.5])
    assert len(rest.get_offsets()) == 60 - 10 - 25  # with at least ten videos, and not in the table
    assert "90% of the classes" in figure.alt  # 45 of 50


def test_classes_with_fewer_videos_are_shown_if_few_have_ten(tmp_path):
    for trial in GRID.trials(classes.plan(GRID)):
        scores = class_scores(trial)
        scores["num_positives"] = np.minimum(scores["num_positives"], 4)
        write_result(tmp_path, made_up_result(trial), scores)
    shown = table(classes, read_results(tmp_path))
    assert "with at least 4 videos (too few classes have 10)" in shown.note
    assert len(shown.rows) == 25
