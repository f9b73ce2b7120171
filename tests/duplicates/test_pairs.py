"""Copies are found whatever was done to them; different slices are not taken for copies."""

import numpy as np
import pytest

from fastmri_cls.duplicates.fingerprints import Fingerprints
from fastmri_cls.duplicates.groups import connected_groups
from fastmri_cls.duplicates.hashing import ORIENTATIONS, Fingerprint, fingerprint
from fastmri_cls.duplicates.pairs import Duplicates, Pair, find_duplicates
from fastmri_cls.duplicates.similarity import similarities


def duplicates_of(images) -> Duplicates:
    return find_duplicates(Fingerprints(fingerprint(image) for image in images))


def pairs_of(images) -> list[Pair]:
    return duplicates_of(images).pairs


def test_equal_pixels_are_an_exact_pair(slices):
    (pair,) = pairs_of([slices[0], slices[1], slices[0].copy()])
    assert pair == (0, 2, "exact", "id", 1.0)


def test_each_exact_duplicate_is_paired_with_the_first_of_its_equals_only(slices):
    found = duplicates_of([slices[0], slices[1], slices[0], slices[1], slices[0]])
    assert [p[:3] for p in found.pairs] == [(0, 2, "exact"), (0, 4, "exact"), (1, 3, "exact")]
    assert found.representatives.tolist() == [0, 1, 0, 1, 0]


def test_near_duplicates_are_paired_between_the_first_of_their_equals(slices):
    mirrored = slices[0][ORIENTATIONS["hflip"]]
    found = duplicates_of([mirrored, slices[0], mirrored, slices[0], slices[0]])
    assert [p[:4] for p in found.pairs] == [
        (0, 1, "near", "hflip"), (0, 2, "exact", "id"), (1, 3, "exact", "id"), (1, 4, "exact", "id"),
    ]  # fmt: skip
    assert connected_groups(5, found.pairs).tolist() == [0] * 5


@pytest.mark.parametrize(("size", "quality"), [(240, 60), (224, 95), (512, 90), (150, 75)])
def test_a_reencoded_or_resized_copy_is_near(slices, reencoded, size, quality):
    (pair,) = pairs_of([slices[2], slices[3], reencoded(slices[2], size, quality)])
    assert pair[:4] == (0, 2, "near", "id")
    assert pair.similarity > 0.98


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_turned_copy_is_found_with_the_name_of_its_turn(slices, reencoded, orientation):
    (pair,) = pairs_of([slices[4], reencoded(slices[4], 200, 85)[ORIENTATIONS[orientation]], slices[5]])
    assert pair[:4] == (0, 1, "near", orientation)
    assert pair.mirrored == (orientation != "id")


def test_a_mirrored_copy_without_loss_is_near_since_its_pixels_differ(slices):
    (pair,) = pairs_of([slices[6], slices[6][ORIENTATIONS["hflip"]]])
    assert pair[:4] == (0, 1, "near", "hflip")
    assert pair.similarity == pytest.approx(1)


def test_a_brighter_copy_is_near(slices):
    brighter = np.clip(slices[8] * 1.15 + 4, 0, 255).astype(np.uint8)
    assert [p[:4] for p in pairs_of([slices[8], brighter])] == [(0, 1, "near", "id")]


def test_a_colour_copy_is_near(slices):
    assert [p[:4] for p in pairs_of([slices[9], np.stack([slices[9]] * 3, axis=-1)])] == [(0, 1, "near", "id")]


def test_different_slices_are_no_copies(slices):
    assert pairs_of(slices) == []


def test_a_quarter_turn_is_no_copy(slices):
    assert pairs_of([slices[0], np.rot90(slices[0])]) == []


@pytest.mark.parametrize(
    ("phash_bits", "dhash_bits", "similarity", "found"),
    [
        (4, 4, 0.985, True),
        (4, 4, 0.975, False),
        (2, 5, 0.985, False),  # a dHash further apart asks for more likeness,
        (2, 5, 0.995, True),  # which copies of dark pictures have: bits of a black background are noise
        (6, 1, 0.985, False),
        (6, 2, 0.995, True),
        (6, 3, 1.0, False),
    ],
)
def test_hashes_and_pixels_have_to_agree(phash_bits, dhash_bits, similarity, found):
    rng = np.random.default_rng(2)
    thumbnail = rng.normal(128, 25, (64, 64))
    noise = rng.normal(0, 25, (64, 64)) * np.sqrt(1 / similarity**2 - 1)
    phashes, dhashes = (np.array([2**bits - 1] * 4, np.uint64) for bits in (phash_bits, dhash_bits))
    near = Fingerprint("b" * 64, phashes, dhashes, np.clip(thumbnail + noise, 0, 255).astype(np.uint8))
    nothing = np.zeros(4, np.uint64)
    first = Fingerprint("a" * 64, nothing, nothing, thumbnail.astype(np.uint8))
    pairs = find_duplicates(Fingerprints([first, near])).pairs
    assert [pair[:3] for pair in pairs] == ([(0, 1, "near")] if found else [])
    assert all(pair.similarity == pytest.approx(similarity, abs=0.003) for pair in pairs)


def test_blank_images_are_exact_copies_only_of_their_equals():
    blank = [np.full((60, 60), level, np.uint8) for level in (0, 0, 9)]
    assert [p[:3] for p in pairs_of(blank)] == [(0, 1, "exact")]


@pytest.mark.parametrize("count", [0, 1])
def test_there_are_no_pairs_among_fewer_than_two(slices, count):
    assert pairs_of(slices[:count]) == []


def test_similar_heads_with_other_details_are_no_copies(slices):
    """A bright skull makes whole pictures correlate; what is inside decides."""
    rng = np.random.default_rng(5)
    inside = np.hypot(*np.mgrid[-1:1:240j, -1:1:240j]) < 0.8

    def with_own_texture(image):
        texture = np.kron(rng.integers(-12, 13, (30, 30)), np.ones((8, 8)))
        return np.clip(image + texture * inside, 0, 255).astype(np.uint8)

    for image in slices[:6]:
        pair = [with_own_texture(image), with_own_texture(image)]
        whole, _ = similarities(*(fingerprint(image).thumbnail[None] for image in pair))
        assert whole[0] > 0.99
        assert pairs_of(pair) == []
