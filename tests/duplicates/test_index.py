"""The index finds what comparing all keys finds, each pair once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmri_cls.duplicates import index as candidates
from fastmri_cls.duplicates.index import RADIUS, TABLES, close_keys

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
    blocks = [block for table in TABLES for block in close_keys(queries, keys, table)]
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
    monkeypatch.setattr(candidates, "_BLOCK", 3)
    assert by_index(keys, keys) == expected == by_comparing_all(keys, keys)


def test_no_keys_have_no_pairs():
    nothing = np.empty((0, 2), dtype=np.uint64)
    assert by_index(nothing, nothing) == []
