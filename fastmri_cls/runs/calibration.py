"""calibration.json of a RUN: what was fitted on its validation split, used again on every other dataset."""

from pathlib import Path

import msgspec

from fastmri_cls.foundation import json_files


class Calibration(msgspec.Struct, frozen=True, rename={"num_images": "images"}):
    """Post-hoc calibration fitted on the validation split.

    Attributes:
        temperature: divides the logits.
        thresholds: {class: smallest probability that calls it, None where validation offered none}.
        num_images: validation images it was fitted on.
    """

    temperature: float
    thresholds: dict[str, float | None]
    num_images: int


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write calibration.json."""
    json_files.write(path, calibration)


def read_calibration(path: Path) -> Calibration | None:
    """Read calibration.json; None where the RUN has none.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return json_files.read(path, Calibration, "run evaluate on the dataset of that RUN again")
    except FileNotFoundError:
        return None
