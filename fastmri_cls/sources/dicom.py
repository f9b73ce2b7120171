"""DICOM files -> uint8 pixels (extra `dicom`). No patient tag leaves this module.

Rescale slope and intercept, then the file's own window, else smallest to largest; MONOCHROME1 is inverted; of several
frames the middle one is taken.
"""

from pathlib import Path
from typing import Any

import numpy as np

from fastmri_cls.sources.pixels import RejectedImage, stretch_to_8_bits

_MAX_PIXELS = 178_956_970  # Pillow's limit for an error, twice its MAX_IMAGE_PIXELS


def is_dicom(path: Path) -> bool:
    """Return whether the file has DICOM's mark after its preamble, or at least its suffix."""
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    with path.open("rb") as file:
        file.seek(128)
        return file.read(4) == b"DICM"


def read_dicom(path: Path) -> tuple[np.ndarray, str]:
    """Return uint8 [height, width] or [height, width, 3], and the photometric interpretation.

    Raises:
        RejectedImage: pydicom is not installed, the file has no image, or no decoder for its compression is there.
    """
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError:
        raise RejectedImage("DICOM needs pydicom: pip install 'fastmri-cls[dicom]'") from None
    try:
        dataset = pydicom.dcmread(path)
        photometric = str(dataset.PhotometricInterpretation)
        if int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("NumberOfFrames") or 1) > _MAX_PIXELS * 8:
            raise RejectedImage("too large")
        return _to_8_bits(dataset, photometric), photometric
    except InvalidDicomError:
        raise RejectedImage("no DICOM file in spite of its name") from None
    except (AttributeError, KeyError) as error:
        raise RejectedImage(f"DICOM without an image ({error})") from None
    except (RuntimeError, NotImplementedError) as error:
        raise RejectedImage(f"DICOM that cannot be decoded ({' '.join(str(error).split())})") from None


def _to_8_bits(dataset: Any, photometric: str) -> np.ndarray:
    from pydicom.pixels import apply_modality_lut, apply_voi_lut, convert_color_space

    pixels = dataset.pixel_array
    samples = int(dataset.get("SamplesPerPixel", 1))
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        pixels = pixels[len(pixels) // 2]
    if samples == 3:
        rgb = convert_color_space(pixels, photometric, "RGB") if photometric.startswith("YBR") else pixels
        return stretch_to_8_bits(rgb) if rgb.dtype != np.uint8 else rgb
    values = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset)
    grey = stretch_to_8_bits(np.asarray(values, dtype=np.float64))
    return 255 - grey if photometric == "MONOCHROME1" else grey
