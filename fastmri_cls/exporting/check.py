"""Whether an exported model says what the RUN's model says: both on the same images of the dataset."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmri_cls.exporting.formats import FORMATS
from fastmri_cls.exporting.saved_model import open_saved_model_files
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.ingest import encode_image


@dataclass(frozen=True)
class Agreement:
    """On `images` images: the largest difference of a probability, what is allowed, how many changed their class."""

    images: int
    largest_difference: float
    tolerance: float
    changed: int

    @property
    def holds(self) -> bool:
        """Whether the class is the same on all images and every probability within the tolerance."""
        return self.changed == 0 and self.largest_difference <= self.tolerance

    def as_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def compare(expected: np.ndarray, found: np.ndarray, tolerance: float) -> Agreement:
    """Compare probabilities [n, classes]; what is not a number differs by everything."""
    difference = np.abs(expected - found)
    return Agreement(
        images=len(expected),
        largest_difference=float(np.where(np.isfinite(difference), difference, 1).max()),
        tolerance=tolerance,
        changed=int((expected.argmax(axis=1) != found.argmax(axis=1)).sum()),
    )


def check_export(format_: str, folder: Path, images: np.ndarray, expected: np.ndarray) -> Agreement:
    """Run what was written to `folder` in its own runtime; `images` uint8 [n, size, size, channels].

    Raises:
        UserError: it does not agree with `expected` [n, classes], or its runtime is not installed.
    """
    tolerance = FORMATS[format_].tolerance
    agreement = compare(expected, FORMATS[format_].open(folder)(images), tolerance)
    if agreement.holds and format_ == "saved_model":
        files = [encode_image(image.squeeze(), "png") for image in images]
        agreement = compare(expected, open_saved_model_files(folder)(files), tolerance)
    if not agreement.holds:
        other = "litert-dynamic, as small and much closer" if format_ == "litert-int8" else "another --format"
        raise UserError(
            f"--format {format_}: {agreement.changed} of {agreement.images} images change their class and "
            f"probabilities differ by up to {agreement.largest_difference:.2g}, {tolerance:g} is allowed; "
            f"nothing was written; choose {other}"
        )
    return agreement
