"""Whether an exported model says what the RUN's model says: both on the same images of the dataset."""

from pathlib import Path

import numpy as np

from fastmri_cls.export.formats import FORMATS
from fastmri_cls.export.saved_model import open_saved_model_files
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.agreement import TIE, Agreement, compare
from fastmri_cls.inference.runtimes import Outputs
from fastmri_cls.records.ingest import encode_image


def check_export(format_: str, folder: Path, images: np.ndarray, expected: Outputs) -> Agreement:
    """Run what was written to `folder` in its own runtime; `images` uint8 [n, size, size, channels].

    Raises:
        UserError: it does not agree with `expected`, or its runtime is not installed.
    """
    tolerance = FORMATS[format_].tolerance
    agreement = compare(expected, FORMATS[format_].open(folder)(images), tolerance)
    if agreement.holds and format_ == "saved_model":
        files = [encode_image(image.squeeze(), "png") for image in images]
        agreement = compare(expected, Outputs(open_saved_model_files(folder)(files)), tolerance)
    if not agreement.holds:
        other = "litert-dynamic, as small and much closer" if format_ == "litert-int8" else "another --format"
        raise UserError(
            f"--format {format_}: {agreement.sentence}; allowed are {TIE:g} and {tolerance:g}; nothing was written; "
            f"choose {other}"
        )
    return agreement
