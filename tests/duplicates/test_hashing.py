"""A fingerprint says what imagehash says, of the image and of the image turned."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from fastmri_cls.duplicates.hashing import ORIENTATIONS, fingerprint

TRANSPOSED = {
    "id": None,
    "hflip": Image.Transpose.FLIP_LEFT_RIGHT,
    "vflip": Image.Transpose.FLIP_TOP_BOTTOM,
    "rot180": Image.Transpose.ROTATE_180,
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_hashes_are_imagehashs_of_the_turned_image(slices, name):
    image = Image.fromarray(slices[0][:, :200])
    turned = image if TRANSPOSED[name] is None else image.transpose(TRANSPOSED[name])
    found = fingerprint(np.asarray(image))
    number = list(ORIENTATIONS).index(name)
    assert f"{found.phash[number]:016x}" == str(imagehash.phash(turned))
    assert f"{found.dhash[number]:016x}" == str(imagehash.dhash(turned))


def test_turning_the_array_is_turning_the_image(slices):
    for name, turn in ORIENTATIONS.items():
        image = Image.fromarray(slices[0])
        turned = image if TRANSPOSED[name] is None else image.transpose(TRANSPOSED[name])
        np.testing.assert_array_equal(slices[0][turn], np.asarray(turned))


def test_hashes_of_a_large_image_are_nearly_those_of_the_whole(slices, reencoded):
    large = reencoded(slices[1], 1000, 95)
    found = fingerprint(large)
    assert (int(found.phash[0]) ^ int(str(imagehash.phash(Image.fromarray(large))), 16)).bit_count() <= 2


def test_the_sha256_is_of_pixels_and_shape_not_of_the_file(slices):
    assert fingerprint(slices[0]).sha256 == fingerprint(np.asfortranarray(slices[0])).sha256
    changed = slices[0].copy()
    changed[0, 0] ^= 1
    assert fingerprint(slices[0]).sha256 != fingerprint(changed).sha256
    flat = np.zeros((40, 90), np.uint8)
    assert fingerprint(flat).sha256 != fingerprint(flat.reshape(90, 40)).sha256


def test_colour_and_tiny_images_have_fingerprints():
    assert fingerprint(np.full((300, 200, 3), 90, np.uint8)).thumbnail.shape == (64, 64)
    assert fingerprint(np.full((1, 1), 90, np.uint8)).thumbnail.shape == (64, 64)
