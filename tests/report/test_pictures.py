"""Figures as files and on pages: one drawing a panel, with words, in the colours of the page."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from fastmri_cls.report.drawing import (
    COLOURS,
    INK,
    PHOTOGRAPHS,
    PLAIN,
    describe,
    legend_below,
    light_frame,
    new_figure,
    panels_of,
    unit_square,
)
from fastmri_cls.report.pictures import render_all

WHITE, DARK = "#ffffff", "#14181e"  # of templates/style.css


@pytest.fixture(scope="module")
def pictures():
    figure, grid = panels_of(2, width=3, height=3)
    for axes, name in zip(grid, ("alpha", "<b>beta</b>"), strict=True):
        (line,) = axes.plot([0, 1.23456], [0, 0.7], color=INK, label=f"{name} 0.70")
        axes.set_title(name)
        light_frame(axes)
        legend_below(axes, [line])
        describe(axes, f"{name} reaches 0.70")
    return render_all({"Reliability, as trained": figure}, {})


def test_each_panel_is_a_drawing_with_its_own_text_and_words(pictures):
    alpha, beta = pictures.by_title["Reliability, as trained"].panels
    assert alpha.alt == "Reliability, as trained. alpha: alpha reaches 0.70."
    for panel, own, others in ((alpha, "alpha", "beta"), (beta, "<b>beta</b>", "alpha")):
        drawing = ElementTree.fromstring(panel.content)
        texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
        assert {own, f"{own} 0.70"} <= set(texts)
        assert not [text for text in texts if others in text]
        _, _, width, height = map(float, drawing.attrib["viewBox"].split())
        assert panel.width == pytest.approx(width * 96 / 72, abs=2)
        assert height > width * 0.8  # the legend is inside
        assert "width" not in drawing.attrib


def test_two_drawings_share_no_id_and_ink_has_the_colour_of_the_page(pictures):
    drawings = [ElementTree.fromstring(p.content) for p in pictures.by_title["Reliability, as trained"].panels]
    first, second = ({e.attrib["id"] for e in drawing.iter() if "id" in e.attrib} for drawing in drawings)
    assert first
    assert not first & second
    assert "var(--ink)" in pictures.by_title["Reliability, as trained"].panels[0].content
    assert INK not in pictures.by_title["Reliability, as trained"].panels[0].content


def test_the_file_has_the_whole_figure_and_a_name_made_from_the_title(pictures, tmp_path):
    pictures.save(tmp_path)
    png = (tmp_path / "reliability-as-trained.png").read_bytes()
    assert int.from_bytes(png[16:20], "big") == 6 * 192  # pixels: two panels of 3 inches, twice a page's 96 an inch


def test_a_long_name_does_not_make_the_panel_small():
    sizes = []
    for name in ("short", "a name of many settings, learning rate 0.001, augment none, batch size 64, no ema"):
        figure, (axes,) = panels_of(1, width=4.2, height=5)
        legend_below(axes, axes.plot([0, 1], [0, 1], label=name))
        unit_square(axes, "x", "y", name)
        render_all({"ROC": figure}, {})
        sizes.append(axes.get_window_extent().width)
    assert sizes[1] > 0.8 * sizes[0]


def test_a_figure_of_images_is_one_photograph():
    figure = new_figure(2, 1, PHOTOGRAPHS)
    for axes in figure.subplots(1, 2):
        axes.imshow(np.zeros((8, 8), np.uint8), cmap="gray", vmin=0, vmax=255)
    (panel,) = render_all({"Augmented": figure}, {}).by_title["Augmented"].panels
    assert panel.content.startswith("data:image/jpeg;base64,")
    assert not panel.is_drawing


@pytest.mark.parametrize("page", [WHITE, DARK])
@pytest.mark.parametrize("colour", [*COLOURS[:-1], PLAIN[1]])
def test_a_line_has_enough_contrast_with_a_light_and_a_dark_page(colour, page):
    lighter, darker = sorted((luminance(colour), luminance(page)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 3  # WCAG 2.2, 1.4.11


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
