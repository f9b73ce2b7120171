"""What pairs and groups of copies mean for a set: counts by split, source and class, and the leaks into test sets.

Kinds are told apart so that they add up: `exact` (equal pixels), `upright` (near, as stored) and `mirrored` (near, and
only after a flip or a half turn).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastmri_cls.duplicates.groups import label_conflicts
from fastmri_cls.duplicates.pairs import Duplicates, Pair

KINDS = ("exact", "upright", "mirrored")
# What a test image can find in training: its best copy, else a chain of copies that leads there, else nothing.
_LINKED, _CLEAN = len(KINDS), len(KINDS) + 1


@dataclass(frozen=True)
class Columns:
    """What is known of images besides their pixels, str [n] each; `splits` is empty where no folder names one."""

    sources: np.ndarray
    splits: np.ndarray
    labels: np.ndarray

    @property
    def training(self) -> np.ndarray:
        """Which images a model may have seen before it is tested, bool [n]: all but those of a test split."""
        return self.splits != "test"


def kind_numbers(pairs: Sequence[Pair]) -> np.ndarray:
    """Return int64 [pairs], the place of each pair's kind in `KINDS`."""
    return np.array([0 if p.kind == "exact" else 1 if p.orientation == "id" else 2 for p in pairs], dtype=np.int64)


def count_pairs(pairs: Sequence[Pair], columns: Columns) -> dict[str, dict[str, int]]:
    """Return, for each of `KINDS` and for `all`, how many pairs there are, and where."""
    a, b, kinds = _ends(pairs)
    same_split, same_source, same_label = (
        column[a] == column[b] for column in (columns.splits, columns.sources, columns.labels)
    )
    where = {
        "pairs": np.ones(len(pairs), dtype=bool),
        "within_split": same_split,
        "across_splits": ~same_split,
        "across_sources": ~same_source,
        "conflicting": ~same_label,
        **{f"class {label}": same_label & (columns.labels[a] == label) for label in np.unique(columns.labels).tolist()},
    }
    of_kind = {name: kinds == number for number, name in enumerate(KINDS)} | {"all": where["pairs"]}
    return {
        kind: {place: int((chosen & there).sum()) for place, there in where.items()} for kind, chosen in of_kind.items()
    }


def count_groups(groups: np.ndarray, columns: Columns) -> dict[str, int]:
    """Return how many independent groups there are, and what of them.

    Args:
        groups: int [n], each image's group.
    """
    sizes = np.unique(groups, return_counts=True)[1]
    conflicting = label_conflicts(groups, columns.labels)
    return {
        "independent": len(sizes),
        "of_copies": int((sizes > 1).sum()),
        "images_in_them": int(sizes[sizes > 1].sum()),
        "largest": int(sizes.max(initial=0)),
        "across_splits": len(label_conflicts(groups, columns.splits)),
        "across_sources": len(label_conflicts(groups, columns.sources)),
        "conflicting": len(conflicting),
        "images_in_conflict": int(np.isin(groups, conflicting).sum()),
    }


def count_leaks(duplicates: Duplicates, groups: np.ndarray, columns: Columns) -> dict[str, dict[str, Any]]:
    """Return, for each source with test images, how many have a copy in its own training images and in any source's.

    Every test image counts once: with its `exact` copy, else an `upright` one, else a `mirrored` one; else it is
    `linked` to a training image by a chain of copies, or `clean`. `clean_per_class` is that of any source's training.
    """
    leaks = {}
    anywhere = _best_duplicates(columns.training, duplicates, groups)
    for source in np.unique(columns.sources[~columns.training]).tolist():
        of_source = columns.sources == source
        test = of_source & ~columns.training
        own = _best_duplicates(columns.training & of_source, duplicates, groups)
        clean = test & (anywhere == _CLEAN)
        leaks[source] = {
            "images": int(test.sum()),
            "own": _tally(own[test]),
            "any": _tally(anywhere[test]),
            "per_class": _per_class(columns.labels, test),
            "clean_per_class": _per_class(columns.labels, clean),
        }
    return leaks


def _best_duplicates(training: np.ndarray, duplicates: Duplicates, groups: np.ndarray) -> np.ndarray:
    """Return int64 [n]: the place in `KINDS` of each image's best duplicate among `training`, else _LINKED or _CLEAN.

    A pair stands for all images that are equal to one of its two.
    """
    first = duplicates.representatives
    trained = np.isin(first, first[training])
    best = np.where(np.isin(groups, groups[training]), _LINKED, _CLEAN)
    best[trained] = 0  # exact
    a, b, kinds = _ends(duplicates.pairs)
    for here, there in ((first[a], first[b]), (first[b], first[a])):
        np.minimum.at(best, here[trained[there]], kinds[trained[there]])
    return np.minimum(best, best[first])


def _ends(pairs: Sequence[Pair]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b = np.array([(pair.a, pair.b) for pair in pairs], dtype=np.int64).reshape(-1, 2).T
    return a, b, kind_numbers(pairs)


def _tally(best: np.ndarray) -> dict[str, int]:
    return {name: int((best == number).sum()) for number, name in enumerate((*KINDS, "linked", "clean"))}


def _per_class(labels: np.ndarray, chosen: np.ndarray) -> dict[str, int]:
    return {label: int((chosen & (labels == label)).sum()) for label in np.unique(labels).tolist()}
