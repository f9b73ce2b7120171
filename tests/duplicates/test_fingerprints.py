"""Columns of fingerprints hold what was put in, in the order it came."""

import numpy as np
import pytest

from fastmri_cls.duplicates.fingerprints import Fingerprints
from fastmri_cls.duplicates.hashing import fingerprint


@pytest.fixture
def prints(slices):
    return [fingerprint(image) for image in [*slices[:3], np.full((50, 50), 7, np.uint8)]]


def same(columns, prints) -> None:
    assert len(columns) == len(prints)
    assert [columns.sha256(number) for number in range(len(prints))] == [one.sha256 for one in prints]
    assert [bytes(digest).hex() for digest in columns.digests] == [one.sha256 for one in prints]
    np.testing.assert_array_equal(columns.hashes[:, :, 0], [one.phash for one in prints])
    np.testing.assert_array_equal(columns.hashes[:, :, 1], [one.dhash for one in prints])
    np.testing.assert_array_equal(columns.thumbnails(), [one.thumbnail for one in prints])


def test_columns_are_the_fingerprints(prints, tmp_path):
    columns = Fingerprints(prints, tmp_path)
    same(columns, prints)
    assert columns.constant.tolist() == [False, False, False, True]
    np.testing.assert_array_equal(columns.thumbnails(np.array([2, 0])), [prints[2].thumbnail, prints[0].thumbnail])
    assert list(tmp_path.iterdir()) == []  # the file has no name


def test_an_image_can_be_replaced_and_more_can_follow(prints):
    columns = Fingerprints(prints[:2])
    columns[0] = prints[3]
    columns.append(prints[2])
    same(columns, [prints[3], prints[1], prints[2]])
    assert columns.constant.tolist() == [True, False, False]
    with pytest.raises(IndexError):
        columns[3] = prints[0]


def test_no_images_have_no_thumbnails():
    assert Fingerprints().thumbnails().shape == (0, 64, 64)
    assert Fingerprints().hashes.shape == (0, 4, 2)
