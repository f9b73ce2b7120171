"""What all figures share: size, colours, panels, legends below the axes, and words for people who do not see them.

A figure's panels stand side by side in its file, and as single pictures on a page; see `pictures`.
"""

import textwrap
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

INK = "#000000"  # of text and axes; a dark page draws it light
EDGE = "#333333"  # of bars: keeps a light one visible on white, and a dark one on black
# After Okabe and Ito, with the light ones darkened: each has a contrast of 3:1 with white and with the dark page
# (WCAG 2.2, 1.4.11), and neighbours can be told apart with any colour vision. A colour means a class or a model.
COLOURS = ("#0072B2", "#B87A00", "#008563", "#D55E00", "#B85C8A", "#3B8FC2", "#8A8000", INK)
# Greys, for what is neither a class nor a model: test sets, training and validation.
GREYS = ("#37474F", "#78909C", "#B0BEC5", "#ECEFF1")
PLAIN = (INK, "#78859B")  # of two lines of one thing, such as training and validation
_LINES = ("-", "--", "-.", ":")  # curves that coincide stay visible through each other's gaps
_DPI = 192  # twice what a browser takes for an inch
_LEGEND_OFFSET = 4.5  # font sizes: below tick labels and axis label
_LEGEND_WIDTH = 46  # letters of 8 points in a panel of 4 inches
PHOTOGRAPHS = "photographs"  # label of a figure that is made of images


def new_figure(width: float, height: float, label: str = "") -> Figure:
    """Return an empty figure of a size in inches; `label` is PHOTOGRAPHS or empty."""
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    figure.set_label(label)
    return figure


def panels_of(
    count: int, width: float, height: float, columns: int = 3, *, share_x: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels.

    Args:
        count: number of panels; four make a square.
        width: of a panel, inches.
        height: of a panel, inches.
        columns: largest number of panels in a row.
        share_x: whether all panels have the same x axis, with its numbers under each.
    """
    columns = 2 if count == 4 else min(count, columns)
    rows = -(-count // columns)
    figure = new_figure(width * columns, height * rows)
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=share_x).ravel())
    for axes in grid:
        axes.tick_params(labelbottom=True)
    for empty in grid[count:]:
        empty.remove()
    return figure, grid[:count]


def colour(number: int) -> str:
    """Return the colour of class or system `number`."""
    return COLOURS[number % len(COLOURS)]


def line_style(number: int) -> str:
    """Return the line style of curve `number`."""
    return _LINES[number % len(_LINES)]


def unit_square(axes: Axes, x: str, y: str, title: str) -> None:
    """Make `axes` a square from 0 to 1 with labelled axes."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(wrapped(title), fontsize=10)
    light_frame(axes)


def diagonal(axes: Axes) -> None:
    """Draw the diagonal of the unit square, dotted."""
    axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1)


def light_frame(axes: Axes) -> None:
    """Draw only the left and lower edge of the frame, and a faint grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def legend_below(axes: Axes, handles: Sequence[Artist | BarContainer], columns: int = 1) -> None:
    """Put a legend under the axes, clear of the data; long names wrapped, below each other; nothing without handles."""
    labels = [str(handle.get_label()) for handle in handles]
    if any(len(label) > _LEGEND_WIDTH // columns for label in labels):
        columns = 1
    if handles:
        axes.legend(
            handles=list(handles),
            labels=[wrapped(label, _LEGEND_WIDTH) for label in labels],  # given, so that a name may start with "_"
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            borderaxespad=_LEGEND_OFFSET,  # absolute, so that the layout reserves the right height
            ncols=columns,
            fontsize=8,
            frameon=False,
        )


def wrapped(name: str, width: int = 36) -> str:
    """Return a name in lines of at most `width` letters: a long one would make the panel around it small."""
    return textwrap.fill(name, width) if len(name) > width else name


def describe(axes: Axes, words: str) -> None:
    """Say what `axes` show, with the numbers, for people who do not see them; the title is not repeated."""
    axes.set_label(words)


def description_of(axes: Axes) -> str:
    """Return title and description of `axes` as one line of text."""
    return ": ".join(part for part in (axes.get_title(), str(axes.get_label())) if part).replace("\n", " ")
