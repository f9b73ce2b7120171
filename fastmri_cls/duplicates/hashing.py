"""The fingerprint of an image: sha256 of its pixels, perceptual hashes in four orientations, a thumbnail.

Hashes and thumbnail come from one reduction of the image, since this runs once for every file of a build.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

THUMBNAIL = 64  # pixels, square
_PHASH_INPUT = (32, 32)  # the size to which imagehash.phash resizes first (8 * highfreq_factor)
_DHASH_INPUT = (9, 8)  # the size to which imagehash.dhash resizes first

# Whole blocks of pixels are averaged before the filters run, as long as this many pixels are left on the shorter side.
# That takes 0.5 ms instead of 2.2 ms for images of 512 px, and still finds 99.8 % of the pairs that hashes of the full
# images give (benchmarks/audit.py).
_REDUCED = 128

# The orientations in which duplicates occur, as slices over (rows, columns). Each is its own inverse.
ORIENTATIONS = {
    "id": (slice(None), slice(None)),
    "hflip": (slice(None), slice(None, None, -1)),
    "vflip": (slice(None, None, -1), slice(None)),
    "rot180": (slice(None, None, -1), slice(None, None, -1)),
}

# The first eight rows of the DCT-II of 32 values; importing scipy's DCT takes a tenth of a second in every worker.
_COSINES = np.cos(np.pi / 32 * np.outer(np.arange(8), np.arange(32) + 0.5))
_ODD_SIGN = np.where(np.arange(8) % 2, -1.0, 1.0)  # a flip changes the signs of the odd coefficients


@dataclass(frozen=True)
class Fingerprint:
    """Identity of an image.

    Attributes:
        sha256: over the shape and bytes of the decoded pixels, hexadecimal.
        phash: uint64 [4], imagehash's 64-bit pHash of the image in each of `ORIENTATIONS`.
        dhash: uint64 [4], imagehash's 64-bit dHash, likewise.
        thumbnail: uint8 [64, 64], grey.
    """

    sha256: str
    phash: np.ndarray
    dhash: np.ndarray
    thumbnail: np.ndarray


def fingerprint(pixels: np.ndarray) -> Fingerprint:
    """Return the fingerprint of decoded pixels, uint8 [height, width] or [height, width, 3]."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    grey = Image.fromarray(pixels) if pixels.ndim == 2 else Image.fromarray(pixels).convert("L")
    reduced = grey.reduce(max(1, min(grey.size) // _REDUCED))
    # The filters are symmetric, so the few pixels behind a hash can be turned instead of the image.
    for_phash = np.asarray(reduced.resize(_PHASH_INPUT, Image.Resampling.LANCZOS))
    for_dhash = np.asarray(reduced.resize(_DHASH_INPUT, Image.Resampling.LANCZOS))
    return Fingerprint(
        sha256=digest.hexdigest(),
        phash=_phashes(for_phash),
        dhash=_dhashes(for_dhash),
        thumbnail=np.asarray(reduced.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)),
    )


def _phashes(pixels: np.ndarray) -> np.ndarray:
    """Return imagehash.phash in every orientation: turning an image only changes the signs of odd DCT coefficients.

    One transform replaces four calls of imagehash, which would take a fifth of a build; tests compare the results.
    """
    low = _COSINES @ pixels.astype(np.float64) @ _COSINES.T
    turned = np.stack([low, low * _ODD_SIGN, low * _ODD_SIGN[:, None], low * _ODD_SIGN * _ODD_SIGN[:, None]])
    median = np.sort(turned.reshape(-1, 64), axis=1)[:, 31:33].mean(axis=1)  # ten times faster than np.median
    return _packed(turned > median[:, None, None])


def _dhashes(pixels: np.ndarray) -> np.ndarray:
    """Return imagehash.dhash in every orientation."""
    turned = np.stack([pixels[turn] for turn in ORIENTATIONS.values()])
    return _packed(turned[:, :, 1:] > turned[:, :, :-1])


def _packed(bits: np.ndarray) -> np.ndarray:
    return np.packbits(bits.reshape(len(bits), 64), axis=1).view(">u8").ravel().astype(np.uint64)
