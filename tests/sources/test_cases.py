"""The small inputs that people met, read in place: the right picture, or the stated line (skipped where absent)."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.sources.decode import decode, decode_file
from fastmri_cls.sources.pixels import RejectedImage

CASES = Path(__file__).parents[3] / "shared" / "cases"
EXPECTED = sorted(path.name.removesuffix(".expected.png") for path in CASES.glob("expected/*.png"))

pytestmark = pytest.mark.skipif(not EXPECTED, reason="shared/cases is absent")


def notes(name: str) -> list[str]:
    return [note.kind.value for note in decode_file(CASES / "files" / name).notes]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_picture_is_the_expected_one(name: str) -> None:
    if name.startswith("dicom"):
        pytest.importorskip("pydicom")
    expected = np.asarray(Image.open(CASES / "expected" / f"{name}.expected.png")).astype(int)
    pixels = decode(CASES / "files" / name)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= 3


def test_a_small_red_lamp_keeps_its_colour_or_the_loss_is_noted() -> None:
    assert decode(CASES / "files" / "png-small-red-lamp.png", keep_colour=True).ndim == 3
    assert notes("png-small-red-lamp.png") == ["colour_dropped"]


def test_a_hot_pixel_leaves_the_scan_its_levels() -> None:
    pixels = decode(CASES / "files" / "png-u16-one-hot-pixel.png")
    assert len(np.unique(pixels)) > 100
    assert notes("png-u16-one-hot-pixel.png") == ["outliers_clipped"]


def test_padding_leaves_the_scan_its_levels() -> None:
    pytest.importorskip("pydicom")
    pixels = decode(CASES / "files" / "dicom-pixel-padding.dcm")
    assert len(np.unique(pixels)) > 100


def test_a_stack_with_a_blank_first_page_says_so() -> None:
    assert notes("tiff-stack-first-page-blank.tif") == ["pages_left_out", "low_contrast"]


def test_postscript_is_refused() -> None:
    with pytest.raises(RejectedImage, match="PostScript, which is not read"):
        decode(CASES / "files" / "postscript-named.jpg")
