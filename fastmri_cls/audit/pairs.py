"""Which images are copies of each other: exactly, or re-encoded, resized, mirrored or turned.

Two images are near copies if, in one of four orientations,
- their 64-bit pHashes and dHashes differ in at most 4 bits each and their thumbnails correlate by at least .98, or
- the hashes differ in at most 8 bits together (dark pictures: dHash bits of a black background are noise) and the
  thumbnails correlate by at least .99.

How that was chosen: all pairs of the 10 283 images of the two public sets were correlated in all orientations by brute
force, and samples near each threshold were looked at. Among tumour slices, adjacent slices of a patient pass for copies
between .98 and .99 (7 of 40 pairs looked at; the sets have 48 such pairs) and no longer from .99 on (0 of 40); of pairs
that only the second rule finds, 60 of 60 were copies. The healthy images had been augmented before publication:
brightened, sharpened, blurred. Copies of them reach down to .95, where adjacent slices are as many; hence .98. It still
misses strongly sharpened ones, which a chain of milder copies mostly ties to the same group. benchmarks/audit.py
measures the agreement with the first rule alone, and draws the contact sheet.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from fastmri_cls.audit.candidates import PARTS, close_keys
from fastmri_cls.audit.hashing import ORIENTATIONS, Fingerprint
from fastmri_cls.foundation.progress import track

MAX_BITS = 4  # of 64, in each hash
MIN_CORRELATION = 0.98
SURE_CORRELATION = 0.99  # enough where one hash differs in more than MAX_BITS

_BATCH = 1024  # correlations at once: 64 MB as float64


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
    steps = list(product(enumerate(ORIENTATIONS), range(PARTS)))
    for (number, orientation), part in track(steps, "comparing images", len(steps)):
        for a, b in close_keys(keys[:, number], keys[:, 0], part):
            bits = np.bitwise_count(keys[a, number] ^ keys[b, 0]).max(axis=1)
            similarity = _correlations(fingerprints, a, b, orientation)
            alike = similarity >= np.where(bits <= MAX_BITS, MIN_CORRELATION, SURE_CORRELATION)
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


def _correlations(fingerprints: Sequence[Fingerprint], a: np.ndarray, b: np.ndarray, orientation: str) -> np.ndarray:
    turn = ORIENTATIONS[orientation]
    found = np.empty(len(a))
    for start in range(0, len(a), _BATCH):
        here = slice(start, start + _BATCH)
        first = np.stack([fingerprints[index].thumbnail[turn] for index in a[here]])
        second = np.stack([fingerprints[index].thumbnail for index in b[here]])
        found[here] = correlation(first, second)
    return found


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of the pixels of images [n, height, width] and [n, height, width], float64 [n].

    Of a constant image it is 0.
    """
    x, y = a.reshape(len(a), -1).astype(np.float64), b.reshape(len(b), -1).astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    y -= y.mean(axis=1, keepdims=True)
    norm = np.sqrt(np.einsum("np,np->n", x, x) * np.einsum("np,np->n", y, y))
    return np.einsum("np,np->n", x, y) / np.where(norm > 0, norm, 1.0)
