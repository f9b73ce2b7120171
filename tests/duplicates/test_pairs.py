"""Copies are found whatever was done to them; different slices are not taken for copies."""

import numpy as np
import pytest

from fastmri_cls.duplicates.hashing import ORIENTATIONS, Fingerprint, fingerprint
from fastmri_cls.duplicates.pairs import correlation, detail_correlation, find_pairs


def pairs_of(images):
    return find_pairs([fingerprint(image) for image in images])


def test_equal_pixels_are_an_exact_pair(slices):
    (pair,) = pairs_of([slices[0], slices[1], slices[0].copy()])
    assert pair == (0, 2, "exact", "id", 1.0)


def test_three_exact_copies_are_three_pairs(slices):
    assert [(p.a, p.b, p.kind) for p in pairs_of([slices[0]] * 3)] == [
        (0, 1, "exact"),
        (0, 2, "exact"),
        (1, 2, "exact"),
    ]


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
    near = Fingerprint("b", np.array([2**phash_bits - 1] * 4, np.uint64), np.array([2**dhash_bits - 1] * 4, np.uint64),
                       np.clip(thumbnail + noise, 0, 255).astype(np.uint8))  # fmt: skip
    nothing = np.zeros(4, np.uint64)
    pairs = find_pairs([Fingerprint("a", nothing, nothing, thumbnail.astype(np.uint8)), near])
    assert [pair[:3] for pair in pairs] == ([(0, 1, "near")] if found else [])
    assert all(pair.similarity == pytest.approx(similarity, abs=0.003) for pair in pairs)


def test_blank_images_are_exact_copies_only_of_their_equals():
    blank = [np.full((60, 60), level, np.uint8) for level in (0, 0, 9)]
    assert [p[:3] for p in pairs_of(blank)] == [(0, 1, "exact")]


@pytest.mark.parametrize("count", [0, 1])
def test_there_are_no_pairs_among_fewer_than_two(slices, count):
    assert pairs_of(slices[:count]) == []


def test_correlation_is_numpys():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 5, 64), dtype=np.uint8)
    expected = [np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(correlation(a, b), expected, atol=1e-5)


def test_details_are_compared_block_by_block_where_there_are_any():
    rng = np.random.default_rng(1)
    a = np.zeros((1, 64, 64), np.uint8)
    a[0, :8, :16] = rng.integers(0, 256, (8, 16))
    b = a.copy()
    b[0, :8, 8:16] = rng.integers(0, 256, (8, 8))
    b[0, 32:40, 32:40] = rng.integers(0, 3, (8, 8))  # noise in what is background in a
    other = np.corrcoef(a[0, :8, 8:16].ravel(), b[0, :8, 8:16].ravel())[0, 1]
    np.testing.assert_allclose(detail_correlation(a, b), [(1 + other) / 2], atol=1e-5)


def test_similar_heads_with_other_details_are_no_copies(slices):
    """A bright skull makes whole pictures correlate; what is inside decides."""
    rng = np.random.default_rng(5)
    inside = np.hypot(*np.mgrid[-1:1:240j, -1:1:240j]) < 0.8

    def with_own_texture(image):
        texture = np.kron(rng.integers(-12, 13, (30, 30)), np.ones((8, 8)))
        return np.clip(image + texture * inside, 0, 255).astype(np.uint8)

    for image in slices[:6]:
        one, other = with_own_texture(image), with_own_texture(image)
        thumbnails = [fingerprint(image).thumbnail.reshape(1, -1) for image in (one, other)]
        assert correlation(*thumbnails)[0] > 0.99
        assert pairs_of([one, other]) == []
