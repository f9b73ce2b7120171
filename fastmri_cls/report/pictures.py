"""Figures -> files and pages: a PNG file of the whole figure, and each panel as an SVG drawing for a page.

The drawing is part of the page: its text stays text, and ink and edges take the colours of the page, light or dark. It
has a viewBox and no size, so that the page decides on its width. Figures made of images become JPEG pictures.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.report.drawing import EDGE, INK, PHOTOGRAPHS, description_of
from fastmri_cls.report.fonts import make_drawable
from fastmri_cls.report.html import data_uri

_PAGE_DPI = 96  # what a browser takes for an inch
_MARGIN = 0.06  # inches around a panel
_IN_A_TAG = re.compile(r"<[^>]*>")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")  # a coordinate with more digits than a screen can show
# Matplotlib numbers its groups from 1 in each drawing; nothing refers to them, and a page has several drawings.
_NUMBERED = re.compile(r' id="[A-Za-z][A-Za-z0-9.]*_\d+"')


@dataclass(frozen=True)
class Panel:
    """One panel of a figure on a page.

    Attributes:
        content: an SVG element, or the address of a JPEG picture that holds it.
        alt: the panel in words, with its numbers.
        width: pixels of a page that it takes at its own size.
    """

    content: str
    alt: str
    width: int

    @property
    def is_drawing(self) -> bool:
        """Whether it is an SVG element."""
        return self.content.startswith("<svg")


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        title: what it shows.
        png: the whole figure as the content of a PNG file.
        panels: its panels, for a page.
    """

    title: str
    png: bytes
    panels: list[Panel]

    @property
    def file_name(self) -> str:
        """The file name made from the title."""
        return "".join(c for c in self.title.lower().replace(" ", "-") if c.isalnum() or c == "-") + ".png"


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
    words = {title: [description_of(axes) for axes in figure.axes] for title, figure in figures.items()}
    renamed = make_drawable(figures.values(), names)
    with mpl.rc_context({"svg.fonttype": "none"}):
        pictures = {
            title: Picture(title, _png(figure), list(_panels(title, figure, words[title])))
            for title, figure in figures.items()
        }
    return Pictures(pictures, renamed)


def _panels(title: str, figure: Figure, words: Sequence[str]) -> Iterator[Panel]:
    if figure.get_label() == PHOTOGRAPHS:
        alt = ". ".join(filter(None, [title, *words])) + "."
        yield Panel(_jpeg(figure), alt, round(figure.get_figwidth() * _PAGE_DPI))
        return
    figure.set_layout_engine("none")  # `_png` laid it out; a panel must not grow while the others are hidden
    all_axes = figure.axes
    for number, axes in enumerate(all_axes):
        for other in all_axes:
            other.set_visible(other is axes)
        box = _bounds(figure, axes)
        drawing = _svg(figure, box, f"{title} {number}")
        yield Panel(drawing, f"{title}. {words[number]}.", round(box.width * _PAGE_DPI))
    for axes in all_axes:
        axes.set_visible(True)


def _bounds(figure: Figure, axes: Axes) -> Bbox:
    """Return what a panel covers with its labels and legend, in inches."""
    pixels = axes.get_tightbbox()
    assert pixels is not None  # it is visible
    return pixels.transformed(figure.dpi_scale_trans.inverted()).padded(_MARGIN)


def _svg(figure: Figure, box: Bbox, salt: str) -> str:
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):  # ids that drawings of one page do not share
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", bbox_inches=box, transparent=True, metadata=metadata)
    text = out.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    head, body = text.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view  # matplotlib writes one
    body = _IN_A_TAG.sub(lambda tag: _LONG_NUMBER.sub(_shortened, tag[0]), _NUMBERED.sub("", body))
    for fixed, variable in ((INK, "--ink"), (EDGE, "--soft")):
        body = re.sub(fixed, f"var({variable})", body, flags=re.IGNORECASE)
    return f'<svg {view[0]} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{body}'


def _shortened(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _jpeg(figure: Figure) -> str:
    out = io.BytesIO()
    figure.savefig(out, format="jpeg", pil_kwargs={"quality": 80})
    return data_uri(out.getvalue(), "jpeg")
