"""Whether another engine says of the same images what the RUN's model says, within a tolerance."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fastmri_cls.inference.ood import unit
from fastmri_cls.inference.runtimes import Outputs

# Two classes whose probabilities the model itself puts so close are a tie: int8 may break it the other way.
TIE = 0.05


@dataclass(frozen=True)
class Agreement:
    """How far an engine, or an exported model, agrees with the RUN's own on `images` images.

    Fields:
        largest_difference: of a probability; `tolerance` is allowed.
        changed: images whose class is another.
        widest_change: how far apart the RUN's model puts the two classes, at most over those images; 0 without any.
        feature_difference: the largest one of a component of the pooled features, scaled to length 1 as out-of-
            distribution scores take them; `tolerance` is allowed. None for a format without features.
    """

    images: int
    largest_difference: float
    tolerance: float
    changed: int
    widest_change: float
    feature_difference: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the class is the same on all images but ties, and all numbers are within the tolerance."""
        largest = max(self.largest_difference, self.feature_difference or 0)
        return self.widest_change <= TIE and largest <= self.tolerance

    @property
    def sentence(self) -> str:
        """What is said of it to people."""
        classes = "the class is the same on all"
        if self.changed:
            apart = (
                f"{self.widest_change:.2f} apart" if self.changed == 1 else f"at most {self.widest_change:.2f} apart"
            )
            classes = f"the class changes on {self.changed}, between classes {apart}"
        features = "" if self.feature_difference is None else f", no feature by more than {self.feature_difference:.1e}"
        probabilities = f"no probability differs by more than {self.largest_difference:.1e}"
        return f"on {self.images} images {classes}; {probabilities}{features}"

    def as_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def compare(expected: Outputs, found: Outputs, tolerance: float) -> Agreement:
    """Compare outputs for the same images; what is not a number differs by everything."""
    before, after = expected.probabilities.argmax(axis=1), found.probabilities.argmax(axis=1)
    rows = np.arange(len(before))
    apart = expected.probabilities[rows, before] - expected.probabilities[rows, after]
    features = None
    if found.features is not None and expected.features is not None:
        features = _largest_difference(unit(expected.features), unit(found.features))
    return Agreement(
        images=len(rows),
        largest_difference=_largest_difference(expected.probabilities, found.probabilities),
        tolerance=tolerance,
        changed=int((before != after).sum()),
        widest_change=float(apart.max()),
        feature_difference=features,
    )


def _largest_difference(expected: np.ndarray, found: np.ndarray) -> float:
    difference = np.abs(expected - found)
    return float(np.where(np.isfinite(difference), difference, 1).max())
