"""Image files that are not DICOM -> uint8 pixels: Pillow, with the depths and tags that its modes lose.

Pillow's modes hold 8 bits a channel; what has more is read here in full and stretched like any other scan.
"""

import sys
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from fastmri_cls.sources.formats import name_format, open_image
from fastmri_cls.sources.notes import Note, NoteKind
from fastmri_cls.sources.pixels import RejectedImage, stretch_to_8_bits
from fastmri_cls.sources.repair import repair
from fastmri_cls.sources.tiff import read_tiff

# What Pillow's parsers raise, besides OSError, when a file's bytes make no sense.
BROKEN = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, SyntaxError, EOFError, MemoryError,
    RuntimeError,
)  # fmt: skip
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 258, 262, 284, 339  # TIFF tags
_SIGNED, _SEPARATE, _WHITE_IS_ZERO = 2, 2, 0
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True)
class Raster:
    """A decoded file: an 8-bit image of mode L or RGB; format, mode and (width, height) of its header; notes."""

    image: Image.Image
    format: str
    mode: str
    size: tuple[int, int]
    notes: tuple[Note, ...]


def read_raster(file: BinaryIO) -> Raster:
    """Decode the first image of a file.

    Raises:
        RejectedImage, or what Pillow raises for a file that is broken or too large.
    """
    try:
        return _read(file)
    except (RejectedImage, *_BOMBS):
        raise
    except (OSError, *BROKEN) as error:
        repaired = repair(file)
        if repaired is None:
            if isinstance(error, UnidentifiedImageError):
                return _read_unknown(file)
            raise
        content, note = repaired
        raster = _read(content)
        return replace(raster, notes=(*raster.notes, note))


def _read(file: BinaryIO) -> Raster:
    with open_image(file) as image:
        header = image.format or "", image.mode, image.size
        tags = getattr(image, "tag_v2", {})
        rawmode = _rawmode(image)
        if tags.get(_PLANAR) == _SEPARATE and max(tags.get(_BITS_PER_SAMPLE, (8,))) > 8:
            return _read_tiff(file)
        notes: list[Note] = []
        if rawmode[-4:-1] == ";16" and not image.mode.startswith("I"):
            shown = _colour_of_16_bits(file, image, rawmode, notes)
        elif image.mode == "RGB" and image.tile and image.tile[0].codec_name == "ppm" and _largest(image) > 255:
            shown = Image.fromarray(_stretched(_read_deep_ppm(file, image), notes))
        else:
            shown = _to_8_bits(image, tags, notes)
        notes += _pages_left_out(image)
        return Raster(shown, *header, tuple(notes))


def _rawmode(image: ImageFile.ImageFile) -> str:
    """Return how Pillow unpacks the first tile, such as RGB;16B; empty where there is no such name."""
    arguments = image.tile[0].args if image.tile else ""
    if isinstance(arguments, tuple) and arguments:
        arguments = arguments[0]
    return arguments if isinstance(arguments, str) else ""


def _largest(image: ImageFile.ImageFile) -> int:
    """Return the value of white in a PPM."""
    arguments = image.tile[0].args
    return int(arguments[1]) if isinstance(arguments, tuple) else 255


def _read_deep_ppm(file: BinaryIO, image: ImageFile.ImageFile) -> np.ndarray:
    """Return uint16 [height, width, 3] of a PPM with more than 8 bits a channel, which Pillow scales to 8."""
    file.seek(image.tile[0].offset)
    return np.frombuffer(file.read(6 * image.width * image.height), ">u2").reshape(image.height, image.width, 3)


def _stretched(values: np.ndarray, notes: list[Note], hidden: np.ndarray | None = None) -> np.ndarray:
    """Return values stretched to 8 bits; `hidden` is broadcast to them."""
    pixels, outliers = stretch_to_8_bits(values, hidden if hidden is None else np.broadcast_to(hidden, values.shape))
    notes.extend(outliers)
    return pixels


def _to_8_bits(image: Image.Image, tags: dict[int, tuple[int, ...]], notes: list[Note]) -> Image.Image:
    _turn_upright(image, notes)
    is_signed = _SIGNED in np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1))
    if image.mode.startswith("I") or image.mode == "F" or (image.mode == "L" and is_signed):
        return Image.fromarray(_stretched(*_deep_grey(image, tags, is_signed, notes)))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        # Transparent pixels carry arbitrary colours: show them on black, the background of a scan.
        foreground = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", foreground.size, (0, 0, 0, 255)), foreground).convert("RGB")
    if image.mode in ("L", "1"):
        return image.convert("L")
    if image.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, *profiles, outputMode="RGB") or image
    return image.convert("RGB")  # a copy, since the file may be read on to count its pages


def _deep_grey(
    image: Image.Image, tags: dict[int, tuple[int, ...]], is_signed: bool, notes: list[Note]
) -> tuple[np.ndarray, list[Note], np.ndarray | None]:
    """Return the values of an image of 16 or 32 bits, or of signed ones; the notes; where it is transparent."""
    values = np.asarray(image)
    if tags and not is_signed and values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, (1,))[0] == 1:
        values = values.view(np.uint32)  # Pillow keeps them as signed
    if image.mode == "L":
        values = values.view(np.int8).astype(np.int16)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts 8 bits alone
        values = -values.astype(np.float64)
    transparent = image.info.get("transparency")
    return values, notes, values == transparent if isinstance(transparent, int) else None


def _colour_of_16_bits(file: BinaryIO, image: Image.Image, rawmode: str, notes: list[Note]) -> Image.Image:
    """Read colour, or grey with alpha, of 16 bits a channel, of which Pillow keeps the upper 8.

    The upper and the lower bytes are unpacked one after the other, as if the byte order were the other one.
    """
    transparency = image.info.get("transparency")
    alpha: np.ndarray | None = None
    hidden: np.ndarray | None = None
    if rawmode.startswith("LA"):  # 4 bytes a pixel: as many as RGBA has
        both = np.ascontiguousarray(_unpacked(file, "RGBA", notes)).view(">u2")
        colours, alpha = both[..., :1], both[..., 1]
    else:
        name = rawmode.replace("RGBa", "RGBA")  # Pillow would divide by alpha, which black below undoes
        high = _unpacked(file, name, notes).astype(np.uint16)
        values = high << 8 | _unpacked(file, name[:-1] + _OTHER_BYTE[name[-1]], [])
        if image.mode == "CMYK":
            values = (65535 - values[..., :3]) * ((65535 - values[..., 3:]) / 65535.0)
        colours, alpha = values[..., :3], values[..., 3] if values.shape[-1] == 4 else None
    if alpha is not None:
        hidden = (alpha == 0)[..., None]
    elif isinstance(transparency, tuple):
        hidden = (colours == transparency).all(axis=-1, keepdims=True)
    pixels = _stretched(colours, notes, hidden)
    if alpha is not None and not rawmode.startswith("RGBa"):
        pixels = np.rint(pixels * (alpha / 65535.0)[..., None]).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _unpacked(file: BinaryIO, rawmode: str, notes: list[Note]) -> np.ndarray:
    with open_image(file) as image:
        image.tile = [
            tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
            for tile in image.tile
        ]
        _turn_upright(image, notes)
        return np.asarray(image)


def _turn_upright(image: Image.Image, notes: list[Note]) -> None:
    image.load()
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except (OSError, *BROKEN):
        notes.append(Note(NoteKind.ORIENTATION_IGNORED))


def _pages_left_out(image: Image.Image) -> list[Note]:
    try:
        pages = getattr(image, "n_frames", 1)
    except (OSError, *BROKEN):
        pages = 1  # a later page is broken
    return [Note(NoteKind.PAGES_LEFT_OUT, pages - 1)] if pages > 1 else []


def _read_unknown(file: BinaryIO) -> Raster:
    file.seek(0)
    if file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_tiff(file)
    raise RejectedImage(name_format(file))


def _read_tiff(file: BinaryIO) -> Raster:
    page = read_tiff(file)
    notes: list[Note] = []
    image = Image.fromarray(page.values if page.values.dtype == np.uint8 else _stretched(page.values, notes))
    size = image.size
    image.getexif()[ExifTags.Base.Orientation] = page.orientation
    _turn_upright(image, notes)
    if page.pages > 1:
        notes.append(Note(NoteKind.PAGES_LEFT_OUT, page.pages - 1))
    return Raster(image, "TIFF", page.mode, size, tuple(notes))
