"""Groups of images that must stay in one split, from duplicates and patients; groups with conflicting labels."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fastmri_cls.duplicates.pairs import Pair


def connected_groups(n: int, pairs: Sequence[Pair], patients: np.ndarray | None = None) -> np.ndarray:
    """Return int64 [n], each image's group: the smallest index among the images connected to it.

    Args:
        n: number of images.
        pairs: duplicates; the two images of a pair are in one group.
        patients: str [n], the images of one patient are in one group as well; empty if unknown.
    """
    edges = [(pair.a, pair.b) for pair in pairs]
    if patients is not None:
        first: dict[str, int] = {}
        edges += [(first.setdefault(p, i), i) for i, p in enumerate(patients.tolist()) if p]
    a, b = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    _, component = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    _, smallest, inverse = np.unique(component, return_index=True, return_inverse=True)
    return smallest[inverse].astype(np.int64)


def label_conflicts(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the groups that hold images of more than one class."""
    pairs = np.unique(np.stack([groups, np.unique(labels, return_inverse=True)[1]], axis=1), axis=0)
    found, counts = np.unique(pairs[:, 0], return_counts=True)
    return found[counts > 1]
