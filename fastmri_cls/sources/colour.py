"""Whether an RGB image is grey: a scan saved in three channels, or one with a coloured mark."""

import numpy as np
from PIL import Image, ImageChops, ImageStat

from fastmri_cls.sources.notes import Note, NoteKind

# Mean over the pixels of (largest - smallest channel), in levels. In the public MRI sets grey scans with a coloured
# mark or cursor reach 5.5 (106 of 7142 RGB files have any colour); colour photographs begin near 30.
GREY_SPREAD = 8.0

# A block of 4 x 4 pixels is coloured from this spread of its mean on: chroma noise of a JPEG stays below.
_COLOURED_BLOCK = 24


def grey_where_grey(image: Image.Image, *, keep_colour: bool) -> tuple[np.ndarray, bool, tuple[Note, ...]]:
    """Return an RGB image as one channel where it is grey.

    Args:
        image: mode RGB.
        keep_colour: keep three channels unless they are equal in every pixel.

    Returns:
        uint8 [height, width] or [height, width, 3]; whether channels that differ were merged; a note if a coloured part
        was lost with it.
    """
    red, green, blue = image.split()
    if not any(ImageChops.difference(red, other).getbbox() for other in (green, blue)):
        return np.asarray(red), False, ()
    spread = _spread(image.reduce(4) if min(image.size) >= 4 else image)  # noise that changes sign is no colour
    if keep_colour or ImageStat.Stat(spread).mean[0] > GREY_SPREAD:
        return np.asarray(image), False, ()
    coloured = int(np.asarray(spread).max()) >= _COLOURED_BLOCK
    return np.asarray(image.convert("L")), True, (Note(NoteKind.COLOUR_DROPPED),) if coloured else ()


def _spread(image: Image.Image) -> Image.Image:
    """Return the largest minus the smallest channel of every pixel."""
    red, green, blue = image.split()
    highest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    lowest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return ImageChops.subtract(highest, lowest)
