"""Readers of images as targets: DICOM, the formats of Pillow and tifffile, NIfTI, figshare's .mat. See targets.py."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from fastmri_cls.sources.decode import Decoded, decode_file
from fastmri_cls.sources.figshare import read_folds, read_label, read_patient
from fastmri_cls.sources.nifti import read_slices
from fastmri_cls.sources.pixels import RejectedImage
from tests.fuzz.checking import Target, fuzz_folder, one_line, within_memory
from tests.sources.mat_files import folds_file, mat

# --- dicom: a file to pixels ------------------------------------------------------------------------------------------


def dicom_seeds() -> list[bytes]:
    """Return files of each kind that the decoder tells apart: depth, photometric, frames, window, compression."""
    grey = np.add.outer(np.arange(8) * 100, np.arange(8) * 10).astype(np.uint16)
    small = grey.astype(np.uint8)
    colour = np.stack([small, small.T, small], axis=-1)
    return [
        dicom(grey), dicom(small), dicom(colour), dicom(grey, PhotometricInterpretation="MONOCHROME1"),
        dicom(grey, WindowCenter=300, WindowWidth=200), dicom(np.stack([grey, grey, grey])),
        dicom(grey, RescaleSlope=2, RescaleIntercept=-100), dicom(small, compress="1.2.840.10008.1.2.5"),
        dicom(grey, compress="1.2.840.10008.1.2.5"), dicom(small, deflated=True), dicom(small, palette=True),
        dicom(grey, lut=True),
    ]  # fmt: skip


def dicom(
    pixels: np.ndarray, *, compress: str = "", deflated: bool = False, palette: bool = False, lut: bool = False,
    **tags: Any,
) -> bytes:  # fmt: skip
    """Return a DICOM file of uint8 or uint16 pixels [rows, columns(, 3)] or [frames, rows, columns]."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, MRImageStorage

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, "1.2.3"
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian if deflated else ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, "1.2.3"
    colour = pixels.shape[-1] == 3
    frames = pixels.ndim == 3 and not colour
    dataset.Rows, dataset.Columns = pixels.shape[1:3] if frames else pixels.shape[:2]
    if frames:
        dataset.NumberOfFrames = len(pixels)
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "PALETTE COLOR" if palette else "MONOCHROME2"
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits, bits - 1, 0
    for name, value in tags.items():
        setattr(dataset, name, value)
    if palette:
        for name in ("Red", "Green", "Blue"):
            setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
            setattr(dataset, f"{name}PaletteColorLookupTableData", bytes(range(256)))
    if lut:
        item = Dataset()
        item.LUTDescriptor, item.LUTData = [16, 0, 16], list(range(16))
        item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
        dataset.VOILUTSequence = [item]
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    if compress:
        dataset.compress(compress)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def check_dicom(data: bytes) -> None:
    """The file is refused as no image, or gives uint8 pixels, grey or of three channels."""
    _check_file(data, "file.dcm")


# --- image: what Pillow and tifffile read -----------------------------------------------------------------------------


def image_seeds() -> list[bytes]:
    """Return files of each format and depth that raster.py tells apart, and some that repair.py mends."""
    grey = np.add.outer(np.arange(16) * 9, np.arange(16) * 7).astype(np.uint8)
    colour = np.stack([grey, grey.T, grey[::-1]], axis=-1)
    png, jpeg = _saved(grey, "PNG"), _saved(colour, "JPEG")
    deep = [grey.astype(kind) for kind in ("u2", "f2", "f4", "f8", "i4", "u4")]
    return [
        png, jpeg, jpeg[:-2], _saved(colour, "JPEG", progressive=True)[:-2], _saved(colour, "GIF"),
        _saved(colour, "BMP"),
        _saved(colour, "WEBP"), _saved(grey, "TIFF", compression="tiff_lzw"), _saved(colour, "PPM"),
        _saved(colour, "TIFF", save_all=True, append_images=[Image.fromarray(colour)] * 2),
        png[:33] + _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000))) + png[33:],
        _deep_png(colour.astype(np.uint16) * 9), *(_tiff(values) for values in deep),
        _tiff(deep[0], photometric="miniswhite", byteorder=">"), _tiff(deep[3], compression="zlib", tile=(16, 16)),
        _tiff(np.moveaxis(colour, -1, 0).astype(np.uint16), photometric="rgb", planarconfig="separate"),
    ]  # fmt: skip


def _saved(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _tiff(values: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, metadata=None, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _deep_png(colour: np.ndarray) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colour)
    header = struct.pack(">IIBBBBB", colour.shape[1], colour.shape[0], 16, 2, 0, 0, 0)
    parts = _chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def check_image(data: bytes) -> None:
    """The file is refused, or gives pixels; its checksums are as wrong as the mutation made them."""
    _check_file(data, "file.png")


# --- nifti: a volume to slices ----------------------------------------------------------------------------------------


def nifti_seeds() -> list[bytes]:
    """Return volumes of several types, of three and four dimensions, of both versions, turned and without a turn."""
    import nibabel

    volume = np.add.outer(np.add.outer(np.arange(6) * 9, np.arange(5) * 7), np.arange(4) * 5)
    turned = np.array([[0, -1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    images = [nibabel.Nifti1Image(volume.astype(kind), np.eye(4)) for kind in ("u1", "i2", "f4", "f8")]
    images += [nibabel.Nifti1Image(np.stack([volume] * 3, axis=-1).astype("i2"), turned)]
    images += [nibabel.Nifti2Image(volume.astype("i2"), turned)]
    rgb = np.zeros(volume.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["R"] = volume
    return [image.to_bytes() for image in (*images, nibabel.Nifti1Image(rgb, turned))]


def check_nifti(data: bytes) -> None:
    """The volume is refused, or every slice is an image."""
    path = fuzz_folder() / "file.nii"
    path.write_bytes(data)
    with within_memory():
        try:
            for _, image in read_slices(path, "all"):
                _check_pixels(image)
        except RejectedImage as error:
            one_line(error)


# --- mat: a slice of figshare's set -----------------------------------------------------------------------------------


def mat_seeds() -> list[bytes]:
    """Return slices stored whole, in chunks and compressed, without a patient, and of another class."""
    grey = np.add.outer(np.arange(16) * 90, np.arange(12) * 7).astype(np.int16)
    return [
        mat(grey), mat(grey, shuffle=True), mat(grey, compression=None, chunks=None), mat(grey, patient=None),
        mat(grey[:8].astype(np.float64), compression=None), mat(grey, label=7),
        folds_file([1, 2, 5, 1]),
    ]  # fmt: skip


def check_mat(data: bytes) -> None:
    """The file is refused, or is an image; its class and patient are read or refused as well."""
    _check_file(data, "file.mat")
    with within_memory():
        for read, kind in ((read_label, str), (read_patient, str), (read_folds, dict)):
            try:
                assert isinstance(read(io.BytesIO(data)), kind)
            except RejectedImage as error:
                one_line(error)


def _check_file(data: bytes, name: str) -> None:
    path: Path = fuzz_folder() / name
    path.write_bytes(data)
    with within_memory():
        try:
            image = decode_file(path)
        except RejectedImage as error:
            one_line(error)
            return
    _check_pixels(image)


def _check_pixels(image: Decoded) -> None:
    pixels = image.pixels
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3), pixels.shape
    assert min(pixels.shape) > 0
    assert {image.facts.width, image.facts.height} == set(pixels.shape[:2])


IMAGE_TARGETS = {
    "dicom": Target(dicom_seeds, check_dicom),
    "image": Target(image_seeds, check_image),
    "nifti": Target(nifti_seeds, check_nifti),
    "mat": Target(mat_seeds, check_mat),
}
