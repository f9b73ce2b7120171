"""Bad image files. Each is the one bad file of a source that is sound otherwise, in a build that accepts none."""

import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.campaign.kinds import BadInput, kind
from tests.campaign.materials import Materials, build_arguments, copy, save_image
from tests.campaign.runner import NORMAL, Conditions

_NOISE = np.random.default_rng(5).integers(0, 256, (64, 64), dtype=np.uint8)


def _bad_file(folder: Path, given: Materials, name: str) -> Path:
    """Where the bad file goes."""
    return copy(given.source, folder / "source") / "Training" / "glioma" / name


def _build(path: Path, conditions: Conditions = NORMAL) -> BadInput:
    source = path.parents[2]
    command = (*build_arguments(source, source.with_name("out")), "--max-rejected", 0)
    return BadInput(command, says=path.name, conditions=conditions)


def _of_bytes(name: str, file: str, content: bytes) -> None:
    """Register the kind `name`: a file of these bytes."""

    def make(folder: Path, given: Materials) -> BadInput:
        path = _bad_file(folder, given, file)
        path.write_bytes(content)
        return _build(path)

    make.__name__ = name
    kind(make)


def _image_bytes(suffix: str, pixels: np.ndarray = _NOISE) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer, {"jpg": "JPEG", "png": "PNG", "tif": "TIFF", "bmp": "BMP", "gif": "GIF"}[suffix]
    )
    return buffer.getvalue()


def _png(width: int, height: int, data: bytes) -> bytes:
    """A PNG that says it is grey, `width` x `height`, whatever `data` holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def _dicom(rows: int, columns: int, pixels: bytes, length: int | None = None) -> bytes:
    """A DICOM file, explicit little endian, without any tag of a patient."""

    def element(group: int, number: int, kind: bytes, value: bytes, size: int | None = None) -> bytes:
        if kind in (b"OW", b"OB"):
            return struct.pack("<HH2sHI", group, number, kind, 0, len(value) if size is None else size) + value
        return struct.pack("<HH2sH", group, number, kind, len(value)) + value

    syntax = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0")
    meta = element(2, 0, b"UL", struct.pack("<I", len(syntax))) + syntax
    short = [(2, 1), (0x10, rows), (0x11, columns), (0x100, 16), (0x101, 16), (0x102, 15), (0x103, 0)]
    body = element(0x28, 2, b"US", struct.pack("<H", 1)) + element(0x28, 4, b"CS", b"MONOCHROME2 ")
    body += b"".join(element(0x28, number, b"US", struct.pack("<H", value)) for number, value in short[1:])
    return b"\0" * 128 + b"DICM" + meta + body + element(0x7FE0, 0x10, b"OW", pixels, length)


_of_bytes("image_empty", "empty.png", b"")
_of_bytes("image_truncated_png", "cut.png", _image_bytes("png")[:1500])
_of_bytes("image_truncated_jpeg", "cut.jpg", _image_bytes("jpg")[:900])
_of_bytes("image_truncated_tiff", "cut.tif", _image_bytes("tif")[:700])
_of_bytes("image_truncated_bmp", "cut.bmp", _image_bytes("bmp")[:1200])
_of_bytes("image_truncated_gif", "cut.gif", _image_bytes("gif")[:300])
_of_bytes("image_header_alone", "header.jpg", _image_bytes("jpg")[:20])
_of_bytes("image_text_named_png", "notes.png", b"not an image\n")
_of_bytes("image_html_named_jpg", "page.jpg", b"<html><body>404 not found</body></html>")
_of_bytes("image_zip_named_jpg", "archive.jpg", b"PK\x03\x04" + bytes(200))
_of_bytes("image_random_bytes", "random.jpg", _NOISE.tobytes())
_of_bytes("image_zeros", "zeros.png", bytes(4096))
_of_bytes("image_svg", "drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
_of_bytes("image_bomb_png", "bomb.png", _png(50_000, 50_000, bytes(1000)))
_of_bytes("image_bomb_below_pillows_error", "large.png", _png(10_000, 10_000, bytes(1000)))
_of_bytes("image_of_no_pixels", "nothing.png", _png(0, 0, b""))
_of_bytes("image_with_too_few_pixels", "few.png", _png(64, 64, bytes(100)))
_of_bytes("image_with_a_wrong_checksum", "crc.png", _image_bytes("png").replace(b"IDAT", b"IDAU", 1))
_of_bytes("image_tiff_that_points_nowhere", "nowhere.tif", b"II*\0" + struct.pack("<I", 2**31))
_of_bytes("image_tiff_that_points_at_itself", "loop.tif", b"II*\0" + struct.pack("<IHI", 8, 0, 8) + bytes(32))
_of_bytes("dicom_truncated", "cut.dcm", _dicom(64, 64, bytes(8192))[:400])
_of_bytes("dicom_without_pixels", "report.dcm", _dicom(64, 64, b"")[:-12])
_of_bytes("dicom_bomb", "bomb.dcm", _dicom(65535, 65535, bytes(16)))
_of_bytes("dicom_of_absurd_length", "length.dcm", _dicom(64, 64, bytes(16), length=0xFFFFFFF0))
_of_bytes("dicom_in_name_only", "name.dcm", b"\0" * 400)


@kind
def image_of_nan_alone(folder: Path, given: Materials) -> BadInput:
    return _build(save_image(np.full((32, 32), np.nan, np.float32), _bad_file(folder, given, "nan.tif")))


@kind
def image_with_some_nan_works(folder: Path, given: Materials) -> BadInput:
    pixels = _NOISE[:32, :32].astype(np.float32)
    pixels[::3] = np.nan
    pixels[1::3, 4] = np.inf
    path = save_image(pixels, _bad_file(folder, given, "some.tif"))
    return BadInput((*_build(path).command, "--encoding", "png"), code=0, makes=("out",))


@kind
def image_link_to_nothing(folder: Path, given: Materials) -> BadInput:
    path = _bad_file(folder, given, "nothing.png")
    path.symlink_to("not there.png")
    return _build(path)


@kind
def image_link_to_itself(folder: Path, given: Materials) -> BadInput:
    path = _bad_file(folder, given, "itself.png")
    path.symlink_to(path)
    return _build(path)


@kind
def image_link_to_an_endless_device(folder: Path, given: Materials) -> BadInput:
    path = _bad_file(folder, given, "endless.png")
    path.symlink_to("/dev/zero")
    return _build(path)


@kind
def image_is_a_pipe(folder: Path, given: Materials) -> BadInput:
    path = _bad_file(folder, given, "pipe.png")
    os.mkfifo(path)
    return _build(path)


@kind
def image_unreadable(folder: Path, given: Materials) -> BadInput:
    path = save_image(_NOISE, _bad_file(folder, given, "secret.png"))
    path.chmod(0)
    return _build(path, Conditions(nobody=True))


@kind
def image_name_is_not_utf8(folder: Path, given: Materials) -> BadInput:
    path = _bad_file(folder, given, os.fsdecode(b"caf\xe9.png"))
    save_image(_NOISE, path)
    build = _build(path)
    return BadInput(build.command, says=r"caf\xe9.png")


@kind
def predict_on_nothing_but_garbage(folder: Path, given: Materials) -> BadInput:
    (folder / "scans").mkdir()
    (folder / "scans" / "a.png").write_bytes(b"garbage")
    return BadInput(("predict", given.run, folder / "scans", "--out", folder / "out.csv"), says="scans/a.png")


@kind
def predict_on_garbage_and_an_image_works(folder: Path, given: Materials) -> BadInput:
    for number, content in enumerate((b"", b"text", _image_bytes("jpg")[:900], _png(50_000, 50_000, b""), bytes(500))):
        (folder / f"{number}.png").write_bytes(content)
    save_image(_NOISE, folder / "sound.png")
    (folder / "loop").symlink_to(folder)
    command = ("predict", given.run, folder, "--out", folder / "out.csv", "--json")
    return BadInput(command, code=0, prints='"images": 1, "failed": 5', makes=("out.csv",))


@kind
def predict_on_a_file_that_is_not_there(folder: Path, given: Materials) -> BadInput:
    return BadInput(("predict", given.run, folder / "absent.png", "--out", folder / "o.csv"), says="absent.png")


@kind
def predict_on_an_empty_folder(folder: Path, given: Materials) -> BadInput:
    (folder / "scans").mkdir()
    return BadInput(("predict", given.run, folder / "scans", "--out", folder / "out.csv"), says="scans")


@kind
def image_pdf(folder: Path, given: Materials) -> BadInput:
    """A document is no image: it is passed over, and named."""
    path = _bad_file(folder, given, "scan.pdf")
    path.write_bytes(b"%PDF-1.7\n" + bytes(100))
    return replace(_build(path), code=0, makes=("out",))
