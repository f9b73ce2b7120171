"""Whether an exported model says what the RUN's model says: both on the same images of the dataset."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastmri_cls.export.formats import FORMATS
from fastmri_cls.export.saved_model import open_saved_model_files
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.ingest import encode_image

# Two classes whose probabilities the model itself puts so close are a tie: int8 may break it the other way.
_TIE = 0.05


@dataclass(frozen=True)
class Agreement:
    """How far an exported model agrees with the RUN's on `images` images.

    Fields:
        largest_difference: of a probability; `tolerance` is allowed.
        changed: images whose class is another.
        widest_change: how far apart the RUN's model puts the two classes, at most over those images; 0 without any.
    """

    images: int
    largest_difference: float
    tolerance: float
    changed: int
    widest_change: float

    @property
    def holds(self) -> bool:
        """Whether the class is the same on all images but ties, and every probability within the tolerance."""
        return self.widest_change <= _TIE and self.largest_difference <= self.tolerance

    @property
    def sentence(self) -> str:
        """What is said of it to people."""
        classes = "the class is the same on all"
        if self.changed:
            apart = (
                f"{self.widest_change:.2f} apart" if self.changed == 1 else f"at most {self.widest_change:.2f} apart"
            )
            classes = f"the class changes on {self.changed}, between classes {apart}"
        return f"on {self.images} images {classes}; no probability differs by more than {self.largest_difference:.1e}"

    def as_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def compare(expected: np.ndarray, found: np.ndarray, tolerance: float) -> Agreement:
    """Compare probabilities [n, classes]; what is not a number differs by everything."""
    difference = np.abs(expected - found)
    rows, before, after = np.arange(len(expected)), expected.argmax(axis=1), found.argmax(axis=1)
    apart = expected[rows, before] - expected[rows, after]
    return Agreement(
        images=len(expected),
        largest_difference=float(np.where(np.isfinite(difference), difference, 1).max()),
        tolerance=tolerance,
        changed=int((before != after).sum()),
        widest_change=float(apart.max()),
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
            f"--format {format_}: {agreement.sentence}; allowed are {_TIE:g} and {tolerance:g}; nothing was written; "
            f"choose {other}"
        )
    return agreement
