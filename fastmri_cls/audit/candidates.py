"""Which pairs of images are worth a comparison of pixels: an index over their hashes, linear for sets without copies.

An image's key is 128 bits, its pHash and its dHash. Keys within `RADIUS` bits of each other agree in at least one of
RADIUS + 1 parts (pigeonhole), so that only images that share a part are compared. A part takes its bits from both
hashes: those of dHash alone hardly differ between images with a black background.
"""

from collections.abc import Iterator

import numpy as np

RADIUS = 8  # bits of 128: at most 4 in each hash, or more in one and fewer in the other
PARTS = RADIUS + 1  # of 14 or 15 bits: a million random keys share one with 60 others

_BLOCK = 1 << 21  # comparisons at once: 100 MB
_EDGES = [64 * part // PARTS for part in range(PARTS + 1)]


def close_keys(queries: np.ndarray, keys: np.ndarray, part: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks (a, b) of index pairs a < b, int64, with queries[a] and keys[b] at most RADIUS bits apart.

    Over all `PARTS` parts every such pair comes exactly once: with the first part in which the two agree.

    Args:
        queries, keys: uint64 [n, 2].
    """
    mine, theirs = _part(keys, part), _part(queries, part)
    order = np.argsort(mine, kind="stable")
    starts = np.searchsorted(mine[order], theirs, "left")
    counts = np.searchsorted(mine[order], theirs, "right") - starts
    ends = np.cumsum(counts)
    start = 0
    while start < len(queries):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _BLOCK, "right")))
        here = counts[start:stop]
        a = np.repeat(np.arange(start, stop), here)
        within = np.arange(len(a)) - np.repeat(ends[start:stop] - here - done, here)
        b = order[np.repeat(starts[start:stop], here) + within]
        later = a < b
        a, b = a[later], b[later]
        difference = queries[a] ^ keys[b]
        close = np.bitwise_count(difference).sum(axis=1, dtype=np.int64) <= RADIUS
        a, b, difference = a[close], b[close], difference[close]
        for earlier in range(part):
            new = _part(difference, earlier) != 0
            a, b, difference = a[new], b[new], difference[new]
        if len(a):
            yield a, b
        start = stop


def _part(keys: np.ndarray, part: int) -> np.ndarray:
    """Return the bits of part number `part` of keys uint64 [n, 2]: the same places of both hashes."""
    low, width = _EDGES[part], _EDGES[part + 1] - _EDGES[part]
    bits = (keys >> np.uint64(low)) & np.uint64((1 << width) - 1)
    return (bits[:, 0] << np.uint64(width)) | bits[:, 1]
