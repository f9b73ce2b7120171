"""What all figures share: size, colours, panels, legends below the axes, and the way to a PNG file and its alt text."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.report.fonts import make_drawable
from fastmri_cls.report.html import data_uri

# The palette of Okabe and Ito, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
# Greys for test sets, so that a colour always means a class or a model.
GREYS = ("#37474F", "#78909C", "#B0BEC5", "#ECEFF1")
_LINES = ("-", "--", "-.", ":")  # curves that coincide stay visible through each other's gaps
_DPI = 150
_LEGEND_OFFSET = 4.5  # font sizes: below tick labels and axis label
_PAGE_DPI = 96  # what a browser takes for an inch
EDGE = "#333333"  # of bars: keeps a light one visible on white


@dataclass(frozen=True)
class Picture:
    """A figure as a PNG file.

    Attributes:
        title: what the figure shows.
        alt: the figure in words, for people who do not see it.
        png: the content of the file.
        width: pixels of a page (96 an inch) that the picture takes at its own size.
    """

    title: str
    alt: str
    png: bytes
    width: int

    @property
    def file_name(self) -> str:
        """The file name made from the title."""
        return "".join(c for c in self.title.lower().replace(" ", "-") if c.isalnum() or c == "-") + ".png"

    @property
    def uri(self) -> str:
        """The picture as an address that holds it."""
        return data_uri(self.png)


@dataclass(frozen=True)
class Pictures:
    """The pictures of one report.

    Attributes:
        by_title: {title: picture}.
        renamed: {label in the pictures: name} of the names that no installed font can draw.
    """

    by_title: dict[str, Picture]
    renamed: dict[str, str]

    def save(self, folder: Path) -> None:
        """Write one PNG file for each picture."""
        for picture in self.by_title.values():
            with new_file(folder / picture.file_name) as temporary:
                temporary.write_bytes(picture.png)


def render_all(figures: Mapping[str, Figure], names: Mapping[str, Sequence[str]]) -> Pictures:
    """Render figures by title.

    Args:
        figures: {title: figure}.
        names: {kind: names} that occur in the figures, such as "class" and "source".
    """
    alts = {title: _describe(title, figure) for title, figure in figures.items()}
    renamed = make_drawable(figures.values(), names)
    pictures = {
        title: Picture(title, alts[title], _png(figure), round(figure.get_figwidth() * _PAGE_DPI))
        for title, figure in figures.items()
    }
    return Pictures(pictures, renamed)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def panels_of(
    count: int, width: float, height: float, columns: int = 3, *, share_x: bool = False, share_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels.

    Args:
        count: number of panels; four make a square.
        width: of a panel, inches.
        height: of a panel, inches.
        columns: largest number of panels in a row.
        share_x: whether all panels have the same x axis.
        share_y: whether all panels have the same y axis.
    """
    columns = 2 if count == 4 else min(count, columns)
    rows = -(-count // columns)
    figure = new_figure(width * columns, height * rows)
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y).ravel())
    for empty in grid[count:]:
        empty.set_axis_off()
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
    axes.set_title(title, fontsize=10)
    light_frame(axes)


def diagonal(axes: Axes) -> None:
    """Draw the diagonal of the unit square, dotted."""
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle=":", linewidth=1)


def light_frame(axes: Axes) -> None:
    """Draw only the left and lower edge of the frame, and a faint grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def legend_below(axes: Axes, handles: Sequence[Artist | BarContainer], columns: int = 1) -> None:
    """Put a legend under the axes, clear of the data; nothing without handles."""
    if handles:
        axes.legend(
            handles=list(handles),
            labels=[str(handle.get_label()) for handle in handles],  # given, so that a name may start with "_"
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            borderaxespad=_LEGEND_OFFSET,  # absolute, so that the layout reserves the right height
            ncols=columns,
            fontsize=8,
            frameon=False,
        )


def _describe(title: str, figure: Figure) -> str:
    """Return the titles and legends of a figure as one line of text."""
    return ". ".join([title, *_parts(figure)]).replace("\n", " ") + "."


def _parts(figure: Figure) -> Iterator[str]:
    for axes in figure.axes:
        legend = axes.get_legend()
        labels = "; ".join(text.get_text() for text in legend.get_texts()) if legend else ""
        if axes.get_title() or labels:
            yield ": ".join(part for part in (axes.get_title(), labels) if part)
    for legend in figure.legends:
        yield "Legend: " + "; ".join(text.get_text() for text in legend.get_texts())


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
