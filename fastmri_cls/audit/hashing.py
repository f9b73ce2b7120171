"""What identifies an image: the sha256 of its pixels, perceptual hashes in four orientations, a thumbnail.

All but the sha256 comes from one reduction of the image, since this runs once for every file of a build.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import imagehash
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
    grey = Image.fromarray(pixels).convert("L")
    reduced = grey.reduce(max(1, min(grey.size) // _REDUCED))
    # The filters are symmetric: turning the few pixels a hash is made of is turning the image.
    for_phash = np.asarray(reduced.resize(_PHASH_INPUT, Image.Resampling.LANCZOS))
    for_dhash = np.asarray(reduced.resize(_DHASH_INPUT, Image.Resampling.LANCZOS))
    return Fingerprint(
        sha256=digest.hexdigest(),
        phash=_in_orientations(imagehash.phash, for_phash),
        dhash=_in_orientations(imagehash.dhash, for_dhash),
        thumbnail=np.asarray(reduced.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)),
    )


def _in_orientations(hash_function: Callable[[Image.Image], imagehash.ImageHash], pixels: np.ndarray) -> np.ndarray:
    hashes = [hash_function(Image.fromarray(pixels[turn])) for turn in ORIENTATIONS.values()]
    return np.packbits([bits.hash.ravel() for bits in hashes], axis=1).view(">u8").ravel().astype(np.uint64)
