"""Every kind of file a real folder holds comes out as 8-bit grey or RGB, or is rejected with its reason."""

import contextlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fastmri_cls.sources.decode import decode, decode_file, resize
from fastmri_cls.sources.pixels import RejectedImage

RAMP = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (40, 1))  # [40, 60]: wider than high, so that turns show
COLOUR = np.stack([RAMP, 255 - RAMP, np.full_like(RAMP, 40)], axis=-1)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.tiff", "a.gif", "a.webp"])
def test_a_grey_image_keeps_its_levels_in_every_lossless_format(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    path = saved(tmp_path / name, Image.fromarray(RAMP), **options)
    np.testing.assert_array_equal(decode(path), RAMP)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff_is_read(tmp_path: Path, compression: str) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(RAMP), compression=compression)
    np.testing.assert_array_equal(decode(path), RAMP)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_colour_stays_colour(tmp_path: Path, name: str) -> None:
    np.testing.assert_array_equal(decode(saved(tmp_path / name, Image.fromarray(COLOUR))), COLOUR)


def test_grey_saved_as_rgb_becomes_grey(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(RAMP).convert("RGB"))
    np.testing.assert_array_equal(decode(path), RAMP)


def test_a_scan_with_a_small_coloured_mark_is_still_grey(tmp_path: Path) -> None:
    marked = np.stack([RAMP] * 3, axis=-1)
    marked[2:6, 2:6] = (255, 0, 0)
    assert decode(saved(tmp_path / "a.png", Image.fromarray(marked))).ndim == 2


def test_a_grey_jpeg_is_within_its_loss(tmp_path: Path) -> None:
    pixels = decode(saved(tmp_path / "a.jpg", Image.fromarray(RAMP), quality=95))
    assert pixels.shape == RAMP.shape
    assert np.abs(pixels.astype(int) - RAMP).max() <= 4


def test_a_colour_jpeg_in_cmyk_is_shown_in_rgb(tmp_path: Path) -> None:
    pixels = decode(saved(tmp_path / "a.jpg", Image.fromarray(COLOUR).convert("CMYK"), quality=95))
    assert pixels.shape == COLOUR.shape
    assert np.abs(pixels.astype(int) - COLOUR).mean() <= 4


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.fromarray(RAMP // 4).convert("P")
    image.putpalette([channel for level in range(256) for channel in (255 - level, level, 0)])
    expected = np.stack([255 - RAMP // 4, RAMP // 4, np.zeros_like(RAMP)], axis=-1)
    np.testing.assert_array_equal(decode(saved(tmp_path / "a.png", image)), expected)


def test_transparent_pixels_are_black_whatever_colour_they_hide(tmp_path: Path) -> None:
    alpha = np.where(np.arange(60) < 30, 255, 0).astype(np.uint8) * np.ones((40, 1), np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(np.dstack([COLOUR, alpha]), "RGBA"))
    np.testing.assert_array_equal(decode(path), np.where(alpha[..., None] == 255, COLOUR, 0))


def test_grey_with_alpha_is_grey_on_black(tmp_path: Path) -> None:
    image = Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(np.full_like(RAMP, 255))])
    np.testing.assert_array_equal(decode(saved(tmp_path / "a.png", image)), RAMP)


def test_a_transparent_palette_entry_is_black(tmp_path: Path) -> None:
    image = Image.fromarray(np.where(RAMP < 100, 0, 1).astype(np.uint8)).convert("P")
    image.putpalette([200, 0, 0, 0, 200, 0])
    path = saved(tmp_path / "a.png", image, transparency=0)
    expected = np.where((RAMP < 100)[..., None], (0, 0, 0), (0, 200, 0))
    np.testing.assert_array_equal(decode(path), expected)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_stretched_from_smallest_to_largest_and_not_clipped(tmp_path: Path, name: str) -> None:
    deep = RAMP.astype(np.uint16) * 16 + 100  # a 12-bit scan in a 16-bit file
    pixels = decode(saved(tmp_path / name, Image.fromarray(deep)))
    expected = np.rint(255 * (deep - 100.0) / (deep.max() - 100))
    np.testing.assert_array_equal(pixels, expected)


def test_big_endian_16_bit_tiff_is_read_in_its_byte_order(tmp_path: Path) -> None:
    deep = (RAMP.astype(np.uint16) * 16).astype(">u2")
    header = struct.pack(">2sHI", b"MM", 42, 8)
    tags = [
        (256, 3, 60),
        (257, 3, 40),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 122),
        (278, 3, 40),
        (279, 4, 4800),
    ]
    entries = b"".join(
        struct.pack(">HHI", tag, kind, 1) + (struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value))
        for tag, kind, value in tags
    )
    directory = struct.pack(">H", len(tags)) + entries + struct.pack(">I", 0)
    content = header + directory
    path = tmp_path / "a.tif"
    path.write_bytes(content.ljust(122, b"\0") + deep.tobytes())
    np.testing.assert_array_equal(decode(path), np.rint(255 * (deep / deep.max())))


def test_16_bit_colour_png_of_full_range_keeps_its_levels(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in COLOUR.astype(np.uint16) * 257)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    path = tmp_path / "a.png"
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60, 40, 16, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    np.testing.assert_array_equal(decode(path), COLOUR)


def test_float_tiff_is_stretched_and_what_is_not_finite_is_black(tmp_path: Path) -> None:
    values = RAMP / 100
    values[0, 0] = np.nan
    pixels = decode(saved(tmp_path / "a.tif", Image.fromarray(values.astype(np.float32))))
    assert pixels[0, 0] == 0
    assert pixels.max() == 255


def test_one_bit_images_are_black_and_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(RAMP > 100))
    np.testing.assert_array_equal(decode(path), np.where(RAMP > 100, 255, 0))


# What a viewer does for each EXIF orientation, in numpy.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = decode(saved(tmp_path / "plain.jpg", Image.fromarray(RAMP)))
    turned = decode(saved(tmp_path / "turned.jpg", Image.fromarray(RAMP), exif=exif))
    np.testing.assert_array_equal(turned, TURNS[orientation](plain))


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    path = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(path), RAMP)


def test_of_a_multi_page_tiff_the_first_page_is_taken(tmp_path: Path) -> None:
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    path = saved(tmp_path / "a.tif", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(path), RAMP)


def test_the_content_counts_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "really a PNG, мозг.jpg"
    Image.fromarray(RAMP).save(path, "PNG")
    image = decode_file(path)
    pixels, facts = image.pixels, image.facts
    np.testing.assert_array_equal(pixels, RAMP)
    assert (facts.format, facts.mode, facts.width, facts.height) == ("PNG", "L", 60, 40)
    assert facts.bytes == path.stat().st_size


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"not an image", "no image"),
        (_png()[:60], "truncated|broken|cannot be read"),
        (b"\xff\xd8\xff", "no image"),
    ],
)
def test_a_bad_file_is_rejected_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(RejectedImage, match=reason):
        decode(path)


def test_a_missing_file_a_folder_and_a_pipe_are_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name in ("pipe.png", "dangling.png", "loop.png", "."):
        with pytest.raises(RejectedImage):
            decode(tmp_path / name)


def test_a_decompression_bomb_is_rejected_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (10_000, 10_000)).save(path)  # 100 million pixels in 12 kB: Pillow itself would only warn
    with pytest.raises(RejectedImage, match="too large"):
        decode(path)


KINDS = {
    "png": ("PNG", {}), "jpg": ("JPEG", {}), "bmp": ("BMP", {}), "gif": ("GIF", {}),
    "tif": ("TIFF", {"compression": "packbits"}), "webp": ("WEBP", {}),
}  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
def test_flipped_bytes_give_pixels_or_a_rejection_and_nothing_else(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, KINDS[kind][0], **KINDS[kind][1])
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"flipped.{kind}"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with contextlib.suppress(RejectedImage):
        assert decode(path).dtype == np.uint8


@pytest.mark.parametrize("method", ["bilinear", "nearest", "lanczos"])
def test_resize_is_pillows(method: str) -> None:
    expected = Image.fromarray(COLOUR).resize((20, 20), Image.Resampling[method.upper()])
    np.testing.assert_array_equal(resize(COLOUR, 20, method), np.asarray(expected))


def test_bilinear_resize_averages_what_it_shrinks() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert np.abs(resize(stripes, 16, "bilinear")[4:-4, 4:-4].astype(int) - 127).max() <= 3
