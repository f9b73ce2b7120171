"""Images of more than 8 bits: all bits are used, none is inverted, one pixel does not decide the range."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fastmri_cls.sources.decode import decode, decode_file
from fastmri_cls.sources.pixels import RejectedImage, stretch_to_8_bits

SCAN = np.add.outer(np.arange(40) * 60, np.arange(60) * 20).astype(np.uint16)  # 0..3520: 12 bits
FULL = np.rint(SCAN * (255 / SCAN.max()))


def notes(path: Path) -> list[str]:
    return [note.kind.value for note in decode_file(path).notes]


def png(path: Path, values: np.ndarray, *chunks: tuple[bytes, bytes]) -> Path:
    """Write uint16 [height, width, 1..4] as a PNG of 16 bits a channel, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


def test_12_bit_data_in_16_bit_colour_png_use_all_levels(tmp_path: Path) -> None:
    grey = np.stack([SCAN] * 3, axis=-1)
    np.testing.assert_array_equal(decode(png(tmp_path / "grey.png", grey)), FULL)
    colour = np.stack([SCAN, SCAN[::-1], SCAN // 2], axis=-1)
    np.testing.assert_array_equal(decode(png(tmp_path / "colour.png", colour)), np.rint(colour * (255 / SCAN.max())))


def test_16_bit_colour_with_alpha_is_shown_on_black(tmp_path: Path) -> None:
    colour = np.stack([SCAN, SCAN[::-1], SCAN // 2, np.full_like(SCAN, 65535)], axis=-1)
    colour[:, :30, 3] = 0
    pixels = decode(png(tmp_path / "a.png", colour))
    assert pixels[:, :30].max() == 0
    shown = colour[:, 30:, :3].astype(float)
    np.testing.assert_array_equal(pixels[:, 30:], np.rint((shown - shown.min()) * 255 / (shown.max() - shown.min())))


def test_16_bit_grey_with_alpha_keeps_its_levels(tmp_path: Path) -> None:
    values = np.stack([SCAN, np.full_like(SCAN, 65535)], axis=-1)
    np.testing.assert_array_equal(decode(png(tmp_path / "a.png", values)), FULL)
    values[..., 1] = 32768
    np.testing.assert_array_equal(decode(png(tmp_path / "b.png", values)), np.rint(FULL * (32768 / 65535)))


def test_a_transparent_value_of_16_bits_is_not_part_of_the_range(tmp_path: Path) -> None:
    grey = SCAN.copy()
    grey[:, :9] = 60000
    pixels = decode(png(tmp_path / "grey.png", grey[..., None], (b"tRNS", struct.pack(">H", 60000))))
    assert pixels[:, :9].max() == 0
    assert pixels[:, 9:].max() == 255
    colour = np.stack([grey] * 3, axis=-1)
    np.testing.assert_array_equal(
        decode(png(tmp_path / "c.png", colour, (b"tRNS", struct.pack(">3H", *[60000] * 3)))), pixels
    )


WRITTEN = {
    "u16": SCAN, "u32": SCAN.astype(np.uint32) + 3_000_000_000, "i32": SCAN.astype(np.int32) - 1000,
    "i16": SCAN.astype(np.int16) - 1000, "i8": (SCAN // 32).astype(np.int8), "f16": SCAN.astype(np.float16),
    "f32": SCAN.astype(np.float32) / 7, "f64": SCAN / 7, "u64": SCAN.astype(np.uint64),
}  # fmt: skip


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("kind", WRITTEN)
def test_grey_tiff_of_any_depth_is_stretched_and_never_a_negative(
    tmp_path: Path, kind: str, photometric: str, order: str
) -> None:
    values = WRITTEN[kind]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, byteorder=order)
    real = values.astype(np.float64)
    expected = (real - real.min()) * (255 / (real.max() - real.min()))
    expected = 255 - expected if photometric == "miniswhite" else expected
    assert np.abs(decode(tmp_path / "a.tif") - expected).max() <= 1


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_8_bit_tiff_is_not_stretched(tmp_path: Path, photometric: str, order: str) -> None:
    values = (SCAN // 32).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, byteorder=order)
    np.testing.assert_array_equal(decode(tmp_path / "a.tif"), 255 - values if photometric == "miniswhite" else values)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colour_tiff_keeps_its_lower_bytes(
    tmp_path: Path, order: str, planar: str, compression: str | None
) -> None:
    colour = np.stack([SCAN, SCAN[::-1], SCAN // 2], axis=-1)
    written = colour if planar == "contig" else np.ascontiguousarray(np.moveaxis(colour, -1, 0))
    tifffile.imwrite(
        tmp_path / "a.tif", written, photometric="rgb", planarconfig=planar, byteorder=order, compression=compression
    )
    np.testing.assert_array_equal(decode(tmp_path / "a.tif"), np.rint(colour * (255 / SCAN.max())))


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
def test_16_bit_tiff_with_alpha_is_shown_on_black(tmp_path: Path, extra: str) -> None:
    colour = np.stack([SCAN, SCAN[::-1], SCAN // 2, np.full_like(SCAN, 65535)], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb", extrasamples=[extra])
    np.testing.assert_array_equal(decode(tmp_path / "a.tif"), np.rint(colour[..., :3] * (255 / SCAN.max())))


def test_float_tiff_with_predictor_tiles_and_compression_is_read(tmp_path: Path) -> None:
    values = SCAN / 7
    tifffile.imwrite(tmp_path / "a.tif", values, compression="zlib", tile=(16, 16))
    assert np.abs(decode(tmp_path / "a.tif") - FULL).max() <= 1


def test_what_is_not_finite_is_black_in_a_negative_too(tmp_path: Path) -> None:
    values = SCAN / 7
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    pixels = decode(tmp_path / "a.tif")
    assert pixels[0, :3].tolist() == [0, 0, 0]
    assert pixels.max() == 255


def test_an_image_without_a_finite_value_is_rejected(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((8, 8), np.nan))
    with pytest.raises(RejectedImage, match="no pixel has a finite value"):
        decode(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("values", "options", "reason"),
    [
        (SCAN.astype(np.complex64), {}, "samples of 64 bits"),
        (np.zeros((4, 16, 16)), {"volumetric": True, "tile": (4, 16, 16), "photometric": "minisblack"}, "of a volume"),
    ],
)
def test_a_tiff_that_is_not_read_is_refused_with_its_reason(
    tmp_path: Path, values: np.ndarray, options: dict, reason: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with pytest.raises(RejectedImage, match=reason):
        decode(tmp_path / "a.tif")


def test_a_tiff_strip_that_inflates_beyond_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64)), compression="zlib")
    content = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        (offset,), (length,) = tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts
    bomb = zlib.compress(bytes(50_000_000), 9)
    position = content.index(struct.pack("<II", 1, length)) + 4 if struct.pack("<II", 1, length) in content else -1
    assert position > 0
    changed = bytearray(content)
    struct.pack_into("<I", changed, position, len(bomb))
    path.write_bytes(bytes(changed[:offset]) + bomb)
    with pytest.raises(RejectedImage, match="larger than it may be"):
        decode(path)


@pytest.mark.parametrize("maxval", [255, 4095, 65535])
def test_a_portable_pixmap_of_more_than_8_bits_uses_all_levels(tmp_path: Path, maxval: int) -> None:
    colour = np.stack([SCAN, SCAN[::-1], SCAN // 2], axis=-1)
    if maxval == 255:
        colour = (colour // 16).astype(np.uint8)
    (tmp_path / "a.ppm").write_bytes(
        b"P6 60 40 %d\n" % maxval + colour.astype(">u2" if maxval > 255 else "u1").tobytes()
    )
    expected = colour if maxval == 255 else np.rint(colour * (255 / SCAN.max()))
    np.testing.assert_array_equal(decode(tmp_path / "a.ppm"), expected)


@pytest.mark.parametrize("outlier", [65535, 30000])
@pytest.mark.parametrize("count", [1, 8])
def test_hot_pixels_do_not_decide_the_range(tmp_path: Path, outlier: int, count: int) -> None:
    values = SCAN.copy()
    values.ravel()[700 : 700 + count] = outlier
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = FULL.copy()
    expected.ravel()[700 : 700 + count] = 255
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), expected)
    assert notes(tmp_path / "a.png") == ["outliers_clipped"]


def test_a_dead_pixel_far_below_does_not_decide_the_range() -> None:
    values = SCAN.astype(np.float32)
    values[5, 5] = -1e6
    pixels, outliers = stretch_to_8_bits(values)
    assert pixels[5, 5] == 0
    assert len(outliers) == 1
    np.testing.assert_array_equal(np.delete(pixels, 5, axis=0), np.delete(FULL, 5, axis=0))


def test_a_bright_structure_keeps_the_range_from_smallest_to_largest() -> None:
    values = SCAN.copy()
    values[3:6, 3:6] = 9000  # 0.4 % of the pixels, 2.6 times as bright as the rest
    pixels, outliers = stretch_to_8_bits(values)
    np.testing.assert_array_equal(pixels, np.rint(values * (255 / 9000)))
    assert outliers == ()


def test_a_flat_image_is_noted(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 9, np.uint8)).save(tmp_path / "blank.png")
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20) % 16).save(tmp_path / "dark.png")
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20) % 17).save(tmp_path / "enough.png")
    assert notes(tmp_path / "blank.png") == notes(tmp_path / "dark.png") == ["low_contrast"]
    assert notes(tmp_path / "enough.png") == []
