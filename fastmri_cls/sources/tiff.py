"""TIFF that Pillow cannot read or reads wrong, such as 64- and 16-bit floats and planar 16 bits: by tifffile."""

import zlib
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from fastmri_cls.sources.pixels import RejectedImage

_STORED = 1
_DEFLATE = (8, 32946)
_PACKBITS = 32773
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2


class TiffPage(NamedTuple):
    """The first page: `values` [height, width] or [height, width, 3], of any real dtype, black lowest."""

    values: np.ndarray
    mode: str
    orientation: int
    pages: int


def read_tiff(file: BinaryIO) -> TiffPage:
    """Read the first page with tifffile.

    Raises:
        RejectedImage: it is too large, broken, or stored in a way that is not read; the message says which.
    """
    import tifffile

    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            _check(page)
            _refuse_bomb(page, file)
            values = page.asarray()
            pages, tag = len(tiff.pages), page.tags.get(274)
            orientation = tag.value if tag is not None and tag.value in range(1, 9) else 1
    except (tifffile.TiffFileError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError,
            NotImplementedError, zlib.error, EOFError):  # fmt: skip
        raise RejectedImage("broken TIFF, or stored in a way that is not read; save it as PNG") from None
    colours = 3 if page.photometric == _RGB else 1
    if page.planarconfig == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    values = values.reshape(page.imagelength, page.imagewidth, -1)[..., :colours]
    if page.photometric == _WHITE_IS_ZERO:
        values = -values.astype(np.float64)
    return TiffPage(values[..., 0] if colours == 1 else values, str(page.dtype), orientation, pages)


def _check(page: Any) -> None:
    """Refuse what is too large or not read, each with its reason."""
    size = int(page.imagewidth) * int(page.imagelength)
    tile = int(page.tilewidth) * int(page.tilelength)
    if max(size, tile) * max(page.samplesperpixel, 1) > 4 * (Image.MAX_IMAGE_PIXELS or 0):
        raise RejectedImage(f"too large ({page.imagewidth} x {page.imagelength} pixels)")
    if page.imagedepth > 1:
        raise RejectedImage("TIFF of a volume, which is not read; save its slices as PNG")
    if page.dtype is None or page.dtype.kind not in "uif":
        raise RejectedImage(f"TIFF with samples of {page.bitspersample} bits that are not read; save it as PNG")
    if page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise RejectedImage(f"TIFF with {page.dtype} samples in a colour space that is not read; save it as PNG")
    if page.compression not in (_STORED, *_DEFLATE, _PACKBITS):
        name = getattr(page.compression, "name", page.compression)
        raise RejectedImage(f"TIFF with {page.dtype} samples compressed by {name}, which is not read; save it as PNG")


def _refuse_bomb(page: Any, file: BinaryIO) -> None:
    """Refuse a strip or tile that inflates beyond its size: tifffile inflates all of it."""
    if page.compression not in _DEFLATE:
        return
    rows = page.tilelength or min(page.rowsperstrip, page.imagelength)
    columns = page.tilewidth or page.imagewidth
    limit = rows * columns * page.samplesperpixel * page.dtype.itemsize
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        inflater = zlib.decompressobj()
        inflater.decompress(file.read(length), limit)
        if inflater.unconsumed_tail:
            raise RejectedImage("broken TIFF (a strip is larger than it may be)")
