"""Figure 3: does a student that reads few frames encode a video like its teacher, which reads all frames?

    python -m reproduce figure3 --data=yt8m/frame --output_dir=experiments

Shows the encodings of both in one plane. Paper (CVPR 2019, Figure 3 and section 5.4): for five classes (Vehicle, Concert,
Association football, Animal, Food), the dark shades of the teacher and the light shades of the student overlap almost
completely. The paper gives no number. Here, a rule chooses the classes (`encodings.choose_classes`). t-SNE shows
neighborhoods, not distances, so the caption gives two numbers that are measured before the projection
(`encodings.closeness`).

Cost: two trainings, the student and its teacher, both in Table 1. Then both networks encode held-out videos. t-SNE takes
seconds.
"""

import pandas as pd

from reproduce import figures
from reproduce.encodings import perplexity
from reproduce.results import REMEDY, read_versioned
from reproduce.trials import ALL_LOSSES, HRNN, Trial
from youtube8m_distill import schema

TITLE = "Figure 3: encodings of teacher and student"
QUESTION = "Does the student encode a video like its teacher?"
EXPECTED = (
    "For the videos of five frequent classes, the student's encodings overlap almost completely with its teacher's in "
    "t-SNE (CVPR 2019, Figure 3)."
)

K = 30
COLORS = (figures.BLUE, figures.VERMILION, figures.GREEN, figures.PURPLE, figures.BLACK)
MARKERS = ("o", "^", "s", "D", "v")


def plan(grid):
    return [Trial(HRNN, "serial", grid.k_of(K), ALL_LOSSES)]


def encodings(grid):
    return plan(grid)


def outputs(results, grid):
    (trial,) = plan(grid)
    found = _read(results, trial) if grid.wants(trial) else None
    if found is None:
        return []
    points, about = found
    names = [results.class_namer()(class_["class"]) for class_ in about["classes"]]
    with figures.style():
        figure, (axes,) = figures.panels(1, 7.2)
        for number, class_ in enumerate(about["classes"]):
            of_class = points[points["class"] == class_["class"]]
            for role in (schema.TEACHER, schema.STUDENT):
                of_role = of_class[of_class["role"] == role]
                axes.scatter(of_role["x"], of_role["y"], **_style(number, role))
        axes.set(xticks=[], yticks=[], aspect="equal")
        axes.set_axis_off()
        _add_legend(figure, names)
    num_videos, k = len(points) // 2, grid.k_of(K)
    caption, alt = _caption(about, num_videos, k), _alt(about, names, num_videos)
    return [figures.Figure("figure3", f"{TITLE}, k={k}", caption, alt, figure)]


def _read(results, trial):
    """The points and their record, as written by `measurements`; None if they do not exist.

    Raises:
        ValueError: if only one of the two files exists.
    """
    path = results.folder / "encodings" / f"{trial.name}.json" if results.folder else None
    if path is None or not path.exists():
        return None
    if not path.with_suffix(".csv").exists():
        raise ValueError(f"{path.with_suffix('.csv')} is missing. {REMEDY.format(path)}")
    return pd.read_csv(path.with_suffix(".csv")), read_versioned(path)


def _style(number, role):
    """The style of a class's points: dark and large for the teacher, light and small for the student."""
    color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
    dark, light = figures.shade(color, "black", 0.3), figures.shade(color, "white", 0.65)
    face, area = (dark, 46) if role == schema.TEACHER else (light, 20)
    return {"facecolors": [face], "edgecolors": [dark], "marker": marker, "s": area, "linewidths": 0.5}


def _add_legend(figure, names):
    """Adds a legend with a column for the teacher and one for the student."""
    handles = []
    for role in (schema.TEACHER, schema.STUDENT):
        for number, name in enumerate(names):
            style = _style(number, role)
            handles.append(
                figures.handle(
                    f"{name}: {role}",
                    linestyle="",
                    marker=style["marker"],
                    markersize=style["s"] ** 0.5,
                    markerfacecolor=style["facecolors"][0],
                    markeredgecolor=style["edgecolors"][0],
                    markeredgewidth=0.5,
                )
            )
    figure.legend(handles=handles, loc="outside lower left", ncols=2, handlelength=1, columnspacing=1)


def _caption(about, num_videos, k):
    return (
        f"Encodings of {num_videos} held-out videos, each with exactly one of these classes, by the teacher (dark, all "
        f"frames) and by the serial student with all three losses (light, {k} frames), for the first seed. The positions "
        "come from one t-SNE of both, initialized with principal components, with perplexity "
        f"{perplexity(num_videos):.3g}. Directions and scale have no meaning. Before the projection, {_measured(about)}."
    )


def _measured(about):
    return (
        f"the mean squared distance of a student's encoding from its teacher's is {about['relative_distance']:.3g} times "
        f"the variance of the teacher's encodings, and {about['nearest_is_own']:.0%} of the student's encodings are nearer "
        "to the teacher's encoding of the same video than to that of any other of these videos"
    )


def _alt(about, names, num_videos):
    return (
        f"Scatter plot of {num_videos} videos of the classes {', '.join(names)}, each video once for the teacher and once "
        f"for the student: {_measured(about)}."
    )
