"""How alike two thumbnails are: the correlation of the whole pictures, and of their details.

Both come from five sums over each block of 8 x 8 pixels, which float32 holds exactly: 64 * 255 * 255 < 2**24.
"""

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
    sum_x, sum_y = (values.sum(axis=2).astype(np.float64) for values in (x, y))
    sum_xx, sum_yy, sum_xy = (_dot(*factors).astype(np.float64) for factors in ((x, x), (y, y), (x, y)))
    blocks = _PIXELS * x.shape[1]
    whole = _correlation(
        blocks, *(values.sum(axis=1) for values in (sum_x, sum_y, sum_xx, sum_yy, sum_xy))
    )  # fmt: skip
    structured = np.minimum(_variance(sum_x, sum_xx), _variance(sum_y, sum_yy)) > _FLAT**2
    count = structured.sum(axis=1)
    total = (_correlation(_PIXELS, sum_x, sum_y, sum_xx, sum_yy, sum_xy) * structured).sum(axis=1)
    return whole, np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _blocks(images: np.ndarray) -> np.ndarray:
    """Return float32 [n, blocks, pixels] of images uint8 [n, height, width]."""
    n, height, width = images.shape
    grid = images.reshape(n, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return grid.transpose(0, 1, 3, 2, 4).reshape(n, -1, _PIXELS).astype(np.float32)


def _dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.einsum("nbp,nbp->nb", x, y)


def _variance(total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    return squares / _PIXELS - (total / _PIXELS) ** 2


def _correlation(
    count: int, x: np.ndarray, y: np.ndarray, xx: np.ndarray, yy: np.ndarray, xy: np.ndarray
) -> np.ndarray:
    """Return Pearson's correlation from sums over `count` pixels; 0 where one side is constant."""
    norm = np.sqrt((count * xx - x * x) * (count * yy - y * y))
    return (count * xy - x * y) / np.where(norm > 0, norm, 1)
