"""Grey or colour is decided on every pixel; where the user wants three channels no colour is lost."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from fastmri_cls.sources.decode import decode, decode_file

GREY = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (120, 1))


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def lamp(colour: tuple[int, int, int], size: int = 8) -> np.ndarray:
    pixels = np.stack([GREY] * 3, axis=-1)
    pixels[40 : 40 + size, 51 : 51 + size] = colour
    return pixels


@pytest.mark.parametrize("size", [1, 3, 8, 20])
def test_a_lamp_keeps_its_colour_where_three_channels_are_wanted(tmp_path: Path, size: int) -> None:
    red, green = lamp((200, 30, 30), size), lamp((30, 200, 30), size)
    np.testing.assert_array_equal(decode(saved(tmp_path / "r.png", red), keep_colour=True), red)
    np.testing.assert_array_equal(decode(saved(tmp_path / "g.png", green), keep_colour=True), green)


def test_a_small_coloured_part_is_merged_with_a_note_otherwise(tmp_path: Path) -> None:
    image = decode_file(saved(tmp_path / "a.png", lamp((200, 30, 30))))
    assert image.pixels.ndim == 2
    assert image.colour_merged
    assert [note.kind.value for note in image.notes] == ["colour_dropped"]


def test_one_coloured_pixel_off_the_grid_of_eights_is_seen(tmp_path: Path) -> None:
    pixels = np.stack([GREY] * 3, axis=-1)
    pixels[41:45, 51:55, 0] = 255
    assert decode_file(saved(tmp_path / "a.png", pixels)).colour_merged


def test_chroma_noise_of_a_jpeg_is_grey_without_a_note(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-6, 7, (*GREY.shape, 3))
    pixels = np.clip(np.stack([GREY] * 3, axis=-1) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=80)
    image = decode_file(tmp_path / "a.jpg")
    assert image.pixels.ndim == 2
    assert image.colour_merged
    assert image.notes == ()


def test_equal_channels_are_one_channel_even_where_three_are_wanted(tmp_path: Path) -> None:
    image = decode_file(saved(tmp_path / "a.png", np.stack([GREY] * 3, axis=-1)), keep_colour=True)
    np.testing.assert_array_equal(image.pixels, GREY)
    assert not image.colour_merged


def test_lab_tiff_is_shown_in_rgb(tmp_path: Path) -> None:
    rgb = Image.fromarray(np.stack([GREY, 255 - GREY, np.full_like(GREY, 90)], axis=-1))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(rgb, *profiles, outputMode="LAB")
    assert lab is not None
    lab.save(tmp_path / "a.tif")
    assert np.abs(decode(tmp_path / "a.tif").astype(int) - np.asarray(rgb)).mean() <= 4


def test_ycbcr_and_cmyk_tiff_are_shown_in_rgb(tmp_path: Path) -> None:
    rgb = Image.fromarray(np.stack([GREY, 255 - GREY, np.full_like(GREY, 90)], axis=-1))
    for mode in ("YCbCr", "CMYK"):
        rgb.convert(mode).save(tmp_path / "a.tif")
        assert np.abs(decode(tmp_path / "a.tif").astype(int) - np.asarray(rgb)).max() <= 3


def test_a_negative_cmyk_jpeg_of_adobe_is_not_shown_as_a_negative(tmp_path: Path) -> None:
    rgb = Image.fromarray(np.stack([GREY, 255 - GREY, np.full_like(GREY, 90)], axis=-1))
    buffer = io.BytesIO()
    rgb.convert("CMYK").save(buffer, "JPEG", quality=95)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert np.abs(decode(tmp_path / "a.jpg").astype(int) - np.asarray(rgb)).mean() <= 4
