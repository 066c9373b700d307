"""Figure 3: encodings of teacher and student in one plane.

Question: does a student that has seen few frames encode a video as its teacher does, which has seen all?

    python -m reproduce figure3 --train_data_pattern=... --validation_data_pattern=... \\
        --eval_data_pattern=... --output_dir=...

The paper (CVPR 2019, Figure 3 and section 5.4): for five classes (Vehicle, Concert, Association football, Animal,
Food) dark shades, the teacher's, and light ones, the student's, overlap almost completely. It gives no number. The
classes here are chosen by a rule (`encodings.choose_classes`), and since t-SNE shows neighborhoods, not distances,
two numbers that are measured before it stand beside the picture (`encodings.closeness`).

Cost: one training and its teacher's, both Table 1's, too; then both networks encode held-out videos, and seconds of
t-SNE.
"""

import pandas as pd

from reproduce import figures
from reproduce.cells import ALL_LOSSES, HRNN, Cell
from reproduce.encodings import perplexity
from reproduce.results import REMEDY, read_versioned
from youtube8m_distill import schema

TITLE = "Figure 3: encodings of teacher and student"
QUESTION = "Does the student encode a video as its teacher does?"
EXPECTED = (
    "For the videos of five frequent classes, the t-SNE places of the student's encodings overlap almost "
    "completely with those of its teacher's (CVPR 2019, Figure 3)."
)

K = 30
COLORS = (figures.BLUE, figures.VERMILION, figures.GREEN, figures.PURPLE, figures.BLACK)
MARKERS = ("o", "^", "s", "D", "v")


def plan(grid):
    return [Cell(HRNN, "serial", grid.k_of(K), ALL_LOSSES)]


def encodings(grid):
    return plan(grid)


def outputs(results, grid):
    (cell,) = plan(grid)
    found = _read(results, cell) if grid.wants(cell) else None
    if found is None:
        return []
    places, about = found
    names = [results.class_namer()(class_["class"]) for class_ in about["classes"]]
    with figures.looks():
        figure, (axes,) = figures.panels(1, 7.2)
        for number, class_ in enumerate(about["classes"]):
            of_class = places[places["class"] == class_["class"]]
            for role in (schema.TEACHER, schema.STUDENT):
                of_role = of_class[of_class["role"] == role]
                axes.scatter(of_role["x"], of_role["y"], **_looks(number, role))
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.set_axis_off()
        _add_legend(figure, names)
    num_videos, k = len(places) // 2, grid.k_of(K)
    caption, alt = _caption(about, num_videos, k), _alt(about, names, num_videos)
    return [figures.Figure("figure3", f"{TITLE}, k={k}", caption, alt, figure)]


def _read(results, cell):
    """(places, what is known of them) as `measurements` has left them, or None where it has not.

    Raises:
        ValueError: if one of the two files is not there.
    """
    path = results.folder / "encodings" / f"{cell.name}.json" if results.folder else None
    if path is None or not path.exists():
        return None
    if not path.with_suffix(".csv").exists():
        raise ValueError(f"{path.with_suffix('.csv')} is missing. {REMEDY.format(path)}")
    return pd.read_csv(path.with_suffix(".csv")), read_versioned(path)


def _looks(number, role):
    """Of the points of a class: dark and large for the teacher, light and small for the student."""
    color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
    dark, light = figures.shade(color, "black", 0.3), figures.shade(color, "white", 0.65)
    face, area = (dark, 46) if role == schema.TEACHER else (light, 20)
    return {"facecolors": [face], "edgecolors": [dark], "marker": marker, "s": area, "linewidths": 0.5}


def _add_legend(figure, names):
    """A column of the teacher's points and one of the student's."""
    handles = []
    for role in (schema.TEACHER, schema.STUDENT):
        for number, name in enumerate(names):
            looks = _looks(number, role)
            handles.append(
                figures.handle(
                    f"{name}: {role}",
                    linestyle="",
                    marker=looks["marker"],
                    markersize=looks["s"] ** 0.5,
                    markerfacecolor=looks["facecolors"][0],
                    markeredgecolor=looks["edgecolors"][0],
                    markeredgewidth=0.5,
                )
            )
    figure.legend(handles=handles, loc="outside lower left", ncols=2, handlelength=1, columnspacing=1)


def _caption(about, num_videos, k):
    return (
        f"Encodings of {num_videos} held-out videos, each of exactly one of these classes, by the teacher "
        f"(dark, all frames) and by the serial student of all three losses (light, {k} frames; first seed): one "
        f"t-SNE of both together, from the principal components, perplexity {perplexity(num_videos):.3g}. "
        f"Directions and scale mean nothing. Before the projection, {_measured(about)}."
    )


def _measured(about):
    return (
        "the mean squared distance of a student's encoding from its teacher's is "
        f"{about['relative_distance']:.3g} times the variance of the teacher's, and "
        f"{about['nearest_is_own']:.0%} of the student's encodings are nearer to the teacher's of the same "
        "video than to that of any other of these videos"
    )


def _alt(about, names, num_videos):
    return (
        f"Clouds of {num_videos} videos of the classes {', '.join(names)}, each video once for the teacher and once "
        f"for the student: {_measured(about)}."
    )
