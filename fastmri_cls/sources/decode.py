"""Image files -> uint8 pixels: the one decoder that building, auditing and predicting share.

Whatever the file holds (any bit depth, palette, CMYK, alpha, EXIF rotation, DICOM, figshare's .mat) comes out as 8-bit
grey or RGB, with notes on what was ignored or left out.
"""

import io
import struct
import warnings
import zlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from fastmri_cls.sources import dicom, figshare
from fastmri_cls.sources.colour import grey_where_grey
from fastmri_cls.sources.notes import Note, NoteKind
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.raster import BROKEN, Raster, read_raster
from fastmri_cls.sources.storage import open_file

_FLAT = 16  # levels: an image within fewer shows nothing

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,  # Pillow widens its kernel when it shrinks: antialiased
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file without looking at its content."""

    bytes: int
    format: str
    mode: str
    width: int
    height: int


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        pixels: uint8 [height, width], or [height, width, 3] for a coloured image.
        facts: what the file's header says.
        notes: what was ignored, guessed or left out.
        colour_merged: the file's channels differ and were merged into one grey channel.
    """

    pixels: np.ndarray
    facts: FileFacts
    notes: tuple[Note, ...]
    colour_merged: bool


def decode(path: Path, *, keep_colour: bool = False) -> np.ndarray:
    """Return the pixels of `decode_file`."""
    return decode_file(path, keep_colour=keep_colour).pixels


def decode_file(path: Path, *, keep_colour: bool = False) -> Decoded:
    """Decode an image file.

    Args:
        path: a file in any of the formats read; it may lead through a ZIP archive.
        keep_colour: return three channels for every image that has any colour, not only for those above GREY_SPREAD.

    Raises:
        RejectedImage: the file is no image, broken, or too large; the message says which.
    """
    return _decode(open_file(path), path.suffix.lower(), keep_colour=keep_colour)


def decode_bytes(content: bytes, name: str, *, keep_colour: bool = False) -> Decoded:
    """Decode the content of an image file called `name`, as `decode_file` does."""
    return _decode(nullcontext(io.BytesIO(content)), Path(name).suffix.lower(), keep_colour=keep_colour)


def _decode(opened: AbstractContextManager[BinaryIO], suffix: str, *, keep_colour: bool) -> Decoded:
    try:
        with opened as file, warnings.catch_warnings():
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            if size == 0:
                raise RejectedImage("the file is empty")
            warnings.simplefilter("ignore")  # of tags that are out of order: nothing a user could act on
            # Pillow only warns of an image up to twice its limit of pixels; to a build it is as much of a bomb.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            raster = _read(file, suffix)
            facts = FileFacts(size, raster.format, raster.mode, *raster.size)
            if raster.image.mode == "L":
                pixels, merged, notes = np.asarray(raster.image), False, raster.notes
            else:
                pixels, merged, lost = grey_where_grey(raster.image, keep_colour=keep_colour)
                notes = (*raster.notes, *lost)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RejectedImage(f"too large ({error})") from None
    except OSError as error:
        if "truncated" in str(error):
            raise RejectedImage("truncated (the end of the file is missing); copy or download it again") from None
        raise RejectedImage(f"cannot be read ({error.strerror or error})") from None
    except (*BROKEN, struct.error, zlib.error) as error:
        raise RejectedImage(f"broken ({error or type(error).__name__})") from None
    return with_contrast_note(Decoded(pixels, facts, notes, merged))


def with_contrast_note(image: Decoded) -> Decoded:
    """Return `image`, with a note if it is flat."""
    is_flat = int(image.pixels.max()) - int(image.pixels.min()) < _FLAT
    return replace(image, notes=(*image.notes, Note(NoteKind.LOW_CONTRAST))) if is_flat else image


def _read(file: BinaryIO, suffix: str) -> Raster:
    if suffix == figshare.SUFFIX:
        pixels, mode, notes = figshare.read_slice(file)
        image = Image.fromarray(pixels)
        return Raster(image, "MATLAB", mode, image.size, notes)
    if not dicom.is_dicom(file):
        try:
            return read_raster(file)
        except RejectedImage:
            if suffix not in dicom.SUFFIXES:
                raise
    file.seek(0)
    pixels, photometric, notes = dicom.read_dicom(file)
    image = Image.fromarray(pixels)
    return Raster(image, "DICOM", photometric, image.size, notes)


def resize(pixels: np.ndarray, size: int, method: str) -> np.ndarray:
    """Return uint8 pixels of `size` x `size` by `method`: bilinear (antialiased), nearest or lanczos."""
    if pixels.shape[:2] == (size, size):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size, size), _RESAMPLING[method]))
