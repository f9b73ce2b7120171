"""Which images are copies of each other: exactly, or re-encoded, resized, mirrored or turned.

Candidates are pairs whose 64-bit pHashes differ in at most 4 bits in one of four orientations, and whose dHashes then
do too; each is confirmed on pixels by the normalised correlation of the 64 x 64 thumbnails. Adjacent slices of a
patient correlate below .95; copies above .98.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import imagehash
import numpy as np
from PIL import Image

from fastmri_cls.audit.hashing import ORIENTATIONS, Fingerprint, as_integer

RADIUS = 4  # bits of 64
MIN_CORRELATION = 0.98

# Two hashes within 4 bits agree in at least one of 5 chunks (pigeonhole): only those are compared.
_CHUNKS = RADIUS + 1
_BLOCK = 1 << 22  # comparisons at once: 100 MB


class Pair(NamedTuple):
    """Images `a` < `b`; `a` turned by `orientation` looks like `b`; `similarity` is the thumbnails' correlation."""

    a: int
    b: int
    kind: str
    orientation: str
    similarity: float


def find_pairs(fingerprints: Sequence[Fingerprint]) -> list[Pair]:
    """Return every pair of copies, sorted: `exact` (equal pixels) or `near`, in its best orientation."""
    pairs = {(a, b): Pair(a, b, "exact", "id", 1.0) for a, b in _exact_pairs(fingerprints)}
    if len(fingerprints) > 1:
        hashes = np.stack([print_.phash for print_ in fingerprints])
        dhashes = _LazyDhashes(fingerprints)
        for number, (name, turn) in enumerate(ORIENTATIONS.items()):
            for first, second in close_hashes(hashes[:, number], hashes[:, 0]):
                for a, b, similarity in _confirmed(fingerprints, first, second, turn, dhashes, number):
                    known = pairs.get((a, b))
                    if known is None or (known.kind == "near" and similarity > known.similarity):
                        pairs[a, b] = Pair(a, b, "near", name, similarity)
    return [pairs[key] for key in sorted(pairs)]


def _exact_pairs(fingerprints: Sequence[Fingerprint]) -> Iterator[tuple[int, int]]:
    copies: dict[str, list[int]] = defaultdict(list)
    for index, print_ in enumerate(fingerprints):
        for earlier in copies[print_.sha256]:
            yield earlier, index
        copies[print_.sha256].append(index)


def close_hashes(queries: np.ndarray, hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks (a, b) of all index pairs a < b with at most RADIUS bits between queries[a] and hashes[b].

    Args:
        queries, hashes: uint64 [n]. A pair may come more than once, from several chunks.
    """
    for chunk in range(_CHUNKS):
        low, high = 64 * chunk // _CHUNKS, 64 * (chunk + 1) // _CHUNKS
        mask = np.uint64((1 << (high - low)) - 1)
        keys = (hashes >> np.uint64(low)) & mask
        order = np.argsort(keys, kind="stable")
        wanted = (queries >> np.uint64(low)) & mask
        starts = np.searchsorted(keys[order], wanted, "left")
        counts = np.searchsorted(keys[order], wanted, "right") - starts
        ends = np.cumsum(counts)
        block = 0
        while block < len(queries):
            stop = max(block + 1, int(np.searchsorted(ends, (ends[block - 1] if block else 0) + _BLOCK, "right")))
            here = counts[block:stop]
            a = np.repeat(np.arange(block, stop), here)
            within = np.arange(here.sum()) - np.repeat(np.cumsum(here) - here, here)
            b = order[np.repeat(starts[block:stop], here) + within]
            close = (a < b) & (np.bitwise_count(queries[a] ^ hashes[b]) <= RADIUS)
            if close.any():
                yield a[close], b[close]
            block = stop


class _LazyDhashes:
    """dHashes by (image, orientation), made when a candidate asks: few images ever are candidates."""

    def __init__(self, fingerprints: Sequence[Fingerprint]) -> None:
        self._fingerprints = fingerprints
        self._known: dict[tuple[int, int], int] = {}

    def get(self, index: int, orientation: int) -> int:
        key = (index, orientation)
        if key not in self._known:
            turned = self._fingerprints[index].thumbnail[list(ORIENTATIONS.values())[orientation]]
            self._known[key] = as_integer(imagehash.dhash(Image.fromarray(turned)))
        return self._known[key]


def _confirmed(
    fingerprints: Sequence[Fingerprint],
    first: np.ndarray,
    second: np.ndarray,
    turn: tuple[slice, slice],
    dhashes: _LazyDhashes,
    orientation: int,
) -> Iterator[tuple[int, int, float]]:
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        if (dhashes.get(a, orientation) ^ dhashes.get(b, 0)).bit_count() > RADIUS:
            continue
        similarity = correlation(fingerprints[a].thumbnail[turn], fingerprints[b].thumbnail)
        if similarity >= MIN_CORRELATION:
            yield a, b, similarity


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation of two images' pixels; of a constant image it is 0."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    x -= x.mean()
    y -= y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm else 0.0
