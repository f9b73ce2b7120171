"""What a file itself tells of its patient. It is compared in memory and never printed or written."""

import io
import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fastmri_cls.sources import figshare
from fastmri_cls.sources.pixels import RejectedImage
from fastmri_cls.sources.storage import open_file


class PatientTags(NamedTuple):
    """The id of the patient and of the study, empty where the file has none; `origin` is what it calls the first."""

    patient: str
    study: str = ""
    origin: str = "PatientID"

    def __repr__(self) -> str:
        return "PatientTags(…)"


def read_patient_tags(path: Path, file_format: str) -> PatientTags | None:
    """Return the tags of a file that was decoded as `file_format`; None for formats that tell no patient.

    A value that makes no sense counts as missing.
    """
    if file_format == "DICOM":
        with open_file(path) as file:
            return _dicom_tags(file)
    if file_format == "MATLAB":
        with open_file(path) as file:
            try:
                return PatientTags(figshare.read_patient(file), origin="PID")
            except RejectedImage:
                return PatientTags("", origin="PID")
    return None


def _dicom_tags(file: BinaryIO) -> PatientTags:
    """Return PatientID and StudyInstanceUID."""
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
