"""Image files -> uint8 pixels: the one decoder that building, auditing and predicting share.

Whatever the file holds (any bit depth, palette, CMYK, alpha, EXIF rotation, DICOM) comes out as 8-bit grey or RGB.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageOps, ImageStat, UnidentifiedImageError

from fastmri_cls.sources.dicom import is_dicom, read_dicom
from fastmri_cls.sources.pixels import RejectedImage, stretch_to_8_bits

# Mean over the pixels of (largest - smallest channel), in levels. In the public MRI sets grey scans with a coloured
# mark or cursor reach 5.5 (106 of 7142 RGB files have any colour); colour photographs begin near 30.
_GREY_SPREAD = 8.0

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


def decode(path: Path) -> np.ndarray:
    """Return the image as uint8 [height, width], or [height, width, 3] where it has colour.

    Raises:
        RejectedImage: the file is no image, broken, or too large; the message says which.
    """
    return decode_with_facts(path)[0]


def decode_with_facts(path: Path) -> tuple[np.ndarray, FileFacts]:
    """Return the pixels, see `decode`, and the file's facts."""
    try:
        size = path.stat().st_size
        if size == 0:
            raise RejectedImage("the file is empty")
        if is_dicom(path):
            pixels, mode = read_dicom(path)
            return _grey_where_grey(Image.fromarray(pixels)), FileFacts(size, "DICOM", mode, *pixels.shape[1::-1])
        with warnings.catch_warnings():
            # Pillow only warns of an image up to twice its limit of pixels; to a build it is as much of a bomb.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                facts = FileFacts(size, image.format or "", image.mode, image.width, image.height)
                return _to_8_bits(image), facts
    except UnidentifiedImageError:
        raise RejectedImage("no image, or of an unknown format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RejectedImage(f"too large ({error})") from None
    except OSError as error:
        raise RejectedImage(f"cannot be read ({error.strerror or error})") from None
    except (ValueError, SyntaxError, EOFError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise RejectedImage(f"broken ({error})") from None


def resize(pixels: np.ndarray, size: int, method: str) -> np.ndarray:
    """Return uint8 pixels of `size` x `size` by `method`: bilinear (antialiased), nearest or lanczos."""
    if pixels.shape[:2] == (size, size):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size, size), _RESAMPLING[method]))


def _to_8_bits(image: Image.Image) -> np.ndarray:
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        turned = ImageOps.exif_transpose(image)
        return stretch_to_8_bits(np.asarray(turned, dtype=np.float64))
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("L", "1"):
        return np.asarray(upright.convert("L"))
    if upright.mode == "LA" or upright.mode == "PA" or "transparency" in upright.info or upright.mode == "RGBA":
        # Transparent pixels carry arbitrary colours: show them on black, the background of a scan.
        foreground = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", foreground.size, (0, 0, 0, 255)), foreground)
    return _grey_where_grey(upright.convert("RGB"))


def _grey_where_grey(image: Image.Image) -> np.ndarray:
    """Return [height, width] if the channels agree, see `_GREY_SPREAD`, else [height, width, 3]."""
    if image.mode != "RGB":
        return np.asarray(image)
    # The mean over 4 x 4 blocks loses a spread that changes sign from pixel to pixel: noise, not colour.
    red, green, blue = image.reduce(4).split() if min(image.size) >= 4 else image.split()
    highest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    lowest = ImageChops.darker(ImageChops.darker(red, green), blue)
    spread = ImageStat.Stat(ImageChops.subtract(highest, lowest)).mean[0]
    return np.asarray(image.convert("L") if spread <= _GREY_SPREAD else image)
