"""Pairs are counted where they are, and a test image once, by its best copy."""

import numpy as np
import pytest

from fastmri_cls.auditing.leakage import Columns, count_groups, count_leaks, count_pairs
from fastmri_cls.duplicates.groups import connected_groups
from fastmri_cls.duplicates.pairs import Duplicates, Pair

#          0        1        2        3       4       5        6       7
SOURCES = ["a", "a", "a", "a", "b", "b", "b", "b"]
SPLITS = ["train", "train", "test", "test", "train", "test", "test", "val"]
LABELS = ["x", "y", "x", "y", "x", "x", "y", "y"]

PAIRS = [
    Pair(0, 2, "exact", "id", 1.0),  # a test image with a copy in its own training
    Pair(0, 5, "near", "hflip", 0.99),  # b's test image, mirrored in a's training
    Pair(1, 7, "near", "id", 0.99),  # train and val of two sources
    Pair(0, 4, "near", "rot180", 0.985),  # a's test image 2, equal to 0, in b's training as well, but less well
    Pair(3, 5, "near", "vflip", 0.99),  # two test images; their labels differ; 3 reaches training through 5
]


@pytest.fixture
def columns() -> Columns:
    return Columns(np.array(SOURCES), np.array(SPLITS), np.array(LABELS))


@pytest.fixture
def groups() -> np.ndarray:
    return connected_groups(len(SOURCES), PAIRS)


@pytest.fixture
def duplicates() -> Duplicates:
    return Duplicates(PAIRS, np.array([0, 1, 0, 3, 4, 5, 6, 7]))


def test_pairs_are_counted_by_kind_and_place(columns):
    counts = count_pairs(PAIRS, columns)
    assert {kind: found["pairs"] for kind, found in counts.items()} == {
        "exact": 1, "upright": 1, "mirrored": 3, "all": 5,
    }  # fmt: skip
    assert counts["all"] == {
        "pairs": 5, "within_split": 2, "across_splits": 3, "across_sources": 4, "conflicting": 1,
        "class x": 3, "class y": 1,
    }  # fmt: skip
    assert counts["mirrored"]["within_split"] == 2


def test_groups_are_counted(columns, groups):
    assert groups.tolist() == [0, 1, 0, 0, 0, 0, 6, 1]
    assert count_groups(groups, columns) == {
        "independent": 3, "of_copies": 2, "images_in_them": 7, "largest": 5,
        "across_splits": 2, "across_sources": 2, "conflicting": 1, "images_in_conflict": 5,
    }  # fmt: skip


def test_a_test_image_counts_once_by_its_best_copy(columns, groups, duplicates):
    leaks = count_leaks(duplicates, groups, columns)
    assert leaks["a"]["any"] == {"exact": 1, "upright": 0, "mirrored": 0, "linked": 1, "clean": 0}
    assert leaks["b"]["any"] == {"exact": 0, "upright": 0, "mirrored": 1, "linked": 0, "clean": 1}


def test_its_own_sources_training_is_told_apart(columns, groups, duplicates):
    leaks = count_leaks(duplicates, groups, columns)
    assert leaks["b"]["own"] == {"exact": 0, "upright": 0, "mirrored": 0, "linked": 1, "clean": 1}
    assert leaks["b"]["images"] == 2
    assert leaks["b"]["per_class"] == {"x": 1, "y": 1}
    assert leaks["b"]["clean_per_class"] == {"x": 0, "y": 1}


def test_without_test_images_there_are_no_leaks():
    columns = Columns(np.array(["a", "a"]), np.array(["", ""]), np.array(["x", "y"]))
    assert count_leaks(Duplicates([], np.arange(2)), np.arange(2), columns) == {}
    assert count_pairs([], columns)["all"]["pairs"] == 0


def test_an_exact_copy_of_a_mirrored_duplicate_is_a_mirrored_leak():
    """Only the first of two equal test images is paired with the training image; both repeat it."""
    columns = Columns(np.array(["a"] * 3), np.array(["train", "test", "test"]), np.array(["x"] * 3))
    pairs = [Pair(0, 1, "near", "hflip", 0.99), Pair(1, 2, "exact", "id", 1.0)]
    duplicates = Duplicates(pairs, np.array([0, 1, 1]))
    leaks = count_leaks(duplicates, connected_groups(3, pairs), columns)
    assert leaks["a"]["any"] == {"exact": 0, "upright": 0, "mirrored": 2, "linked": 0, "clean": 0}


def test_a_training_image_that_is_not_the_first_of_its_equals_leaks_as_well():
    columns = Columns(np.array(["a"] * 4), np.array(["test", "train", "test", "test"]), np.array(["x"] * 4))
    pairs = [Pair(0, 1, "exact", "id", 1.0), Pair(0, 2, "near", "vflip", 0.99), Pair(2, 3, "exact", "id", 1.0)]
    duplicates = Duplicates(pairs, np.array([0, 0, 2, 2]))
    leaks = count_leaks(duplicates, connected_groups(4, pairs), columns)
    assert leaks["a"]["any"] == {"exact": 1, "upright": 0, "mirrored": 2, "linked": 0, "clean": 0}
