"""Pairs of hashes that are close in Hamming distance, without comparing all pairs: multi-index hashing.

Norouzi, Punjani and Fleet (2012), "Fast Search in Hamming Space with Multi-Index Hashing", CVPR. An image's key has 128
bits: its 64-bit pHash and its 64-bit dHash. The key is cut into 10 parts. If two keys differ in at most 8 bits, at most
8 parts contain a difference, so at least 2 parts are equal (pigeonhole principle). There is one hash table for each of
the 45 pairs of parts; only keys that fall into the same bucket of a table are compared bit by bit.

Example with 3 parts of 4 bits and 1 bit of difference, where again 2 parts have to be equal:

    a = 1010 0110 1111    table (0, 1): a in bucket 1010 0110, b in bucket 1010 0110   -> compared: 1 bit apart
    b = 1010 0110 1011    table (0, 2): a in bucket 1010 1111, b in bucket 1010 1011
    c = 0101 1001 1111    table (1, 2): a in bucket 0110 1111, b in bucket 0110 1011; c shares no bucket with either

Why pairs of parts: the buckets of two parts are chosen by 25 bits. With 9 parts and one of them equal, 14 bits would
choose, and each of a million images would be compared with thousands of others. A part takes bits from both hashes,
since the dHashes of images with a black background hardly differ.

A bucket can still be crowded: by thousands of a scanner's test images, or of nearly black frames. A key is compared
with at most `MAX_NEIGHBOURS` others of its bucket, and `BucketTable.cut` tells which keys have more.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

RADIUS = 8  # bits of 128: at most 4 in each hash, or more in one and fewer in the other
PARTS = RADIUS + 2
TABLES = tuple(combinations(range(PARTS), 2))
MAX_NEIGHBOURS = 128  # the largest bucket of the 10 283 images of the two public sets holds 31

_BLOCK = 1 << 20  # comparisons at once: 60 MB
_EDGES = [64 * part // PARTS for part in range(PARTS + 1)]  # of the parts, in each of the two hashes
_PART_BITS = np.uint64(14)  # of the widest part: 7 bits of each hash
_INDEX_BITS = np.uint64(32)
_INDEX_MASK = np.uint64((1 << 32) - 1)


class BucketTable:
    """The keys of n images, sorted into buckets by two of their parts.

    Args:
        keys: uint64 [n, 2], pHash and dHash of the images as they are stored.
        parts: the two parts that have to be equal, one of `TABLES`.

    Attributes:
        cut: bool [n], the queries so far that have more than `MAX_NEIGHBOURS` neighbours in their bucket.
    """

    def __init__(self, keys: np.ndarray, parts: tuple[int, int]) -> None:
        self.cut = np.zeros(len(keys), bool)
        self._keys = keys
        self._parts = parts
        self._entries = _sorted_entries(keys, parts)

    def crowds(self) -> Iterator[np.ndarray]:
        """Yield the images in each bucket that holds more than `MAX_NEIGHBOURS`, ascending, int64."""
        buckets = self._entries >> _INDEX_BITS
        starts = np.flatnonzero(np.diff(buckets, prepend=~np.uint64(0)))
        sizes = np.diff(starts, append=len(buckets))
        crowded = sizes > MAX_NEIGHBOURS
        for start, size in zip(starts[crowded], sizes[crowded], strict=True):
            yield _indices(self._entries[start : start + size])

    def close_pairs(self, queries: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield blocks (a, b) of pairs a < b, int64, whose queries[a] and keys[b] differ in at most `RADIUS` bits.

        Over all `TABLES` a pair is found once: in the table of the first two parts in which the two are equal.

        Args:
            queries: uint64 [n, 2], hashes of the same images in any orientation.
        """
        # Sorted queries walk through the entries in order: a million binary searches take .04 s instead of .6 s.
        wanted = self._entries if queries is self._keys else _sorted_entries(queries, self._parts)
        first = np.searchsorted(self._entries, wanted, "right")  # in a's bucket and behind a itself, so that b > a
        last = np.searchsorted(self._entries, wanted | _INDEX_MASK, "right")
        a = _indices(wanted)
        neighbours = last - first
        self.cut[a[neighbours > MAX_NEIGHBOURS]] = True
        neighbours = np.minimum(neighbours, MAX_NEIGHBOURS)
        ends = np.cumsum(neighbours)
        start = 0
        while start < len(a):
            done = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + _BLOCK, "right")))
            counts = neighbours[start:stop]
            number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, ... for each a
            b = _indices(self._entries[np.repeat(first[start:stop], counts) + number])
            yield self._close_and_new(queries, np.repeat(a[start:stop], counts), b)
            start = stop

    def _close_and_new(self, queries: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return those of the pairs (a, b) that are close and share no bucket of an earlier table."""
        difference = queries[a] ^ self._keys[b]
        close = np.bitwise_count(difference).sum(axis=1, dtype=np.uint8) <= RADIUS
        a, b, difference = a[close], b[close], difference[close]
        equal_parts = sum((_part(difference, part) == 0).astype(np.int64) for part in range(self._parts[1] + 1))
        new = equal_parts == 2
        return a[new], b[new]


def _sorted_entries(keys: np.ndarray, parts: tuple[int, int]) -> np.ndarray:
    """Return uint64 [n], sorted: the bucket in the upper half, the image's index in the lower half."""
    bucket = _part(keys, parts[0]) << _PART_BITS | _part(keys, parts[1])
    return np.sort(bucket << _INDEX_BITS | np.arange(len(keys), dtype=np.uint64))


def _indices(entries: np.ndarray) -> np.ndarray:
    return (entries & _INDEX_MASK).astype(np.int64)


def _part(keys: np.ndarray, part: int) -> np.ndarray:
    """Return uint64 [n], the bits of one part of keys uint64 [n, 2]: the same places of both hashes."""
    low, width = np.uint64(_EDGES[part]), np.uint64(_EDGES[part + 1] - _EDGES[part])
    bits = (keys >> low) & ((np.uint64(1) << width) - np.uint64(1))
    return bits[:, 0] << width | bits[:, 1]
