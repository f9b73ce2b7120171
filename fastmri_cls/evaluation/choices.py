"""What is chosen on validation and then fixed: the temperature, and an operating point for each class.

They stand in calibration.json of a RUN, so that an evaluation on any other dataset uses the same ones.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from sklearn import metrics

from fastmri_cls.evaluation.calibration import fit_temperature
from fastmri_cls.foundation.atomic import write_text
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.predictions import Predictions

FILE_NAME = "calibration.json"


@dataclass(frozen=True)
class Choices:
    """`temperature`, `thresholds` {class: probability, None where validation offered none}, `images` they rest on."""

    temperature: float
    thresholds: dict[str, float | None]
    images: int


def choose(validation: Predictions) -> Choices:
    """Return the temperature of least log loss, and for each class the threshold of the largest Youden index."""
    thresholds = {
        name: youden_threshold(validation.labels == label, validation.probabilities[:, label])
        for label, name in enumerate(validation.classes)
    }
    return Choices(fit_temperature(validation.labels, validation.probabilities), thresholds, len(validation))


def youden_threshold(truth: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the highest threshold t that maximises sensitivity + specificity - 1 of `scores` >= t; Youden 1950.

    None where `truth` bool [n] has one side only, or no threshold is better than chance.
    """
    if truth.all() or not truth.any():
        return None
    false, true, thresholds = metrics.roc_curve(truth, scores, drop_intermediate=False)
    best = int(np.argmax(true - false))
    return float(thresholds[best]) if true[best] > false[best] else None


def write_choices(run: Path, choices: Choices) -> None:
    """Write calibration.json into a RUN."""
    write_text(run / FILE_NAME, json.dumps(asdict(choices), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_choices(run: Path) -> Choices | None:
    """Return what `write_choices` wrote, None where the RUN has no calibration.json.

    Raises:
        UserError: the file is not what was written.
    """
    path = run / FILE_NAME
    if not path.exists():
        return None
    try:
        return Choices(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: not valid ({error}); run evaluate on the dataset of that RUN again") from None
