"""What identifies an image: the sha256 of its pixels, perceptual hashes in four orientations, a thumbnail.

All but the sha256 comes from one antialiased reduction of the image, since this runs once for every file of a build.
"""

import hashlib
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image

THUMBNAIL = 64  # pixels, square
_PHASH_INPUT = 32  # imagehash.phash resizes to 8 * highfreq_factor (4) pixels first: give it that, once

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
        phash: uint64 [4], pHash (imagehash, 64 bits) of the image in each of `ORIENTATIONS`.
        thumbnail: uint8 [64, 64], grey.
    """

    sha256: str
    phash: np.ndarray
    thumbnail: np.ndarray


def fingerprint(pixels: np.ndarray) -> Fingerprint:
    """Return the fingerprint of decoded pixels, uint8 [height, width] or [height, width, 3]."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels))
    grey = Image.fromarray(pixels).convert("L")
    # reducing_gap averages whole blocks first: four times faster than the filter alone, and as good for this.
    thumbnail = grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=2.0)
    small = np.asarray(thumbnail.resize((_PHASH_INPUT, _PHASH_INPUT), Image.Resampling.LANCZOS))
    hashes = [as_integer(imagehash.phash(Image.fromarray(small[o]))) for o in ORIENTATIONS.values()]
    return Fingerprint(digest.hexdigest(), np.array(hashes, np.uint64), np.asarray(thumbnail))


def as_integer(bits: imagehash.ImageHash) -> int:
    """Return the 64 bits of a hash as one integer."""
    return int.from_bytes(np.packbits(bits.hash).tobytes(), "big")
