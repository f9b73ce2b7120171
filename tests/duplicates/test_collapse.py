"""Many equal and almost equal images cost little, and what is not compared is counted."""

import time

import numpy as np
import pytest

from fastmri_cls.duplicates.collapse import collapse_crowds, first_equal
from fastmri_cls.duplicates.fingerprints import Fingerprints
from fastmri_cls.duplicates.groups import connected_groups
from fastmri_cls.duplicates.hashing import ORIENTATIONS, Fingerprint, fingerprint
from fastmri_cls.duplicates.index import MAX_NEIGHBOURS
from fastmri_cls.duplicates.pairs import bound_notes, find_duplicates

CROWD = 3 * MAX_NEIGHBOURS


def noisy(image: np.ndarray, count: int, deviation: float, seed: int = 0) -> list[Fingerprint]:
    """Return fingerprints of `count` images that differ in noise only."""
    rng = np.random.default_rng(seed)
    images = np.clip(image + rng.normal(0, deviation, (count, *image.shape)), 0, 255).astype(np.uint8)
    return [fingerprint(pixels) for pixels in images]


def test_the_representative_is_the_first_image_with_the_same_pixels(slices):
    prints = Fingerprints(fingerprint(slices[number]) for number in (3, 1, 3, 2, 1, 3))
    assert first_equal(prints.digests).tolist() == [0, 1, 0, 3, 1, 0]


def test_a_crowd_of_near_duplicates_is_one_group_with_a_linear_number_of_pairs(slices):
    crowd, others = noisy(slices[0], CROWD, 3.0), [fingerprint(image) for image in slices[1:8]]
    found = find_duplicates(Fingerprints([*others, *crowd]))
    groups = connected_groups(len(others) + CROWD, found.pairs)
    assert len(np.unique(groups[len(others) :])) == 1
    assert len(np.unique(groups)) == 1 + len(others)
    assert CROWD - 1 <= len(found.pairs) < 4 * CROWD  # of 73 536
    assert found.crowded > CROWD / 2
    assert found.cut == 0


def test_a_crowd_is_found_mirrored_as_well(slices):
    crowd = noisy(slices[0], CROWD, 3.0)
    mirrored = noisy(slices[0][ORIENTATIONS["hflip"]], CROWD, 3.0, seed=1)
    found = find_duplicates(Fingerprints([*crowd, *mirrored]))
    assert len(np.unique(connected_groups(2 * CROWD, found.pairs))) == 1
    across = {pair.orientation for pair in found.pairs if (pair.a < CROWD) != (pair.b < CROWD)}
    assert across == {"hflip"}


def test_a_duplicate_of_a_crowds_member_joins_the_crowd(slices, reencoded):
    crowd = noisy(slices[0], CROWD, 3.0)
    found = find_duplicates(Fingerprints([*crowd, fingerprint(reencoded(slices[0], 200, 80))]))
    assert len(np.unique(connected_groups(CROWD + 1, found.pairs))) == 1


@pytest.mark.slow
def test_images_with_equal_hashes_and_other_pixels_are_compared_within_the_bound_which_is_told():
    """Nearly black frames: every hash is the same, no two pictures are alike."""
    rng = np.random.default_rng(0)
    nothing = np.zeros(4, np.uint64)
    prints = Fingerprints(
        Fingerprint(f"{number:064x}", nothing, nothing, (rng.random((64, 64)) < 0.01).astype(np.uint8))
        for number in range(CROWD)
    )
    found = find_duplicates(prints)
    assert found.pairs == []
    assert (found.crowded, found.cut) == (0, CROWD - MAX_NEIGHBOURS - 1)
    (note,) = bound_notes(found.crowded, found.cut)
    assert f"{found.cut} images have hashes similar to those of more than {MAX_NEIGHBOURS} others" in note
    assert bound_notes(0, 0) == []


def test_constant_images_are_never_compared(monkeypatch):
    """A thousand blank slices of different brightness and size share one hash; nothing correlates with them."""
    blank = [fingerprint(np.full((60, 40 + number), number % 250, np.uint8)) for number in range(CROWD)]
    monkeypatch.setattr("fastmri_cls.duplicates.pairs.similarities", lambda *_: pytest.fail("compared"))
    found = find_duplicates(Fingerprints(blank))
    assert (found.pairs, found.crowded, found.cut) == ([], 0, 0)


def test_each_representative_of_a_crowd_is_tried_once_and_a_useless_one_ends_the_search():
    keys = np.zeros((CROWD, 2), np.uint64)
    compared = []

    def unlike(a, b):
        compared.extend(a.tolist())
        return np.zeros(len(a), bool), np.zeros(len(a))

    collapse_crowds(keys, unlike)
    assert len(compared) == 45 * (CROWD - 1)  # one representative in each of the 45 tables
    assert len(set(compared)) == 45


@pytest.mark.parametrize("copies", [10_000])
def test_ten_thousand_equal_images_take_seconds(slices, copies):
    equal, others = fingerprint(slices[0]), [fingerprint(image) for image in slices[1:]]
    prints = Fingerprints([*others, *[equal] * copies])
    started = time.process_time()
    found = find_duplicates(prints)
    assert time.process_time() - started < 5  # minutes, where every pair is compared
    assert len(found.pairs) == copies - 1
    assert {pair.a for pair in found.pairs} == {len(others)}
