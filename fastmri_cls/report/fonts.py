"""Text in figures that a font can draw: names of classes and sources may be in any script.

Characters that matplotlib's own font lacks are drawn with an installed font that has them. If no installed font has
them, the name is numbered in the figure ("class 1"), and the page beside the figure says which name that is.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from matplotlib import ft2font
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

_OWN_FONT = "DejaVu Sans"  # comes with matplotlib
_LAST_RESORT = "Last Resort"  # a font of boxes, one for each script
_CAN_SHAPE = hasattr(ft2font, "__libraqm_version__")  # older versions draw Arabic and Hebrew from left to right


def make_drawable(figures: Iterable[Figure], names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Give every text of `figures` fonts that have its characters, and number the names for which there are none.

    Args:
        figures: changed in place.
        names: {kind: names}, kinds such as "class" and "source"; the names that may occur in the figures.

    Returns:
        {label in the figures: name} of the names that were replaced.
    """
    figures = list(figures)
    texts = [text for figure in figures for text in figure.findobj(Text)]
    wanted = {character for text in texts for character in text.get_text() if character.isprintable()}
    wanted |= {character for several in names.values() for name in several for character in name}
    families, lost = _fonts_for(frozenset(wanted))
    labels = {
        name: f"{kind} {number + 1}"
        for kind, several in names.items()
        for number, name in enumerate(several)
        if lost & set(name)
    }

    def drawable(content: str) -> str:
        for name in sorted(labels, key=len, reverse=True):
            content = content.replace(name, labels[name])
        return "".join("?" if character in lost else character for character in content)

    for axis in (axis for figure in figures for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FixedFormatter | FuncFormatter):  # writes its labels again when the figure is drawn
            axis.set_major_formatter(FuncFormatter(lambda x, place, own=formatter: drawable(own(x, place))))
    for text in texts:
        text.set_text(drawable(text.get_text()))
        text.set_parse_math(False)  # a dollar sign in a name is not the start of a formula
        text.set_fontfamily(families)
    return {label: name for name, label in labels.items()}


@cache
def _fonts_for(characters: frozenset[str]) -> tuple[list[str], set[str]]:
    """Return the fonts that draw `characters`, and the characters that no font draws."""
    unshaped = set() if _CAN_SHAPE else {c for c in characters if unicodedata.bidirectional(c) in ("R", "AL")}
    missing = {c for c in characters - _characters_of(_OWN_FONT) if not c.isspace()} - unshaped
    families = [_OWN_FONT]
    while missing:
        best = max(_regular_fonts(), key=lambda name: len(missing & _characters_of(name)))
        if not missing & _characters_of(best):
            break
        families.append(best)
        missing = missing - _characters_of(best)
    return families, missing | unshaped


@cache
def _regular_fonts() -> tuple[str, ...]:
    """Return the families of the installed upright fonts."""
    found = (font.name for font in fontManager.ttflist if font.style == "normal" and _LAST_RESORT not in font.name)
    return tuple(dict.fromkeys(found))


@cache
def _characters_of(family: str) -> frozenset[str]:
    path = fontManager.findfont(family, fallback_to_default=False)
    return frozenset(map(chr, get_font(path).get_charmap()))
