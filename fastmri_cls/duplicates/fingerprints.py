"""Fingerprints of many images in columns: 97 bytes an image in memory, the thumbnails (4 kB each) in a temporary file.

The file has no name, so the disk space is free again when the process ends, however it ends.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fastmri_cls.duplicates.hashing import ORIENTATIONS, THUMBNAIL, Fingerprint

_DIGEST = 32  # bytes of a sha256
_HASHES = (len(ORIENTATIONS), 2)  # pHash and dHash in every orientation


class Fingerprints:
    """Columns of fingerprints, row i for image i.

    Args:
        fingerprints: the first rows.
        directory: where the thumbnails' file goes; by default where the system keeps temporary files.
    """

    def __init__(self, fingerprints: Iterable[Fingerprint] = (), directory: Path | None = None) -> None:
        self._digests = bytearray()
        self._hashes = bytearray()
        self._constant = bytearray()
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - lives as long as this object
        for fingerprint in fingerprints:
            self.append(fingerprint)

    def append(self, fingerprint: Fingerprint) -> None:
        """Add the next image."""
        self._write(len(self), fingerprint)

    def __setitem__(self, index: int, fingerprint: Fingerprint) -> None:
        """Replace the fingerprint of an image."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        self._write(index, fingerprint)

    def _write(self, index: int, fingerprint: Fingerprint) -> None:
        hashes = np.stack([fingerprint.phash, fingerprint.dhash], axis=1).astype(np.uint64).tobytes()
        self._digests[index * _DIGEST : (index + 1) * _DIGEST] = bytes.fromhex(fingerprint.sha256)
        self._hashes[index * len(hashes) : (index + 1) * len(hashes)] = hashes
        self._constant[index : index + 1] = bytes([int(np.ptp(fingerprint.thumbnail) == 0)])
        self._file.seek(index * fingerprint.thumbnail.size)
        self._file.write(fingerprint.thumbnail.tobytes())

    def __len__(self) -> int:
        return len(self._constant)

    def sha256(self, index: int) -> str:
        """Return the sha256 of one image's pixels, in hexadecimal."""
        return self._digests[index * _DIGEST : (index + 1) * _DIGEST].hex()

    @property
    def digests(self) -> np.ndarray:
        """The sha256 of each image's pixels, void32 [n]."""
        return np.frombuffer(bytes(self._digests), dtype=f"V{_DIGEST}")

    @property
    def hashes(self) -> np.ndarray:
        """Perceptual hashes, uint64 [n, 4, 2]: for each orientation the pHash and the dHash."""
        return np.frombuffer(bytes(self._hashes), dtype=np.uint64).reshape(-1, *_HASHES)

    @property
    def constant(self) -> np.ndarray:
        """Whether all pixels of the thumbnail are equal, bool [n]: nothing correlates with such an image."""
        return np.frombuffer(bytes(self._constant), dtype=np.bool_)

    def thumbnails(self, indices: np.ndarray | None = None) -> np.ndarray:
        """Return the thumbnails of the images `indices`, by default of all: uint8 [k, 64, 64]."""
        if not len(self):
            return np.empty((0, THUMBNAIL, THUMBNAIL), np.uint8)
        self._file.flush()
        stored = np.asarray(np.memmap(self._file, np.uint8, "r", shape=(len(self), THUMBNAIL, THUMBNAIL)))
        return stored.copy() if indices is None else stored[indices]
