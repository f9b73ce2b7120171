"""Names in any script: drawn if a font has them, numbered and explained if none has; nothing is a box or a warning."""

import warnings

import pytest
from matplotlib.text import Text

from fastmri_cls.report import fonts
from fastmri_cls.report.drawing import describe, legend_below, new_figure
from fastmri_cls.report.pictures import render_all

CHINESE, HEBREW = "胶质瘤", "תקין"


def figure_with(*names):
    """A figure that shows names as title, tick labels and legend."""
    figure = new_figure(4, 3)
    axes = figure.subplots()
    handles = [axes.plot([0, 1], [0, number], label=f"{name}, AUC 0.9")[0] for number, name in enumerate(names)]
    axes.set_xticks(range(len(names)), names)
    axes.set_title("alpha")
    legend_below(axes, handles)
    describe(axes, "; ".join(names))
    return figure


def texts(figure):
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.fixture
def without_chinese(monkeypatch):
    """A system whose fonts have no Chinese character."""
    monkeypatch.setattr(fonts, "_regular_fonts", lambda: ("DejaVu Sans",))
    fonts._fonts_for.cache_clear()
    yield
    fonts._fonts_for.cache_clear()


def test_a_name_that_no_font_has_is_numbered_and_explained(without_chinese):
    figure = figure_with("glioma", CHINESE, HEBREW)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = render_all({"ROC": figure}, {"class": ["glioma", CHINESE, HEBREW]})
    assert pictures.renamed == {"class 2": CHINESE}
    assert {"glioma", "class 2", "class 2, AUC 0.9", HEBREW} <= texts(figure)
    assert CHINESE in pictures.by_title["ROC"].panels[0].alt  # a screen reader has no fonts


def test_what_no_font_has_outside_the_known_names_is_a_question_mark(without_chinese):
    figure = figure_with("glioma")
    figure.axes[0].set_title("瘤 alpha")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render_all({"ROC": figure}, {"class": ["glioma"]})
    assert "? alpha" in texts(figure)


def test_an_installed_font_is_used(monkeypatch):
    monkeypatch.setattr(fonts, "_regular_fonts", lambda: ("DejaVu Sans", "Far East"))
    own = fonts._characters_of
    monkeypatch.setattr(fonts, "_characters_of", lambda name: frozenset(CHINESE) if name == "Far East" else own(name))
    fonts._fonts_for.cache_clear()
    figure = figure_with(CHINESE)
    assert fonts.make_drawable([figure], {"class": [CHINESE]}) == {}
    fonts._fonts_for.cache_clear()
    families = [text.get_fontfamily() for text in figure.findobj(Text) if text.get_text() == CHINESE]
    assert families
    assert all(found == ["DejaVu Sans", "Far East"] for found in families)


@pytest.mark.parametrize("name", ["$x$", "cost_$1", "_hidden", "a\\b", "50%"])
def test_a_name_is_never_a_formula_and_never_left_out_of_a_legend(name):
    figure = figure_with("glioma", name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render_all({"ROC": figure}, {"class": ["glioma", name]})
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "glioma, AUC 0.9",
        f"{name}, AUC 0.9",
    ]


def test_a_legend_without_entries_is_no_warning():
    figure = new_figure(3, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        legend_below(figure.subplots(), [])
        render_all({"Empty": figure}, {})
