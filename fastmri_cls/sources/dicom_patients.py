"""The tags of a DICOM file that tell its patient. They are compared in memory and never printed or written."""

import io
import warnings
from typing import BinaryIO, NamedTuple


class PatientTags(NamedTuple):
    """PatientID and StudyInstanceUID, empty where the file has none."""

    patient: str
    study: str

    def __repr__(self) -> str:
        return "PatientTags(…)"


def read_patient_tags(file: BinaryIO) -> PatientTags:
    """Return the tags of a file that `read_dicom` has accepted; a value that makes no sense counts as missing."""
    import pydicom

    if file.read(4) == b"DICM":  # the mark without the preamble before it
        file = io.BytesIO(bytes(128) + b"DICM" + file.read())
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote the values
        try:
            dataset = pydicom.dcmread(
                file, stop_before_pixels=True, force=True, specific_tags=["PatientID", "StudyInstanceUID"]
            )
            return PatientTags(*(str(dataset.get(name) or "").strip() for name in ("PatientID", "StudyInstanceUID")))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, RuntimeError):
            return PatientTags("", "")
