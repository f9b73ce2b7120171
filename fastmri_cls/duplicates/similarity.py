"""How alike two thumbnails are: the correlation of the whole pictures, and of their details.

Both come from five sums over each block of 8 x 8 pixels, which float32 holds exactly: 64 * 255 * 255 < 2**24.
"""

from typing import NamedTuple

import numpy as np

_BLOCK = 8  # pixels, square: about a ventricle's width in a thumbnail
_PIXELS = _BLOCK * _BLOCK
_FLAT = 2.0  # levels; a block with a smaller standard deviation is background or noise


def similarities(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how alike the images a[i] and b[i] are, for each i.

    Args:
        a: uint8 [n, 64, 64].
        b: uint8 [n, 64, 64].

    Returns:
        whole: float64 [n], Pearson's correlation of the pixels; 0 if an image is constant.
        detail: float64 [n], the mean correlation within the blocks that are flat in neither image; 1 if there are no
            such blocks. The bright skull, which makes all heads alike, counts no more than any other place.
    """
    x, y = _blocks(a), _blocks(b)
    blocks = _Sums(
        x=x.sum(axis=2, dtype=np.float64),
        y=y.sum(axis=2, dtype=np.float64),
        xx=np.einsum("nbp,nbp->nb", x, x).astype(np.float64),
        yy=np.einsum("nbp,nbp->nb", y, y).astype(np.float64),
        xy=np.einsum("nbp,nbp->nb", x, y).astype(np.float64),
    )
    whole = _Sums(*(values.sum(axis=1) for values in blocks)).correlation(_PIXELS * x.shape[1])
    structured = blocks.smaller_variance(_PIXELS) > _FLAT**2
    count = structured.sum(axis=1)
    total = (blocks.correlation(_PIXELS) * structured).sum(axis=1)
    return whole, np.where(count > 0, total / np.maximum(count, 1), 1.0)


class _Sums(NamedTuple):
    """Sums over the pixels of two images: the pixels, their squares, their products; float64 arrays of one shape."""

    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray

    def correlation(self, count: int) -> np.ndarray:
        """Return Pearson's correlation over `count` pixels; 0 if one image is constant."""
        norm = np.sqrt((count * self.xx - self.x**2) * (count * self.yy - self.y**2))
        correlation: np.ndarray = (count * self.xy - self.x * self.y) / np.where(norm > 0, norm, 1)
        return correlation

    def smaller_variance(self, count: int) -> np.ndarray:
        """Return the smaller one of the two images' variances over `count` pixels."""
        return np.minimum(self.xx / count - (self.x / count) ** 2, self.yy / count - (self.y / count) ** 2)


def _blocks(images: np.ndarray) -> np.ndarray:
    """Return float32 [n, blocks, pixels] of images uint8 [n, height, width]."""
    n, height, width = images.shape
    grid = images.reshape(n, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return grid.transpose(0, 1, 3, 2, 4).reshape(n, -1, _PIXELS).astype(np.float32)
