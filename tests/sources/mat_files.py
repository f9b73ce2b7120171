"""Writes slices as figshare's brain tumour set has them: MATLAB 7.3, that is HDF5 behind a block of 512 bytes."""

import io
from typing import Any

import h5py
import numpy as np

LABELS = {"meningioma": 1, "glioma": 2, "pituitary": 3}
_BLOCK = 512


def mat(image: np.ndarray, label: float = 2, patient: str | None = "100360", **storage: Any) -> bytes:
    """Return a file with cjdata of an image [rows, columns]; `storage` says how the image is stored."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=_BLOCK) as file:
        data = file.create_group("cjdata")
        data.create_dataset("image", data=image.T, **({"compression": "gzip", "chunks": True} | storage))
        data["label"] = np.array([[label]], np.float64)
        if patient is not None:
            data["PID"] = np.array([[ord(character)] for character in patient], np.uint16)
        data["tumorMask"] = (image.mean() < image.T).astype(np.uint8)
        data["tumorBorder"] = np.zeros((1, 20))
    return with_block(buffer.getvalue())


def folds_file(folds: list[int]) -> bytes:
    """Return cvind.mat: the fold 1, 2, ... of slice N.mat in place N."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=_BLOCK) as file:
        file["cvind"] = np.array([folds], np.float64)
    return with_block(buffer.getvalue())


def with_block(content: bytes) -> bytes:
    """Return an HDF5 file with what MATLAB writes before it."""
    return b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(_BLOCK, b" ") + content[_BLOCK:]
