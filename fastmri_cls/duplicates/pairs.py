"""Which images are copies of each other: exactly, or re-encoded, resized, mirrored or turned.

Two images are near copies if, in one of four orientations,
- their 64-bit pHashes and dHashes differ in at most 4 bits each and their thumbnails correlate by at least .98, or
  the hashes differ in at most 8 bits together (dark pictures: dHash bits of a black background are noise) and the
  thumbnails correlate by at least .99;
- and so do their details: the mean correlation within blocks of 8 x 8 pixels is at least .85.

How that was chosen: all pairs of the 10 283 images of the two public sets were correlated in all orientations by brute
force, and samples near each threshold were looked at. Slices of a patient that are merely adjacent pass for copies
between .98 and .99 but for their details: those of the 8 such pairs in the sets correlate by .78 to .82, those of
copies, the most sharpened ones included, by .88 or more. Of the pairs that only the .99 admits, 60 of 60 were copies.
Healthy images had been brightened, sharpened and blurred before publication. Copies of them reach down to .95, where
adjacent slices are as many; hence .98. A chain of milder copies mostly ties those it misses to the same group.
benchmarks/audit.py measures the agreement with hashes and .98 alone, and draws the contact sheet.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from fastmri_cls.duplicates.hashing import ORIENTATIONS, Fingerprint
from fastmri_cls.duplicates.index import TABLES, close_keys
from fastmri_cls.foundation.progress import track

MAX_BITS = 4  # of 64, in each hash
MIN_CORRELATION = 0.98
SURE_CORRELATION = 0.99  # enough where one hash differs in more than MAX_BITS
MIN_DETAIL = 0.85

_BLOCK = 8  # pixels, square: about a ventricle's width in a thumbnail
_FLAT = 2.0  # levels; a block of less deviation is background or noise
_BATCH = 1024  # pairs at once: 100 MB


class Pair(NamedTuple):
    """Images `a` < `b`; `a` turned by `orientation` looks like `b`; `similarity` is the thumbnails' correlation."""

    a: int
    b: int
    kind: str
    orientation: str
    similarity: float

    @property
    def mirrored(self) -> bool:
        """Whether only another orientation than the stored one makes the two alike."""
        return self.orientation != "id"


def find_pairs(fingerprints: Sequence[Fingerprint]) -> list[Pair]:
    """Return every pair of copies, sorted: `exact` (equal pixels) or `near`, in its best orientation."""
    pairs = {(a, b): Pair(a, b, "exact", "id", 1.0) for a, b in _exact_pairs(fingerprints)}
    if len(fingerprints) < 2:
        return []
    keys = np.stack([np.stack([print_.phash, print_.dhash], axis=1) for print_ in fingerprints])  # [n, 4, 2]
    steps = list(product(enumerate(ORIENTATIONS), TABLES))
    for (number, orientation), table in track(steps, "comparing images", len(steps)):
        for a, b in close_keys(keys[:, number], keys[:, 0], table):
            bits = np.bitwise_count(keys[a, number] ^ keys[b, 0]).max(axis=1)
            similarity, detail = _compare(fingerprints, a, b, orientation)
            alike = (similarity >= np.where(bits <= MAX_BITS, MIN_CORRELATION, SURE_CORRELATION)) & (
                detail >= MIN_DETAIL
            )
            for pair in zip(a[alike].tolist(), b[alike].tolist(), similarity[alike].tolist(), strict=True):
                known = pairs.get(pair[:2])
                if known is None or (known.kind == "near" and pair[2] > known.similarity):
                    pairs[pair[:2]] = Pair(pair[0], pair[1], "near", orientation, pair[2])
    return [pairs[key] for key in sorted(pairs)]


def _exact_pairs(fingerprints: Sequence[Fingerprint]) -> Iterator[tuple[int, int]]:
    copies: dict[str, list[int]] = defaultdict(list)
    for index, print_ in enumerate(fingerprints):
        for earlier in copies[print_.sha256]:
            yield earlier, index
        copies[print_.sha256].append(index)


def _compare(
    fingerprints: Sequence[Fingerprint], a: np.ndarray, b: np.ndarray, orientation: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the correlations of whole thumbnails and of their details, float [pairs] each."""
    turn = ORIENTATIONS[orientation]
    whole, detail = np.empty(len(a)), np.empty(len(a))
    for start in range(0, len(a), _BATCH):
        here = slice(start, start + _BATCH)
        first = np.stack([fingerprints[index].thumbnail[turn] for index in a[here]])
        second = np.stack([fingerprints[index].thumbnail for index in b[here]])
        whole[here] = correlation(first.reshape(len(first), -1), second.reshape(len(second), -1))
        detail[here] = detail_correlation(first, second)
    return whole, detail


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation over the last axis of two arrays, float32; with a constant it is 0."""
    x, y = _centred(a), _centred(b)
    norm = np.sqrt(_dot(x, x) * _dot(y, y))
    return _dot(x, y) / np.where(norm > 0, norm, 1)


def detail_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean correlation within the blocks of images [n, 64, 64] that are flat in neither, float [n].

    The bright skull, which makes all heads alike, counts no more than any other place. Without such a block it is 1.
    """
    x, y = _blocks(a), _blocks(b)  # [n, blocks, pixels]
    structured = (x.std(axis=2) > _FLAT) & (y.std(axis=2) > _FLAT)
    total = (correlation(x, y) * structured).sum(axis=1)
    count = structured.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _blocks(images: np.ndarray) -> np.ndarray:
    n, height, width = images.shape
    grid = images.reshape(n, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return grid.transpose(0, 1, 3, 2, 4).reshape(n, -1, _BLOCK * _BLOCK).astype(np.float32)


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=-1, keepdims=True, dtype=np.float32)


def _dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.einsum("...p,...p->...", x, y)
