"""Figures: their common style, and how they are saved.

Figures must be readable on a phone that is 400 pixels wide, and in print without color. Panels are therefore stacked, text
is large, and curves never differ in color alone.
"""

import dataclasses
import io
import pathlib
from typing import Any

import matplotlib
import matplotlib.colors
import matplotlib.figure
import matplotlib.lines
import matplotlib.ticker
from sklearn.isotonic import isotonic_regression

from youtube8m_distill import files

# Okabe and Ito, "Color Universal Design" (2008): distinguishable with any kind of color blindness.
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GRAY = "#595959"
WIDTH = 7  # inches; 12-point text is then 9 pixels high on a phone

_STYLE: dict[Any, Any] = {
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "legend.fontsize": 12,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E2E2E2",
    "svg.fonttype": "none",  # text stays text, for search and screen readers
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture with its title, caption, and description.

    Attributes:
        name: name of its files.
        title: a few words.
        caption: what is drawn, and how to read it.
        alt: a description for people who cannot see the picture.
        figure: matplotlib.figure.Figure.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: matplotlib.figure.Figure

    def to_svg(self):
        """The picture as SVG, byte-identical for the same figure."""
        return self._saved("svg", metadata={"Date": None}).decode()

    def to_png(self):
        """The picture as PNG, 1050 pixels wide."""
        return self._saved("png", dpi=150)

    def save(self, folder):
        """Writes NAME.png and NAME.svg."""
        path = pathlib.Path(folder) / self.name
        with files.atomic_path(path.with_name(f"{self.name}.png")) as temporary:
            temporary.write_bytes(self.to_png())
        files.write_text(path.with_name(f"{self.name}.svg"), self.to_svg())

    def _saved(self, kind, **options):
        buffer = io.BytesIO()
        with style({"svg.hashsalt": self.name}):  # savefig creates ticks
            self.figure.savefig(buffer, format=kind, **options)
        return buffer.getvalue()


def style(more=None):
    """A context manager that applies the common style. `more` is a dict of additional rcParams."""
    return matplotlib.rc_context({**_STYLE, **(more or {})})


def panels(count, height, **options):
    """A figure of stacked panels.

    Args:
        count: int, at least 1.
        height: height of the figure in inches.
        **options: options of Figure.subplots.
    Returns:
        (matplotlib.figure.Figure, list of Axes).
    """
    figure = matplotlib.figure.Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(count, squeeze=False, **options)[:, 0])


def log_x(axes, values):
    """Makes the x axis logarithmic, fits it to the values, and labels it with plain numbers.

    Args:
        axes: Axes.
        values: the positive floats that are drawn. They may all be equal.
    """
    axes.set_xscale("log")
    low, high = min(values), max(values)
    margin = max((high / low) ** 0.05, 1.05)
    axes.set_xlim(low / margin, high * margin)
    is_wide = high > 4 * low
    ticks = matplotlib.ticker.LogLocator(subs=(1, 2, 5)) if is_wide else matplotlib.ticker.MaxNLocator(6)
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())


def label_ends(axes, ends, gap=0.055):
    """Writes the name of each curve to the right of its end, in the order of the ends and without overlaps.

    Args:
        axes: Axes with final limits.
        ends: list of (x, y, name, color).
        gap: distance between names, as a fraction of the height.
    """
    low, high = axes.get_ylim()
    ends = sorted(ends, key=lambda end: end[1])
    heights = spread([end[1] for end in ends], gap * (high - low), high - gap / 2 * (high - low))
    for (x, y, name, color), height in zip(ends, heights):
        arrow = {"arrowstyle": "-", "color": color, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 4, "relpos": (0, 0.5)}
        axes.annotate(
            plain(name),
            (x, y),
            (26, height),
            textcoords=("offset points", "data"),
            color=color,
            va="center",
            arrowprops=arrow,
            bbox={"color": "white", "pad": 0.5},
        )


def spread(values, gap, highest=None):
    """Moves increasing values as little as possible (least squares) so that each is at least `gap` above the previous one.

    This is isotonic regression: with y_i = z_i + i gap, z is the increasing sequence that is nearest to values_i - i gap.

    Args:
        values: increasing list of float.
        gap: float.
        highest: float, an upper bound for all results, or None.
    Returns:
        list of float.
    """
    if not values:
        return []
    bound = None if highest is None else highest - (len(values) - 1) * gap
    rising = isotonic_regression([value - index * gap for index, value in enumerate(values)], y_max=bound)
    return [float(value + index * gap) for index, value in enumerate(rising)]


def shade(color, toward, share):
    """Mixes two colors: `share` 0 gives the first, 1 the second. Returns (red, green, blue)."""
    pairs = zip(matplotlib.colors.to_rgb(color), matplotlib.colors.to_rgb(toward))
    return tuple((1 - share) * one + share * other for one, other in pairs)


def plain(text):
    """Escapes dollar signs, which matplotlib would read as the start of a formula."""
    return text.replace("$", r"\$")


def handle(label, **options):
    """A legend entry. `options` are those of Line2D."""
    return matplotlib.lines.Line2D([], [], label=plain(label), **options)
