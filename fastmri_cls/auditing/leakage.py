"""Counts of duplicates by split, source and class, and the leak class of each test image.

The leak class is the kind of the test image's nearest duplicate in the training split: `exact` (equal pixels),
`upright` (near, as stored) or `mirrored` (near, after a flip or half turn); `linked` if only a chain of duplicates
leads to a training image; `clean` if there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

from fastmri_cls.duplicates.groups import label_conflicts
from fastmri_cls.duplicates.pairs import Duplicates, Pair

Strings: TypeAlias = npt.NDArray[np.str_]
Integers: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

KINDS = ("exact", "upright", "mirrored")
LEAK_CLASSES = (*KINDS, "linked", "clean")  # from the worst to the best
_LINKED, _CLEAN = len(KINDS), len(KINDS) + 1


@dataclass(frozen=True)
class Columns:
    """What is known of n images besides their pixels.

    Attributes:
        sources: [n], names of the sources.
        splits: [n], `train`, `val`, `test`, or empty if the folders name no split.
        labels: [n], class names.
    """

    sources: Strings
    splits: Strings
    labels: Strings

    @property
    def training(self) -> Mask:
        """Images that a model may have seen before it is tested, [n]: all except those of a test split."""
        return np.not_equal(self.splits, "test", dtype=np.bool_)


class Leaks(TypedDict):
    """Leakage into the test images of one source.

    Attributes:
        images: number of test images.
        own: test images by leak class with regard to the training images of the same source.
        any: the same with regard to the training images of all sources.
        per_class: test images by class.
        clean_per_class: test images by class that are clean with regard to all sources.
    """

    images: int
    own: dict[str, int]
    any: dict[str, int]
    per_class: dict[str, int]
    clean_per_class: dict[str, int]


def kind_numbers(pairs: Sequence[Pair]) -> Integers:
    """Return the place of each pair's kind in `KINDS`, [pairs]."""
    return np.array([0 if p.kind == "exact" else 1 if p.orientation == "id" else 2 for p in pairs], dtype=np.int64)


def count_pairs(pairs: Sequence[Pair], columns: Columns) -> dict[str, dict[str, int]]:
    """Return, for each of `KINDS` and for `all`, the number of pairs, in total and by place."""
    a, b, kinds = _ends(pairs)
    same_split, same_source, same_label = (
        column[a] == column[b] for column in (columns.splits, columns.sources, columns.labels)
    )
    places = {
        "pairs": np.ones(len(pairs), dtype=bool),
        "within_split": same_split,
        "across_splits": ~same_split,
        "across_sources": ~same_source,
        "conflicting": ~same_label,
        **{f"class {label}": same_label & (columns.labels[a] == label) for label in np.unique(columns.labels).tolist()},
    }
    by_kind = {name: kinds == number for number, name in enumerate(KINDS)} | {"all": places["pairs"]}
    return {
        kind: {place: int((chosen & there).sum()) for place, there in places.items()}
        for kind, chosen in by_kind.items()
    }


def count_groups(groups: Integers, columns: Columns) -> dict[str, int]:
    """Return the number of independent groups, of those with duplicates, and of those that straddle splits or sources.

    Args:
        groups: [n], each image's group.
        columns: of the same images.
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


def count_leaks(duplicates: Duplicates, groups: Integers, columns: Columns) -> dict[str, Leaks]:
    """Return the leakage into each source that has test images; every test image counts once, by its leak class.

    Args:
        duplicates: of the n images.
        groups: [n], each image's group.
        columns: of the same images.
    """
    leaks: dict[str, Leaks] = {}
    anywhere = _leak_classes(columns.training, duplicates, groups)
    for source in np.unique(columns.sources[~columns.training]).tolist():
        in_source = columns.sources == source
        test = in_source & ~columns.training
        own = _leak_classes(columns.training & in_source, duplicates, groups)
        leaks[source] = {
            "images": int(test.sum()),
            "own": _tally(own[test]),
            "any": _tally(anywhere[test]),
            "per_class": _per_class(columns.labels, test),
            "clean_per_class": _per_class(columns.labels, test & (anywhere == _CLEAN)),
        }
    return leaks


def _leak_classes(training: Mask, duplicates: Duplicates, groups: Integers) -> Integers:
    """Return the place in `LEAK_CLASSES` of each image with regard to the images `training`, [n].

    A pair stands for all images that are equal to one of its two.
    """
    first = duplicates.representatives
    trained = np.isin(first, first[training])
    found = np.where(np.isin(groups, groups[training]), _LINKED, _CLEAN)
    found[trained] = KINDS.index("exact")
    a, b, kinds = _ends(duplicates.pairs)
    for here, there in ((first[a], first[b]), (first[b], first[a])):
        np.minimum.at(found, here[trained[there]], kinds[trained[there]])
    best: Integers = np.minimum(found, found[first])
    return best


def _ends(pairs: Sequence[Pair]) -> tuple[Integers, Integers, Integers]:
    a, b = np.array([(pair.a, pair.b) for pair in pairs], dtype=np.int64).reshape(-1, 2).T
    return a, b, kind_numbers(pairs)


def _tally(leak_classes: Integers) -> dict[str, int]:
    return {name: int((leak_classes == number).sum()) for number, name in enumerate(LEAK_CLASSES)}


def _per_class(labels: Strings, chosen: Mask) -> dict[str, int]:
    return {label: int((chosen & (labels == label)).sum()) for label in np.unique(labels).tolist()}
