"""The index finds what comparing all keys finds, each pair once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmri_cls.duplicates import index
from fastmri_cls.duplicates.index import MAX_NEIGHBOURS, RADIUS, TABLES, BucketTable

words = st.integers(0, 2**64 - 1)


def with_flipped_bits(key: tuple[int, int], bits: list[int]) -> tuple[int, int]:
    whole = key[0] << 64 | key[1]
    for bit in bits:
        whole ^= 1 << bit
    return whole >> 64, whole & (2**64 - 1)


@st.composite
def families_of_keys(draw: st.DrawFn) -> np.ndarray:
    """Some keys and relatives of them, 0 to 14 bits away: on both sides of the radius."""
    keys = []
    for ancestor in draw(st.lists(st.tuples(words, words), min_size=1, max_size=4)):
        for bits in draw(st.lists(st.lists(st.integers(0, 127), unique=True, max_size=14), min_size=1, max_size=8)):
            keys.append(with_flipped_bits(ancestor, bits))
    return np.array(keys, dtype=np.uint64)


def by_index(queries: np.ndarray, keys: np.ndarray) -> list[tuple[int, int]]:
    blocks = [block for parts in TABLES for block in BucketTable(keys, parts).close_pairs(queries)]
    return sorted((int(i), int(j)) for a, b in blocks for i, j in zip(a, b, strict=True))


def by_comparing_all(queries: np.ndarray, keys: np.ndarray) -> list[tuple[int, int]]:
    def apart(i: int, j: int) -> int:
        return sum((int(queries[i, k]) ^ int(keys[j, k])).bit_count() for k in (0, 1))

    return [(i, j) for i in range(len(keys)) for j in range(i + 1, len(keys)) if apart(i, j) <= RADIUS]


@given(families_of_keys())
@settings(deadline=None, max_examples=50)
def test_the_index_finds_every_close_pair_exactly_once(keys):
    assert by_index(keys, keys) == by_comparing_all(keys, keys)


@given(families_of_keys(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_queries_may_differ_from_the_keys(keys, random):
    queries = keys[random.sample(range(len(keys)), len(keys))]
    assert by_index(queries, keys) == by_comparing_all(queries, keys)


def test_small_blocks_change_nothing(monkeypatch):
    keys = np.repeat(np.arange(40, dtype=np.uint64)[:, None] % 7, 2, axis=1)
    expected = by_index(keys, keys)
    monkeypatch.setattr(index, "_BLOCK", 3)
    assert by_index(keys, keys) == expected == by_comparing_all(keys, keys)


def test_no_keys_have_no_pairs():
    nothing = np.empty((0, 2), dtype=np.uint64)
    assert by_index(nothing, nothing) == []


def test_a_crowded_bucket_costs_a_bounded_number_of_comparisons_each_and_is_told():
    crowd = np.repeat(np.array([[5, 9]], np.uint64), 3 * MAX_NEIGHBOURS, axis=0)
    keys = np.concatenate([crowd, np.array([[2**63, 2**40], [77, 2**63]], np.uint64)])
    table = BucketTable(keys, TABLES[0])
    pairs = [pair for a, b in table.close_pairs(keys) for pair in zip(a.tolist(), b.tolist(), strict=True)]
    neighbours = np.bincount([a for a, _ in pairs], minlength=len(keys))
    last = len(crowd) - MAX_NEIGHBOURS  # those behind it have fewer than that many behind them
    assert (neighbours[:last] == MAX_NEIGHBOURS).all()
    assert neighbours[last : len(crowd)].tolist() == list(range(MAX_NEIGHBOURS - 1, -1, -1))
    assert np.flatnonzero(table.cut).tolist() == list(range(last - 1))
    assert [found.tolist() for found in table.crowds()] == [list(range(len(crowd)))]


def test_a_bucket_at_the_bound_is_no_crowd():
    keys = np.repeat(np.array([[5, 9]], np.uint64), MAX_NEIGHBOURS, axis=0)
    table = BucketTable(keys, TABLES[0])
    found = sum(len(a) for a, _ in table.close_pairs(keys))
    assert found == MAX_NEIGHBOURS * (MAX_NEIGHBOURS - 1) / 2
    assert list(table.crowds()) == []
    assert not table.cut.any()
