"""DICOM as scanners write it: windows, rescaling, MONOCHROME1, palettes, frames, compression."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastmri_cls.sources.decode import decode, decode_file
from fastmri_cls.sources.pixels import RejectedImage

pydicom = pytest.importorskip("pydicom")

from pydicom.uid import JPEGLSLossless, RLELossless  # noqa: E402

from tests.sources.dicom_files import VALUES, to_255, write  # noqa: E402


def test_without_a_window_the_smallest_value_is_black_and_the_largest_white(tmp_path: Path) -> None:
    image = decode_file(write(tmp_path / "a.dcm", VALUES))
    pixels, facts = image.pixels, image.facts
    np.testing.assert_array_equal(pixels, to_255(VALUES, 0, VALUES.max()))
    assert (facts.format, facts.mode, facts.width, facts.height) == ("DICOM", "MONOCHROME2", 32, 24)


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    pixels = decode(write(tmp_path / "a.dcm", VALUES, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(pixels, 255 - to_255(VALUES, 0, VALUES.max()))


def test_the_files_window_sets_black_and_white(tmp_path: Path) -> None:
    pixels = decode(write(tmp_path / "a.dcm", VALUES, WindowCenter=1000, WindowWidth=401))
    # PS3.3 C.11.2.1.2.1: the linear ramp runs from c - .5 - (w - 1) / 2 to c - .5 + (w - 1) / 2.
    assert np.abs(pixels - to_255(VALUES, 799.5, 1199.5)).max() <= 1


def test_a_window_wider_than_the_image_is_not_stretched(tmp_path: Path) -> None:
    pixels = decode(write(tmp_path / "a.dcm", VALUES, WindowCenter=2611, WindowWidth=5222))
    assert 120 <= pixels.max() <= 135


def test_the_window_applies_after_slope_and_intercept(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.dcm", VALUES, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=[500, 0], WindowWidth=[1001, 5]
    )
    assert np.abs(decode(path) - to_255(VALUES * 2.0 - 1000, -0.5, 999.5)).max() <= 1


def test_of_several_frames_the_middle_one_is_taken(tmp_path: Path) -> None:
    frames = np.stack([VALUES * 0 + 7, VALUES[::-1], VALUES, VALUES[:, ::-1], VALUES * 0])
    np.testing.assert_array_equal(decode(write(tmp_path / "a.dcm", frames)), to_255(VALUES, 0, VALUES.max()))


def test_colour_stays_colour(tmp_path: Path) -> None:
    colour = np.zeros((24, 32, 3), np.uint8)
    colour[:, :16, 0] = 200
    colour[:, 16:, 2] = 100
    np.testing.assert_array_equal(decode(write(tmp_path / "a.dcm", colour)), colour)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    indices = (VALUES % 2).astype(np.uint8)
    lookup = {
        f"{name}PaletteColorLookupTable{part}": value
        for name, levels in {"Red": (0, 65535), "Green": (65535, 0), "Blue": (0, 0)}.items()
        for part, value in (("Descriptor", [2, 0, 16]), ("Data", np.array(levels, "<u2").tobytes()))
    }
    indices[:, :16] = 1
    pixels = decode(write(tmp_path / "a.dcm", indices, PhotometricInterpretation="PALETTE COLOR", **lookup))
    np.testing.assert_array_equal(pixels[..., 0], np.where(indices == 1, 255, 0))
    np.testing.assert_array_equal(pixels[..., 1], np.where(indices == 1, 0, 255))


def test_rle_compression_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VALUES, syntax=RLELossless)
    np.testing.assert_array_equal(decode(path), to_255(VALUES, 0, VALUES.max()))


def test_a_compression_without_a_decoder_is_a_clear_reason(tmp_path: Path) -> None:
    with pytest.raises(RejectedImage, match="JPEG-LS") as rejected:
        decode(write(tmp_path / "a.dcm", VALUES, syntax=JPEGLSLossless))
    assert "\n" not in str(rejected.value)


def test_dicom_is_known_by_its_mark_whatever_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "IM000001", VALUES)
    assert decode_file(path).facts.format == "DICOM"


def test_a_file_that_is_dicom_by_name_alone_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"something else" * 20)
    with pytest.raises(RejectedImage, match="no DICOM file"):
        decode(path)


def test_dicom_without_pixels_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VALUES)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    del dataset.Rows
    dataset.save_as(path)
    with pytest.raises(RejectedImage, match="without an image"):
        decode(path)


def test_a_dicom_bomb_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", VALUES)
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(path)
    with pytest.raises(RejectedImage, match="too large"):
        decode(path)


def test_without_pydicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.dcm", VALUES)
    real_import = builtins.__import__

    def without_pydicom(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pydicom"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pydicom)
    with pytest.raises(RejectedImage, match="needs the extra dicom: pip install"):
        decode(path)
