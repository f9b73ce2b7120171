"""DICOM files -> uint8 pixels (extra `dicom`). No patient tag leaves this module.

Rescale slope and intercept, then the file's own window (PS3.3 C.11.2), else smallest to largest; MONOCHROME1 is
inverted; of several frames the middle one is taken, and it alone is decoded.
"""

import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from fastmri_cls.foundation.extras import missing_extra
from fastmri_cls.sources.pixels import RejectedImage, stretch_to_8_bits

_BLOCK = 1 << 16
_BYTES_A_PIXEL = 4  # more than RGB or 16-bit grey take: an image of Pillow's largest size fits


def is_dicom(path: Path, file: BinaryIO) -> bool:
    """Return whether `file` has DICOM's mark after its preamble, or `path` at least its suffix."""
    file.seek(128)
    mark = file.read(4)
    file.seek(0)
    return mark == b"DICM" or path.suffix.lower() in (".dcm", ".dicom")


def read_dicom(file: BinaryIO) -> tuple[np.ndarray, str]:
    """Return uint8 [height, width] or [height, width, 3], and the photometric interpretation.

    Raises:
        RejectedImage: pydicom is not installed, the file has no image, or no decoder for its compression is there.
    """
    try:
        import pydicom
        from pydicom.errors import BytesLengthException, InvalidDicomError
    except ImportError:
        raise RejectedImage(f"DICOM {missing_extra('dicom')}") from None
    try:
        _refuse_bomb(file)
        dataset = pydicom.dcmread(file)
        photometric = str(dataset.PhotometricInterpretation)
        if int(dataset.Rows) * int(dataset.Columns) > (Image.MAX_IMAGE_PIXELS or 0):
            raise RejectedImage(f"too large ({dataset.Columns} x {dataset.Rows} pixels)")
        return _to_8_bits(dataset, photometric), photometric
    except InvalidDicomError:
        raise RejectedImage("no DICOM file in spite of its name") from None
    except BytesLengthException as error:
        raise RejectedImage(f"broken DICOM ({' '.join(str(error).split('.')[0].split())})") from None
    except (AttributeError, KeyError) as error:
        raise RejectedImage(f"DICOM without an image ({error})") from None
    except (RuntimeError, NotImplementedError) as error:
        # pydicom names the compression and the packages that would decode it, over several lines.
        raise RejectedImage(f"DICOM that cannot be decoded ({' '.join(str(error).split())})") from None


def _refuse_bomb(file: BinaryIO) -> None:
    """Refuse a deflated file that grows beyond any image: pydicom inflates all of it before it looks at the size."""
    from pydicom.filereader import _read_file_meta_info, read_preamble
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    read_preamble(file, force=False)
    if _read_file_meta_info(file).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        left = _BYTES_A_PIXEL * (Image.MAX_IMAGE_PIXELS or 0)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        while block := file.read(_BLOCK):
            left -= len(inflater.decompress(block, left))
            if left <= 0:
                raise RejectedImage("too large (when inflated)")
    file.seek(0)


def _to_8_bits(dataset: Any, photometric: str) -> np.ndarray:
    from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

    frames = int(dataset.get("NumberOfFrames") or 1)
    pixels = pixel_array(dataset, index=frames // 2)  # its YBR is converted to RGB
    if photometric == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    if pixels.ndim == 3:
        return pixels if pixels.dtype == np.uint8 else stretch_to_8_bits(pixels)
    grey = _windowed(apply_modality_lut(pixels, dataset), dataset)
    return 255 - grey if photometric == "MONOCHROME1" else grey


def _windowed(values: np.ndarray, dataset: Any) -> np.ndarray:
    """Map the file's lookup table or first window to 0..255; without one, the smallest to the largest value."""
    from pydicom.pixels import apply_voi, apply_windowing

    if dataset.get("VOILUTSequence"):
        return stretch_to_8_bits(apply_voi(values, dataset))
    if dataset.get("WindowCenter") is None or dataset.get("WindowWidth") is None:
        return stretch_to_8_bits(values)
    # The window's own ends, which this image need not reach, are black and white.
    black, white = apply_windowing(np.array([-1e9, 1e9]), dataset)
    shown = (apply_windowing(values, dataset) - black) / (white - black)
    return np.rint(np.clip(shown, 0.0, 1.0) * 255).astype(np.uint8)
