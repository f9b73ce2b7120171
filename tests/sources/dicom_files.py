"""DICOM files for the tests: `write` makes one, with any tag changed or taken away."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, MRImageStorage, RLELossless, generate_uid

VALUES = np.add.outer(np.arange(24) * 100, np.arange(32) * 10).astype(np.uint16)  # 0..2610


def dataset_of(pixels: np.ndarray, syntax: UID = ExplicitVRLittleEndian, **tags: Any) -> FileDataset:
    """Return a data set of pixels [rows, columns(, 3)] or [frames, rows, columns]; a tag of None is deleted."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.PatientName = "Must^Not^Leak"
    samples = 3 if pixels.shape[-1] == 3 else 1
    frames = pixels.ndim == 3 and samples == 1
    dataset.Rows, dataset.Columns = pixels.shape[1:3] if frames else pixels.shape[:2]
    if frames:
        dataset.NumberOfFrames = len(pixels)
    if samples == 3:
        dataset.PlanarConfiguration = 0
    dataset.SamplesPerPixel = samples
    dataset.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated = bits
    if pixels.dtype.kind == "f":
        setattr(dataset, "FloatPixelData" if bits == 32 else "DoubleFloatPixelData", pixels.tobytes())
    else:
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def write(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    """Write `dataset_of` the same arguments as a DICOM file."""
    syntax = tags.pop("syntax", ExplicitVRLittleEndian)
    dataset = dataset_of(pixels, ExplicitVRLittleEndian if syntax == RLELossless else syntax, **tags)
    if syntax == JPEGLSLossless:
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xf7 made up"])
        dataset["PixelData"].VR = "OB"
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    dataset.save_as(path, enforce_file_format=True)
    return path


def item(**tags: Any) -> Dataset:
    """Return an item of a sequence."""
    dataset = Dataset()
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def lookup_table(entries: np.ndarray, first: int, bits: int, kind: str = "US") -> Dataset:
    """Return an item of a LUT sequence, its data in VR US or OW."""
    table = item(LUTDescriptor=[len(entries) % 65536, first, bits])
    table.LUTData = entries.astype("<u2").tobytes() if kind == "OW" else entries.astype(int).tolist()
    table["LUTData"].VR, table["LUTDescriptor"].VR = kind, "SS" if first < 0 else "US"
    return table


def to_255(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return what a linear ramp from `low` to `high` shows."""
    return np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255)
