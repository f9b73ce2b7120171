"""Which images are duplicates of each other: exact ones, or re-encoded, resized, mirrored or turned ones.

Two images are near duplicates if, in one of four orientations,
- their 64-bit pHashes and dHashes differ in at most 4 bits each and their thumbnails correlate by at least .98, or
  the hashes differ in at most 8 bits together (dark pictures: dHash bits of a black background are noise) and the
  thumbnails correlate by at least .99;
- and so do their details: the mean correlation within blocks of 8 x 8 pixels is at least .85.

How that was chosen: all pairs of the 10 283 images of the two public sets were correlated in all orientations by brute
force, and samples near each threshold were looked at. Adjacent slices of a patient reach whole-image correlations
between .98 and .99, but not the details of a duplicate: the 8 such pairs in the sets have detail correlations of .78 to
.82, duplicates (the most sharpened ones included) of .88 or more. Of the pairs that only the .99 rule admits, 60 of 60
were duplicates. Healthy images had been brightened, sharpened and blurred before publication. Some duplicates of them
correlate by no more than .95, but there adjacent slices are as frequent; hence .98. Most pairs that this misses end up
in the same group through a chain of milder duplicates. benchmarks/audit.py measures the agreement with hashes and .98
alone, and draws a contact sheet.

Exact duplicates are searched first, and only the first image of each set of equal images is compared further, so that
time, memory and the number of pairs grow in proportion to the number of images, however many are equal. The same holds
for crowds of near duplicates (duplicates/collapse.py).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastmri_cls.duplicates.collapse import collapse_crowds, first_equal
from fastmri_cls.duplicates.fingerprints import Fingerprints
from fastmri_cls.duplicates.hashing import ORIENTATIONS
from fastmri_cls.duplicates.index import MAX_NEIGHBOURS, RADIUS, TABLES, BucketTable
from fastmri_cls.duplicates.similarity import similarities
from fastmri_cls.foundation.progress import track

MAX_BITS = 4  # of 64, in each hash
MIN_CORRELATION = 0.98
SURE_CORRELATION = 0.99  # enough if one hash differs in more than MAX_BITS
MIN_DETAIL = 0.85

_BATCH = 1024  # pairs of thumbnails at once: 60 MB


class Pair(NamedTuple):
    """Two duplicates.

    Attributes:
        a: the first image of the two.
        b: the second one.
        kind: `exact` (equal pixels; `a` is the first image with these pixels) or `near`.
        orientation: one of `ORIENTATIONS`; `a` looks like `b` after this flip or turn.
        similarity: correlation of the two thumbnails.
    """

    a: int
    b: int
    kind: str
    orientation: str
    similarity: float

    @property
    def mirrored(self) -> bool:
        """Whether the two are alike only after a flip or a turn."""
        return self.orientation != "id"


@dataclass(frozen=True)
class Duplicates:
    """The duplicates among n images.

    Attributes:
        pairs: sorted. Each exact duplicate is paired with its representative only, the first image with the same
            pixels; near duplicates are paired among representatives.
        representatives: int64 [n], the first image with the same pixels.
        crowded: number of images that were compared with one representative of a crowd only.
        cut: number of images that were not compared with all images of similar hashes, since there are too many. Near
            duplicates among them may be missing.
    """

    pairs: list[Pair]
    representatives: np.ndarray
    crowded: int = 0
    cut: int = 0


def bound_notes(crowded: int, cut: int) -> list[str]:
    """Return what to tell people about a bounded search, one sentence each; see `Duplicates`."""
    notes = {
        "were compared with the representative of a crowd of near duplicates only": crowded,
        f"have hashes similar to those of more than {MAX_NEIGHBOURS} others and were compared with {MAX_NEIGHBOURS} of "
        "them; near duplicates among them may be missing": cut,
    }
    return [f"note: {count:,} images {what}" for what, count in notes.items() if count]


class _Matches(NamedTuple):
    """Near duplicates as columns, row i for pair i; `orientation` is a place in `ORIENTATIONS`."""

    a: np.ndarray
    b: np.ndarray
    orientation: np.ndarray
    similarity: np.ndarray


def find_duplicates(fingerprints: Fingerprints) -> Duplicates:
    """Find all pairs of duplicates, each near pair in its best orientation."""
    representatives = first_equal(fingerprints.digests)
    repeats = representatives != np.arange(len(fingerprints))
    pairs = [Pair(int(representatives[b]), b, "exact", "id", 1.0) for b in np.flatnonzero(repeats).tolist()]

    compare = _Comparer(fingerprints, fingerprints.hashes)
    images = np.flatnonzero(~repeats & ~fingerprints.constant)
    crowds = _match_crowds(compare, images)
    rest = np.setdiff1d(images, crowds.b)
    near, cut = _match_all(compare, rest)
    pairs += _best_orientations(_Matches(*map(np.concatenate, zip(crowds, near, strict=True))))
    return Duplicates(sorted(pairs), representatives, crowded=len(images) - len(rest), cut=cut)


@dataclass(frozen=True)
class _Comparer:
    """Decides whether images are near duplicates."""

    fingerprints: Fingerprints
    hashes: np.ndarray

    def __call__(self, a: np.ndarray, b: np.ndarray, orientation: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return whether a[i], turned by `orientation`, and b[i] are near duplicates, bool; and their similarity."""
        alike, similarity = np.zeros(len(a), bool), np.zeros(len(a))
        bits = np.bitwise_count(self.hashes[a, orientation] ^ self.hashes[b, 0])
        required = np.where(bits.max(axis=1, initial=0) <= MAX_BITS, MIN_CORRELATION, SURE_CORRELATION)
        close = np.flatnonzero(bits.sum(axis=1) <= RADIUS)
        turn = list(ORIENTATIONS.values())[orientation]
        for start in range(0, len(close), _BATCH):
            here = close[start : start + _BATCH]
            turned = self.fingerprints.thumbnails(a[here])[:, *turn]
            similarity[here], detail = similarities(turned, self.fingerprints.thumbnails(b[here]))
            alike[here] = (similarity[here] >= required[here]) & (detail >= MIN_DETAIL)
        return alike, similarity


def _match_crowds(compare: _Comparer, images: np.ndarray) -> _Matches:
    """Return the pairs (representative, image) of the crowds among `images`."""
    keys = compare.hashes[images, 0]
    a, b, similarity = collapse_crowds(keys, lambda a, b: compare(images[a], images[b]))
    return _Matches(images[a], images[b], np.zeros(len(a), np.int64), similarity)


def _match_all(compare: _Comparer, images: np.ndarray) -> tuple[_Matches, int]:
    """Return the pairs of near duplicates among `images`, and how many of the images the index has cut short."""
    by_orientation = [np.ascontiguousarray(compare.hashes[images, number]) for number in range(len(ORIENTATIONS))]
    nothing = np.empty(0, np.int64)
    found = [_Matches(nothing, nothing, nothing, np.empty(0))]
    cut = np.zeros(len(images), bool)
    for parts in track(TABLES, "comparing images", len(TABLES)):
        table = BucketTable(by_orientation[0], parts)
        for orientation, queries in enumerate(by_orientation):
            for a, b in table.close_pairs(queries):
                alike, similarity = compare(images[a], images[b], orientation)
                a, b = images[a[alike]], images[b[alike]]
                found.append(_Matches(a, b, np.full(len(a), orientation), similarity[alike]))
        cut |= table.cut
    return _Matches(*map(np.concatenate, zip(*found, strict=True))), int(cut.sum())


def _best_orientations(found: _Matches) -> list[Pair]:
    """Return each pair once, in the orientation in which it is most similar; of several, in the first."""
    a, b = np.minimum(found.a, found.b), np.maximum(found.a, found.b)
    order = np.lexsort((found.orientation, -found.similarity, b, a))
    a, b = a[order], b[order]
    first = np.flatnonzero((np.diff(a, prepend=-1) != 0) | (np.diff(b, prepend=-1) != 0))
    names = np.array(list(ORIENTATIONS))[found.orientation[order][first]]
    similarity = found.similarity[order][first]
    columns = (a[first].tolist(), b[first].tolist(), names.tolist(), similarity.tolist())
    return [Pair(a, b, "near", name, similarity) for a, b, name, similarity in zip(*columns, strict=True)]
