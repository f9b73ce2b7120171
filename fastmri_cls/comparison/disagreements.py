"""Test images that some systems classify correctly and others wrongly, those with the largest difference first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastmri_cls.comparison.runs import System
from fastmri_cls.foundation.tables import Cell, Table
from fastmri_cls.runs.predictions import Predictions


@dataclass(frozen=True)
class Disagreement:
    """One test image, as classified by the first repeat of each system.

    Attributes:
        index: its row in the predictions.
        right: {system: whether it predicts the true class}.
        prediction: {system: predicted class}.
        confidence: {system: probability of the predicted class}.
    """

    index: int
    right: dict[str, bool]
    prediction: dict[str, str]
    confidence: dict[str, float]


def find_disagreements(systems: Sequence[System]) -> list[Disagreement]:
    """Return the images on which the first repeats of the systems disagree about the true class.

    They are sorted by the largest difference of two systems' probabilities of the true class, descending.
    """
    first = {system.name: system.runs[0].tests for system in systems}
    labels = systems[0].runs[0].tests.labels
    right = np.stack([p.predicted == labels for p in first.values()])
    true_class = np.stack([p.probabilities[np.arange(len(p)), p.labels] for p in first.values()])
    differing = np.flatnonzero(right.any(axis=0) & ~right.all(axis=0))
    spread = np.ptp(true_class, axis=0)[differing]
    return [_describe(int(index), first) for index in differing[np.argsort(-spread, kind="stable")]]


def disagreements_table(systems: Sequence[System], found: Sequence[Disagreement]) -> Table:
    """Return one row for each image: file, true class, and the prediction of each system with its probability."""
    tests = systems[0].runs[0].tests
    names = [system.name for system in systems]
    columns = ("source", "file", "true class", *(c for name in names for c in (name, f"{name}: probability")))
    rows: list[tuple[Cell, ...]] = []
    for image in found:
        calls = [cell for name in names for cell in (image.prediction[name], image.confidence[name])]
        rows.append((*truth_of(tests, image.index), *calls))
    note = f"Images that some models classify correctly and others wrongly; {systems[0].runs[0].repeat_name} of each."
    return Table("disagreements", "Disagreements", columns, rows, note)


def truth_of(tests: Predictions, index: int) -> tuple[str, str, str]:
    """Return source, file and true class of an image."""
    return str(tests.sources[index]), str(tests.filenames[index]), tests.classes[tests.labels[index]]


def _describe(index: int, systems: dict[str, Predictions]) -> Disagreement:
    predicted = {name: int(p.predicted[index]) for name, p in systems.items()}
    return Disagreement(
        index,
        {name: predicted[name] == p.labels[index] for name, p in systems.items()},
        {name: p.classes[predicted[name]] for name, p in systems.items()},
        {name: float(p.probabilities[index].max()) for name, p in systems.items()},
    )
