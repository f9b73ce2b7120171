"""Image files -> uint8 pixels: the one decoder that building, auditing and predicting share.

Whatever the file holds (any bit depth, palette, CMYK, alpha, EXIF rotation, DICOM) comes out as 8-bit grey or RGB.
"""

import stat
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageOps, ImageStat, UnidentifiedImageError

from fastmri_cls.sources.dicom import is_dicom, read_dicom
from fastmri_cls.sources.notes import Note
from fastmri_cls.sources.pixels import RejectedImage, stretch_to_8_bits

# Mean over the pixels of (largest - smallest channel), in levels. In the public MRI sets grey scans with a coloured
# mark or cursor reach 5.5 (106 of 7142 RGB files have any colour); colour photographs begin near 30.
GREY_SPREAD = 8.0

# What Pillow's and pydicom's parsers raise, besides OSError, when a file's bytes make no sense.
_BROKEN = (
    ValueError, TypeError, LookupError, ArithmeticError, AttributeError, SyntaxError, EOFError, MemoryError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip

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
    """

    pixels: np.ndarray
    facts: FileFacts
    notes: tuple[Note, ...] = ()


def decode(path: Path, *, keep_colour: bool = False) -> np.ndarray:
    """Return the pixels of `decode_file`."""
    return decode_file(path, keep_colour=keep_colour).pixels


def decode_file(path: Path, *, keep_colour: bool = False) -> Decoded:
    """Decode an image file.

    Args:
        path: a file in any of the formats read.
        keep_colour: return three channels for every image that has any colour, not only for those above GREY_SPREAD.

    Raises:
        RejectedImage: the file is no image, broken, or too large; the message says which.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise RejectedImage("no regular file")  # opening a pipe would wait for its writer
        if status.st_size == 0:
            raise RejectedImage("the file is empty")
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tags that are out of order: nothing a user could act on
            # Pillow only warns of an image up to twice its limit of pixels; to a build it is as much of a bomb.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if is_dicom(path, file):
                pixels, mode = read_dicom(file)
                facts = FileFacts(status.st_size, "DICOM", mode, pixels.shape[1], pixels.shape[0])
                return Decoded(_grey_where_grey(Image.fromarray(pixels)), facts)
            with Image.open(file) as image:
                facts = FileFacts(status.st_size, image.format or "", image.mode, image.width, image.height)
                return Decoded(_to_8_bits(image), facts)
    except UnidentifiedImageError:
        raise RejectedImage("no image, or of an unknown format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RejectedImage(f"too large ({error})") from None
    except OSError as error:
        raise RejectedImage(f"cannot be read ({error.strerror or error})") from None
    except _BROKEN as error:
        raise RejectedImage(f"broken ({error or type(error).__name__})") from None


def resize(pixels: np.ndarray, size: int, method: str) -> np.ndarray:
    """Return uint8 pixels of `size` x `size` by `method`: bilinear (antialiased), nearest or lanczos."""
    if pixels.shape[:2] == (size, size):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size, size), _RESAMPLING[method]))


def _to_8_bits(image: Image.Image) -> np.ndarray:
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I") or image.mode == "F":  # 16 or 32 bits, which convert("L") would clip
        return stretch_to_8_bits(np.asarray(image))
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        # Transparent pixels carry arbitrary colours: show them on black, the background of a scan.
        foreground = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", foreground.size, (0, 0, 0, 255)), foreground)
    return _grey_where_grey(image if image.mode == "RGB" else image.convert("RGB"))


def _grey_where_grey(image: Image.Image) -> np.ndarray:
    """Return [height, width] if the channels agree, see `GREY_SPREAD`, else [height, width, 3]."""
    if image.mode != "RGB":
        return np.asarray(image)
    # Every eighth pixel settles it for scans saved as RGB, whose channels are equal: a fifth of the decoding spared.
    sparse = np.asarray(image.resize((-(-image.width // 8), -(-image.height // 8)), Image.Resampling.NEAREST))
    is_grey = (sparse == sparse[:, :, :1]).all() or _mean_spread(_blocks(image)) <= GREY_SPREAD
    return np.asarray(image.convert("L") if is_grey else image)


def _blocks(image: Image.Image) -> Image.Image:
    """The mean over 4 x 4 pixels loses a spread that changes sign from pixel to pixel: noise, not colour."""
    return image.reduce(4) if min(image.size) >= 4 else image


def _mean_spread(image: Image.Image) -> float:
    """Return the mean over the pixels of the largest minus the smallest channel."""
    red, green, blue = image.split()
    highest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    lowest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return ImageStat.Stat(ImageChops.subtract(highest, lowest)).mean[0]
