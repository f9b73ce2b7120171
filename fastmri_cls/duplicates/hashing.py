"""What identifies an image: the sha256 of its pixels, perceptual hashes in four orientations, a thumbnail.

All but the sha256 comes from one reduction of the image, since this runs once for every file of a build.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

THUMBNAIL = 64  # pixels, square
_PHASH_INPUT = (32, 32)  # what imagehash.phash resizes to first (8 * highfreq_factor): given that, it does not again
_DHASH_INPUT = (9, 8)  # the same of imagehash.dhash

# Whole blocks are averaged down to at least this many pixels before the filters run: of 512 px images 0.5 ms, not 2.2,
# and 99.8 % of the pairs that hashes of the full images give are still found (benchmarks/audit.py).
_REDUCED = 128

# The orientations in which copies turn up; each undoes itself. Slices over (rows, columns).
ORIENTATIONS = {
    "id": (slice(None), slice(None)),
    "hflip": (slice(None), slice(None, None, -1)),
    "vflip": (slice(None, None, -1), slice(None)),
    "rot180": (slice(None, None, -1), slice(None, None, -1)),
}

# The first eight rows of the DCT-II of 32 values; scipy's takes a tenth of a second to import in every worker.
_COSINES = np.cos(np.pi / 32 * np.outer(np.arange(8), np.arange(32) + 0.5))
_ODD_SIGN = np.where(np.arange(8) % 2, -1.0, 1.0)  # what a flip does to the DCT's first coefficients


@dataclass(frozen=True)
class Fingerprint:
    """Identity of an image.

    Fields:
        sha256: hex, over the shape and bytes of the decoded pixels.
        phash, dhash: uint64 [4], imagehash's 64-bit pHash and dHash of the image in each of `ORIENTATIONS`.
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
    # The filters are symmetric: turning the few pixels a hash is made of is turning the image.
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

    One transform in place of four calls of imagehash, since this is a fifth of a build's time; the tests compare.
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
