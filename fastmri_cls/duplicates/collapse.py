"""Many equal or almost equal images, reduced to one representative before all others are compared with each other.

A thousand blank slices are half a million pairs, which say no more than that 999 slices repeat the first.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from fastmri_cls.duplicates.index import MAX_NEIGHBOURS, TABLES, BucketTable

_WORTHWHILE = 0.25  # of a crowd; if the representative stands for fewer, the index compares the crowd within its bound

# (a, b) -> (alike, similarity): whether the images a[i] and b[i], as they are stored, are near duplicates
Comparison: TypeAlias = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def first_equal(digests: np.ndarray) -> np.ndarray:
    """Return int64 [n], for each image the first one with the same digest: the representative of exact duplicates."""
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def collapse_crowds(keys: np.ndarray, compare: Comparison) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find crowds of near duplicates: images that share a bucket of the index with more than `MAX_NEIGHBOURS` others.

    The first image of a crowd is compared with all others and represents its near duplicates among them, which drop
    out. The next image takes its place as long as each represents a quarter of those that are left, so that the number
    of comparisons is proportional to the number of images.

    Args:
        keys: uint64 [n, 2], pHash and dHash.
        compare: compares images by their hashes and thumbnails.

    Returns:
        representatives: int64 [k].
        represented: int64 [k], each image once.
        similarity: float64 [k].
    """
    dropped = np.zeros(len(keys), bool)
    tried = np.zeros(len(keys), bool)
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for parts in TABLES:
        for crowd in BucketTable(keys, parts).crowds():
            left = crowd[~dropped[crowd]]
            while len(left) > MAX_NEIGHBOURS and not tried[left].all():
                representative = left[~tried[left]][0]
                tried[representative] = True
                others = left[left != representative]
                alike, similarity = compare(np.full(len(others), representative), others)
                found.append((np.full(alike.sum(), representative), others[alike], similarity[alike]))
                dropped[others[alike]] = True
                left = left[~dropped[left]]
                if alike.sum() < _WORTHWHILE * len(others):
                    break
    representatives, represented, similarities = (np.concatenate(column) for column in zip(*found, strict=True))
    return representatives, represented, similarities
