"""DICOM files -> uint8 pixels (extra `dicom`). No patient tag leaves this module.

Of several frames the middle one is taken, and it alone is decoded. What cannot be used is refused here, each with its
own sentence; how stored values become grey levels stands in dicom_display.py.
"""

import io
import re
import zlib
from math import ceil
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.sources.dicom_display import numbers, padding_mask, to_grey
from fastmri_cls.sources.notes import Note, NoteKind
from fastmri_cls.sources.pixels import RejectedImage, stretch_to_8_bits

SUFFIXES = (".dcm", ".dicom", ".ima")

_BLOCK = 1 << 16
_BYTES_A_PIXEL = 4  # more than RGB or 16-bit grey take: an image of Pillow's largest size fits
_DIRECTORY = "1.2.840.10008.1.3.10"
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# Kinds of files (SOP classes) that lie in the folders of a series and have pixels, but no picture of the patient.
_NO_PICTURES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation, a mask",
    "1.2.840.10008.5.1.4.1.1.66.7": "label map, a mask",
    "1.2.840.10008.5.1.4.1.1.481.2": "radiotherapy dose, numbers",
}
_GREY = ("MONOCHROME1", "MONOCHROME2")
# What pixel_array returns as RGB; YBR_ICT and YBR_RCT are undone by the JPEG 2000 codec.
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# A file that begins with its first data element, group 0002 or 0008: explicit VR, or implicit with a short length.
_VR = rb"(?:AE|CS|DA|DT|IS|LO|OB|PN|SH|TM|UI|UL|US)"
_BARE = re.compile(rb"(?:[\x02\x08]\0..|\0\x08..)" + _VR + rb"|\x08\0.\0.[\0-\x0f]\0\0", re.DOTALL)


def is_dicom(file: BinaryIO) -> bool:
    """Return whether `file` has DICOM's mark after its preamble or at its start, or begins with a data element."""
    start = file.read(132)
    file.seek(0)
    return b"DICM" in (start[128:], start[:4]) or _BARE.match(start) is not None


def read_dicom(file: BinaryIO) -> tuple[np.ndarray, str, tuple[Note, ...]]:
    """Return uint8 [height, width] or [height, width, 3], the photometric interpretation, and notes.

    Raises:
        RejectedImage: pydicom is not installed, the file has no image, or its compression has no decoder.
    """
    try:
        import pydicom
        from pydicom.errors import BytesLengthException, InvalidDicomError
    except ImportError:
        raise RejectedImage(f"DICOM {missing_extra('dicom')}") from None
    notes: list[Note] = []
    try:
        if file.read(4) == b"DICM":  # the mark without the preamble before it
            file = io.BytesIO(bytes(128) + b"DICM" + file.read())
        file.seek(0)
        _refuse_bomb(file)
        dataset = pydicom.dcmread(file, force=True)
        _refuse_without_picture(dataset)
        photometric = _complete(dataset, notes)
        frame, frames = _read_frame(dataset, photometric)
        if frames > 1:
            notes.append(Note(NoteKind.PAGES_LEFT_OUT, frames - 1))
        return _to_8_bits(frame, dataset, frames // 2, photometric, notes), photometric, tuple(notes)
    except InvalidDicomError:
        raise RejectedImage("no DICOM file in spite of its name") from None
    except BytesLengthException as error:
        raise RejectedImage(f"broken DICOM ({' '.join(str(error).split('.')[0].split())})") from None
    except (RuntimeError, NotImplementedError):
        raise RejectedImage("DICOM whose compressed pixels cannot be decoded") from None
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError):
        raise RejectedImage("broken DICOM (its tags contradict each other or its pixels)") from None


def _refuse_bomb(file: BinaryIO) -> None:
    """Refuse a deflated file that grows beyond any image: pydicom inflates all of it before it looks at the size."""
    from pydicom.filereader import _read_file_meta_info, read_preamble
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    read_preamble(file, force=True)
    if _read_file_meta_info(file).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        left = _BYTES_A_PIXEL * (Image.MAX_IMAGE_PIXELS or 0)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        while block := file.read(_BLOCK):
            left -= len(inflater.decompress(block, left))
            if left <= 0:
                raise RejectedImage("too large (when inflated)")
    file.seek(0)


def _refuse_without_picture(dataset: Any) -> None:
    """Refuse a file that has no image, or whose pixels are none, and say which kind it is."""
    kind = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    if str(kind) in _NO_PICTURES:  # text, since a damaged tag may hold several
        raise RejectedImage(f"DICOM {_NO_PICTURES[str(kind)]} and not an image")
    if any(keyword in dataset for keyword in _PIXELS):
        return
    if kind == _DIRECTORY or "DirectoryRecordSequence" in dataset:
        raise RejectedImage("DICOMDIR, an index of files and not an image")
    name = getattr(kind, "name", "")  # an unknown UID's name is the UID
    if dataset.get("Modality") == "SR" or " SR " in name:
        raise RejectedImage("DICOM structured report, text without an image")
    if name and name != str(kind):
        raise RejectedImage(f"DICOM without an image ({name})")
    if not (dataset.file_meta or "Rows" in dataset or "Modality" in dataset or kind):
        raise RejectedImage("no DICOM file in spite of its name")
    raise RejectedImage("DICOM without an image (no Pixel Data)")


def _complete(dataset: Any, notes: list[Note]) -> str:
    """Fill in the tags that describe the pixels where they are missing or impossible; return the photometric one."""
    given = {name: numbers(dataset, name) or [-1.0] for name in _DESCRIPTION}
    tags = {name: int(values[0]) for name, values in given.items()}
    photometric = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    if tags["Rows"] < 1 or tags["Columns"] < 1:
        raise RejectedImage("DICOM without the size of its image (Rows, Columns)")
    if tags["Rows"] * tags["Columns"] > (Image.MAX_IMAGE_PIXELS or 0):
        raise RejectedImage(f"too large ({tags['Columns']} x {tags['Rows']} pixels)")
    if photometric.startswith(("YBR_PARTIAL", "HSV", "ARGB", "CMYK", "XYB")):
        raise RejectedImage(f"DICOM in the colour space {photometric}, which is not read")
    assumed = dict(tags)
    if tags["SamplesPerPixel"] not in (1, 3):
        assumed["SamplesPerPixel"] = 3 if photometric in _COLOUR else 1
    expected = _COLOUR if assumed["SamplesPerPixel"] == 3 else (*_GREY, "PALETTE COLOR")
    meant = photometric if photometric in expected else expected[0] if expected is _COLOUR else "MONOCHROME2"
    assumed["NumberOfFrames"] = max(tags["NumberOfFrames"], 1)
    if tags["BitsAllocated"] < 1:
        pixels = assumed["SamplesPerPixel"] * assumed["NumberOfFrames"] * tags["Rows"] * tags["Columns"]
        assumed["BitsAllocated"] = 16 if len(dataset.get("PixelData") or b"") >= 2 * pixels else 8
    if not 1 <= tags["BitsStored"] <= assumed["BitsAllocated"]:
        assumed["BitsStored"] = assumed["BitsAllocated"]
    for name in ("PixelRepresentation", "PlanarConfiguration"):
        assumed[name] = tags[name] if tags[name] in (0, 1) else 0
    ignored = {"NumberOfFrames", "PlanarConfiguration" if assumed["SamplesPerPixel"] == 1 else ""}
    if "PixelData" not in dataset:
        ignored |= {"BitsStored", "PixelRepresentation"}
    if meant != photometric or any(assumed[name] != tags[name] for name in set(tags) - ignored):
        notes.append(Note(NoteKind.DESCRIPTION_GUESSED))
    for name, value in assumed.items():
        setattr(dataset, name, value)
    dataset.PhotometricInterpretation = meant
    return meant


_DESCRIPTION = (
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "PlanarConfiguration",
)  # fmt: skip


def _read_frame(dataset: Any, photometric: str) -> tuple[np.ndarray, int]:
    """Return the middle frame as stored, uint or int [rows, columns(, 3)], YBR converted to RGB; and their number."""
    from pydicom.pixels import get_decoder, pixel_array
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in dataset.file_meta:
        if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
            raise RejectedImage("compressed DICOM that does not say how (no Transfer Syntax)")
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    syntax = dataset.file_meta.TransferSyntaxUID
    frames = int(dataset.NumberOfFrames)
    if not syntax.is_transfer_syntax:
        raise RejectedImage("DICOM in an unknown transfer syntax")
    if syntax.is_compressed and not syntax.is_deflated:
        try:
            available = get_decoder(syntax).is_available
        except NotImplementedError:
            raise RejectedImage(f"DICOM compressed by {syntax.name}, which is not read") from None
        if not available:
            raise RejectedImage(
                f"DICOM compressed by {syntax.name}, for which no decoder is installed; "
                "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
            )
    elif "PixelData" in dataset:
        bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
        bits = bits * 2 // 3 if photometric == "YBR_FULL_422" else bits
        if len(dataset.PixelData) < ceil(bits * frames / 8):
            raise RejectedImage("broken DICOM (fewer pixels than Rows, Columns and Number of Frames say)")
    # Unused bits are cleared later: the padding value may lie in them.
    return pixel_array(dataset, index=frames // 2, correct_unused_bits=False), frames


def _to_8_bits(frame: np.ndarray, dataset: Any, index: int, photometric: str, notes: list[Note]) -> np.ndarray:
    if photometric == "PALETTE COLOR":
        return _look_up_colours(frame, dataset)
    if frame.ndim == 3:
        if frame.dtype == np.uint8:
            return frame
        stretched, outliers = stretch_to_8_bits(frame)
        notes.extend(outliers)
        return stretched
    hidden = padding_mask(frame, dataset, notes)
    if frame.dtype.kind == "f":
        hidden = ~np.isfinite(frame) if hidden is None else hidden | ~np.isfinite(frame)
    unused = dataset.BitsAllocated - dataset.BitsStored if frame.dtype.kind in "iu" else 0
    stored = frame << unused >> unused if 0 < unused < 8 * frame.dtype.itemsize else frame  # extends the sign
    grey = to_grey(stored, dataset, index, hidden, notes)
    if photometric == "MONOCHROME1":
        grey = 255 - grey
    return grey if hidden is None else np.where(hidden, np.uint8(0), grey)


def _look_up_colours(frame: np.ndarray, dataset: Any) -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    entries, first, _ = dataset.RedPaletteColorLookupTableDescriptor
    within = np.clip(frame, first, first + (entries or 1 << 16) - 1)  # apply_color_lut wraps what lies beyond
    colours = apply_color_lut(within, dataset)[..., :3]
    if colours.dtype == np.uint8:
        return colours
    # Tables of 16 bits whose entries all lie below 256 were written in 8.
    return colours.astype(np.uint8) if colours.max() < 256 else np.rint(colours / 257).astype(np.uint8)
