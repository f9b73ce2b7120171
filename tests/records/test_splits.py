"""The promises of every split: groups whole, fractions met, classes and sources in proportion, equal by seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.splits import cut_folds, cut_validation, fold_name, fold_numbers, split_grouped

Columns = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    """Labels, sources and groups of 2-3 classes in 1-2 sources, 25-60 groups of 1-5 images of one class each."""
    labels, sources, groups = [], [], []
    for group in range(draw(st.integers(25, 60)) * 3):
        size = draw(st.sampled_from([1, 1, 1, 2, 5]))
        label = "abc"[group % 3]
        labels += [label] * size
        sources += [draw(st.sampled_from("xy")) for _ in range(size)]
        groups += [group] * size
    order = np.random.default_rng(draw(st.integers(0, 9))).permutation(len(labels))
    return np.array(labels)[order], np.array(sources)[order], np.array(groups)[order]


def parts_of_groups(split: np.ndarray, groups: np.ndarray) -> int:
    """The largest number of splits that one group is in."""
    return max(len(set(split[groups == group])) for group in np.unique(groups))


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(columns(), st.sampled_from([0.1, 0.2, 0.25, 0.3, 1 / 3]), st.integers(0, 3))
def test_grouped_keeps_groups_whole_and_meets_the_fractions(given_columns: Columns, fraction: float, seed: int) -> None:
    labels, _, groups = given_columns
    split = cut_validation(split_grouped(*given_columns, fraction, seed), *given_columns, fraction, seed)
    assert parts_of_groups(split, groups) == 1
    n = len(labels)
    # No part is further from its share than one group of the largest size for each class.
    assert abs((split == "test").sum() - fraction * n) <= 15
    assert abs((split == "val").sum() - fraction * (n - (split == "test").sum())) <= 15
    for label in np.unique(labels):
        assert {"train", "val", "test"} == set(split[labels == label])


@settings(max_examples=15, deadline=None)
@given(columns(), st.integers(2, 6))
def test_folds_keep_groups_whole_cover_everything_but_test_and_are_even(given_columns: Columns, folds: int) -> None:
    _, _, groups = given_columns
    tested = split_grouped(*given_columns, 0.2, 0)
    split = cut_folds(tested, *given_columns, folds, 0)
    assert parts_of_groups(split, groups) == 1
    np.testing.assert_array_equal(split == "test", tested == "test")
    sizes = [(split == fold_name(fold)).sum() for fold in range(folds)]
    assert sum(sizes) == (tested != "test").sum()
    assert max(sizes) - min(sizes) <= 15


def singles(n: int, classes: str = "ab", sources: str = "xy") -> Columns:
    rng = np.random.default_rng(0)
    return rng.choice(list(classes), n), rng.choice(list(sources), n), np.arange(n)


def test_validation_is_stratified_by_class_and_source() -> None:
    labels, sources, groups = singles(2000)
    split = cut_validation(np.full(2000, "train"), labels, sources, groups, 0.2, 0)
    for label in "ab":
        for source in "xy":
            stratum = (labels == label) & (sources == source)
            assert abs((split[stratum] == "val").mean() - 0.2) < 0.005


def test_a_source_with_its_own_validation_is_not_cut() -> None:
    labels, sources, groups = singles(200)
    given_split = np.where((sources == "x") & (np.arange(200) < 40), "val", "train")
    split = cut_validation(given_split, labels, sources, groups, 0.25, 0)
    np.testing.assert_array_equal(split[sources == "x"], given_split[sources == "x"])
    assert (split[sources == "y"] == "val").mean() == pytest.approx(0.25, abs=0.03)


def test_what_is_test_or_left_out_stays_so() -> None:
    labels, sources, groups = singles(300)
    given_split = np.array(["train", "test", ""] * 100)
    split = cut_validation(given_split, labels, sources, groups, 0.2, 0)
    np.testing.assert_array_equal(split[1::3], "test")
    np.testing.assert_array_equal(split[2::3], "")


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.02, 0.04, 0.15, 0.5, 0.9])
def test_small_and_large_fractions_are_met(fraction: float) -> None:
    split = split_grouped(*singles(1000), fraction, 0)
    assert (split == "test").mean() == pytest.approx(fraction, rel=0.1)


def test_a_fraction_of_nothing_holds_nothing_out() -> None:
    assert set(split_grouped(*singles(20), 0.0, 0)) == {"train"}


def test_the_seed_decides() -> None:
    first, again, other = (split_grouped(*singles(200), 0.2, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_class_with_fewer_groups_than_parts_is_named() -> None:
    labels = np.array(["a"] * 50 + ["b"] * 50)
    groups = np.concatenate([np.arange(50), np.repeat([100, 101, 102], [20, 20, 10])])
    with pytest.raises(UserError, match="class b: its 3 independent groups cannot be spread over 5 parts"):
        split_grouped(labels, np.full(100, "x"), groups, 0.2, 0)


def test_a_class_that_is_rare_in_every_source_is_still_divided() -> None:
    labels = np.repeat(["a", "b"], 12)
    sources = np.tile(["x", "y", "z"], 8)  # four images of a class in each source, and five folds
    numbers = fold_numbers(labels, sources, np.arange(24), 5, 0)
    assert {number: set(labels[numbers == number]) for number in range(5)} == {n: {"a", "b"} for n in range(5)}
