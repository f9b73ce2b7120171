"""Similarities of thumbnails are numpy's correlations, of whole images and block by block."""

import numpy as np

from fastmri_cls.duplicates.similarity import similarities


def test_the_whole_similarity_is_numpys_correlation():
    a, b = np.random.default_rng(0).integers(0, 256, (2, 5, 64, 64), dtype=np.uint8)
    expected = [np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(similarities(a, b)[0], expected, atol=1e-12)


def test_an_image_is_like_itself_and_unlike_a_constant_one():
    image = np.random.default_rng(3).integers(0, 256, (1, 64, 64), dtype=np.uint8)
    np.testing.assert_allclose(similarities(image, image), [[1], [1]])
    whole, detail = similarities(image, np.full_like(image, 7))
    assert whole[0] == 0
    assert detail[0] == 1  # no block has details in both


def test_details_are_compared_block_by_block_where_both_have_some():
    rng = np.random.default_rng(1)
    a = np.zeros((1, 64, 64), np.uint8)
    a[0, :8, :16] = rng.integers(0, 256, (8, 16))
    b = a.copy()
    b[0, :8, 8:16] = rng.integers(0, 256, (8, 8))
    b[0, 32:40, 32:40] = rng.integers(0, 3, (8, 8))  # noise in what is background in a
    other = np.corrcoef(a[0, :8, 8:16].ravel(), b[0, :8, 8:16].ravel())[0, 1]
    np.testing.assert_allclose(similarities(a, b)[1], [(1 + other) / 2], atol=1e-12)
