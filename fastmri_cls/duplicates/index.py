"""Which pairs of images are worth a comparison of pixels: an index over their hashes, n log n for sets without copies.

An image's key is 128 bits, its pHash and its dHash. Keys within 8 bits of each other agree in at least two of ten parts
(pigeonhole), so that only images that share two parts, 25 bits, are compared: one table for each two of the parts. With
one of nine parts, 14 bits, a million images would meet ten thousand others each. A part takes its bits from both
hashes: those of dHash alone hardly differ between images with a black background.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np

RADIUS = 8  # bits of 128: at most 4 in each hash, or more in one and fewer in the other
_PARTS = RADIUS + 2
TABLES = tuple(combinations(range(_PARTS), 2))

_BLOCK = 1 << 21  # comparisons at once: 100 MB
_EDGES = [64 * part // _PARTS for part in range(_PARTS + 1)]
_PART_BITS = np.uint64(2 * max(high - low for low, high in pairwise(_EDGES)))
_INDEX_BITS = np.uint64(32)
_INDEX = np.uint64((1 << 32) - 1)


def close_keys(
    queries: np.ndarray, keys: np.ndarray, table: tuple[int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks (a, b) of index pairs a < b, int64, with queries[a] and keys[b] at most RADIUS bits apart.

    Over all `TABLES` every such pair comes exactly once: for the first two parts in which the two agree.

    Args:
        queries, keys: uint64 [n, 2].
    """
    indices = np.arange(len(keys), dtype=np.uint64)
    entries = np.sort(_two_parts(keys, table) << _INDEX_BITS | indices)
    wanted = _two_parts(queries, table)
    starts = np.searchsorted(entries, wanted << _INDEX_BITS | indices, "right")  # behind a itself: b > a
    ends = np.searchsorted(entries, (wanted + np.uint64(1)) << _INDEX_BITS)
    counts = np.maximum(ends - starts, 0)
    totals = np.cumsum(counts)
    start = 0
    while start < len(queries):
        done = totals[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(totals, done + _BLOCK, "right")))
        here = counts[start:stop]
        a = np.repeat(np.arange(start, stop), here)
        within = np.arange(len(a)) - np.repeat(totals[start:stop] - here - done, here)
        b = (entries[np.repeat(starts[start:stop], here) + within] & _INDEX).astype(np.int64)
        difference = queries[a] ^ keys[b]
        close = np.bitwise_count(difference).sum(axis=1, dtype=np.int64) <= RADIUS
        a, b, difference = a[close], b[close], difference[close]
        agreeing = sum((_part(difference, part) == 0).astype(np.int64) for part in range(table[1] + 1))
        first = agreeing == 2
        if first.any():
            yield a[first], b[first]
        start = stop


def _two_parts(keys: np.ndarray, table: tuple[int, int]) -> np.ndarray:
    return _part(keys, table[0]) << _PART_BITS | _part(keys, table[1])


def _part(keys: np.ndarray, part: int) -> np.ndarray:
    """Return the bits of part number `part` of keys uint64 [n, 2]: the same places of both hashes."""
    low, width = np.uint64(_EDGES[part]), np.uint64(_EDGES[part + 1] - _EDGES[part])
    bits = (keys >> low) & ((np.uint64(1) << width) - np.uint64(1))
    return bits[:, 0] << width | bits[:, 1]
