"""Sound pixels behind bad metadata or without an end are read and noted; truncated ones are refused."""

import contextlib
import io
import os
import stat
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fastmri_cls.sources.decode import decode, decode_file
from fastmri_cls.sources.pixels import RejectedImage

SCAN = np.random.default_rng(1).integers(0, 256, (40, 56), dtype=np.uint8)


def notes(path: Path) -> list[tuple[str, int]]:
    return [(note.kind.value, note.amount) for note in decode_file(path).notes]


def chunk(kind: bytes, content: bytes, checksum: int | None = None) -> bytes:
    right = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", right if checksum is None else checksum)


def png_with(*extra: bytes, at_end: bool = False) -> bytes:
    """Return a PNG with chunks after its header, or before its end."""
    buffer = io.BytesIO()
    Image.fromarray(SCAN).save(buffer, "PNG")
    content = buffer.getvalue()
    position = len(content) - 12 if at_end else 33
    return content[:position] + b"".join(extra) + content[position:]


HUGE = zlib.compress(bytes(3_000_000))
CHUNKS = {
    "3 MB of text": chunk(b"zTXt", b"Comment\0\0" + HUGE),
    "3 MB of international text": chunk(b"iTXt", b"Comment\0\1\0\0\0" + HUGE),
    "a profile of 3 MB": chunk(b"iCCP", b"profile\0\0" + HUGE),
    "text with a wrong checksum": chunk(b"tEXt", b"Comment\0hello", checksum=1),
    "text that does not inflate": chunk(b"zTXt", b"Comment\0\0no zlib at all"),
    "a profile that does not inflate": chunk(b"iCCP", b"profile\0\0no zlib at all"),
    "a short resolution": chunk(b"pHYs", b"\0"),
    "an unknown chunk with a wrong checksum": chunk(b"prVt", b"?", checksum=2),
}


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("name", CHUNKS)
def test_png_metadata_never_refuses_a_picture(tmp_path: Path, name: str, at_end: bool) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_with(CHUNKS[name], at_end=at_end))
    np.testing.assert_array_equal(decode(path), SCAN)
    assert notes(path) in ([], [("metadata_ignored", 1)])


def test_orientation_and_transparency_survive_bad_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(SCAN).save(tmp_path / "a.png", exif=exif, transparency=7)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:33] + CHUNKS["3 MB of text"] + content[33:])
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), np.where(SCAN == 7, 0, SCAN)[::-1, ::-1])
    assert notes(tmp_path / "a.png") == [("metadata_ignored", 1)]


def test_a_png_with_a_wrong_checksum_of_its_pixels_is_refused(tmp_path: Path) -> None:
    content = bytearray(png_with())
    content[content.index(b"IDAT") + 60] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(RejectedImage):
        decode(tmp_path / "a.png")


def test_an_exif_that_is_broken_does_not_refuse_the_picture(tmp_path: Path) -> None:
    Image.fromarray(SCAN).save(tmp_path / "plain.jpg", quality=95)
    Image.fromarray(SCAN).save(tmp_path / "a.jpg", quality=95, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    np.testing.assert_array_equal(decode(tmp_path / "a.jpg"), decode(tmp_path / "plain.jpg"))


JPEGS = {
    "baseline": {}, "progressive": {"progressive": True}, "optimized": {"optimize": True, "quality": 30},
    "restarts": {"restart_marker_blocks": 2},
}  # fmt: skip


def jpeg(kind: str, *, colour: bool) -> bytes:
    buffer = io.BytesIO()
    pixels = np.stack([SCAN, SCAN[::-1], SCAN[:, ::-1]], axis=-1) if colour else SCAN
    Image.fromarray(pixels).save(buffer, "JPEG", **JPEGS[kind])
    return buffer.getvalue()


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_without_its_end_marker_has_every_pixel(tmp_path: Path, kind: str, missing: int, colour: bool) -> None:
    content = jpeg(kind, colour=colour)
    (tmp_path / "whole.jpg").write_bytes(content)
    (tmp_path / "a.jpg").write_bytes(content[:-missing])
    np.testing.assert_array_equal(decode(tmp_path / "a.jpg"), decode(tmp_path / "whole.jpg"))
    assert notes(tmp_path / "a.jpg") == [("end_missing", 1)]


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_lacks_pixels_is_refused_wherever_it_ends(tmp_path: Path, kind: str, colour: bool) -> None:
    content = jpeg(kind, colour=colour)
    (tmp_path / "whole.jpg").write_bytes(content)
    whole = decode(tmp_path / "whole.jpg")
    path = tmp_path / "a.jpg"
    for missing in (*range(3, 40), *range(40, len(content) - 700, 97)):
        path.write_bytes(content[:-missing])
        with contextlib.suppress(RejectedImage):
            np.testing.assert_array_equal(decode(path), whole)
            assert missing < 6  # the bytes were padding


@pytest.mark.parametrize("name", ["figure.eps", "x.jpg"])
def test_postscript_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho started > {tmp_path}/log\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    path = tmp_path / name
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(RejectedImage, match="PostScript, which is not read"):
        decode(path)
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"\xc5\xd0\xd3\xc6" + bytes(60), "PostScript"), (b"%PDF-1.7\n", "PDF"),
        (b"\xd7\xcd\xc6\x9a" + bytes(80), "WMF"),
        (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(80), "EMF"), (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"\xef\xbb\xbf  <svg xmlns='x'/>", "SVG"), (b"<html>404", "HTML"), (b"<!DOCTYPE html>", "HTML"),
        (b"PK\3\4" + bytes(40), "ZIP"), (b"\x1f\x8b\x08" + bytes(40), "gzip"), (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"), (bytes(344) + b"n+1\0", "NIfTI"),
        (b"\0\0\1\0\1\0", "Windows icon"),
    ],
)  # fmt: skip
def test_another_format_under_an_images_name_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(RejectedImage, match=f"{named}, which is not read"):
        decode(tmp_path / "a.png")


def test_formats_beyond_the_documented_ones_are_not_opened(tmp_path: Path) -> None:
    for suffix in ("tga", "pcx", "ico", "sgi", "im"):
        Image.fromarray(SCAN).save(tmp_path / f"a.{suffix}")
        with pytest.raises(RejectedImage):
            decode(tmp_path / f"a.{suffix}")


FRAMES = [Image.fromarray(np.roll(SCAN, shift, axis=0)).convert("RGB") for shift in range(4)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.gif", {}), ("a.tif", {}), ("a.tif", {"compression": "tiff_lzw"}), ("a.png", {}),
        ("a.webp", {"lossless": True}), ("a.mpo", {}),
    ],
)  # fmt: skip
def test_pages_and_frames_left_out_are_counted(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    path = tmp_path / name
    FRAMES[0].save(path, save_all=True, append_images=FRAMES[1:], **options)
    tolerance = 40 if name.endswith(("mpo", "gif")) else 0
    assert np.abs(decode(path).astype(int) - SCAN).max() <= tolerance
    assert notes(path) == [("pages_left_out", 3)]


def test_a_stack_of_float64_pages_is_counted(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.stack([SCAN / 7.0] * 5), photometric="minisblack")
    assert notes(tmp_path / "a.tif") == [("pages_left_out", 4)]


def test_small_text_is_read_without_a_note(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "hello")
    Image.fromarray(SCAN).save(tmp_path / "a.png", pnginfo=text)
    assert notes(tmp_path / "a.png") == []
