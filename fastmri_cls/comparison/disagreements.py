"""Test images that not every system has right, the starkest first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastmri_cls.comparison.runs import System
from fastmri_cls.report.text_tables import Cell, Table
from fastmri_cls.runs.predictions import Predictions


@dataclass(frozen=True)
class Disagreement:
    """Image number `index` of the test images; `right` bool and `prediction` by system, of its first repeat."""

    index: int
    right: dict[str, bool]
    prediction: dict[str, str]
    confidence: dict[str, float]


def find_disagreements(systems: Sequence[System]) -> list[Disagreement]:
    """Return the images that the systems' first repeats do not all have right or all wrong, the starkest first.

    Stark is where one system is sure of the truth and another sure of something else: the largest difference of two
    systems' probabilities of the true class.
    """
    first = {system.name: system.runs[0].tests for system in systems}
    labels = systems[0].runs[0].tests.labels
    right = np.stack([p.predicted == labels for p in first.values()])
    of_truth = np.stack([p.probabilities[np.arange(len(p)), p.labels] for p in first.values()])
    differing = np.flatnonzero(right.any(axis=0) & ~right.all(axis=0))
    starkness = np.ptp(of_truth, axis=0)[differing]
    return [_describe(int(index), first) for index in differing[np.argsort(-starkness, kind="stable")]]


def disagreements_table(systems: Sequence[System], found: Sequence[Disagreement]) -> Table:
    """Return one row an image: file, truth, and each system's call with its probability."""
    tests = systems[0].runs[0].tests
    names = [system.name for system in systems]
    columns = ("source", "file", "true class", *(c for name in names for c in (name, f"{name}: probability")))
    rows: list[tuple[Cell, ...]] = []
    for image in found:
        calls = [cell for name in names for cell in (image.prediction[name], image.confidence[name])]
        rows.append((*truth_of(tests, image.index), *calls))
    note = f"Images that some models have right and others not, by {systems[0].runs[0].repeat_name} of each."
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
