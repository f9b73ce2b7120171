"""Predictions as text: one CSV row or one JSON object for each file.

The CSV columns are path, prediction, one probability a class (see `class_columns`), ood_score (if the RUN has a
reference for it), overlay (with Grad-CAM), error.
"""

import csv
import json
from collections.abc import Callable
from typing import TextIO

from fastmri_cls.inference.predictor import Prediction, Predictor, UnusableFile
from fastmri_cls.runs.predictions import class_columns
from fastmri_cls.sources.folders import printable

_FIRST = ("path", "prediction")
_OPTIONAL = ("ood_score", "overlay")
_LAST = ("error",)
_DIGITS = 6

Write = Callable[[Prediction | UnusableFile], object]
Row = dict[str, object]


def csv_writer(file: TextIO, predictor: Predictor) -> Write:
    """Write the header to `file` and return a function that writes one row for each result."""
    optional = [
        name for name, there in zip(_OPTIONAL, (predictor.has_ood_score, predictor.has_overlays), strict=True) if there
    ]
    of_classes = class_columns(predictor.classes, (*_FIRST, *_OPTIONAL, *_LAST))
    writer = csv.DictWriter(file, [*_FIRST, *of_classes, *optional, *_LAST], restval="", extrasaction="ignore")
    writer.writeheader()

    def write(result: Prediction | UnusableFile) -> None:
        row = _row(result, predictor.classes)
        if isinstance(result, Prediction):
            row |= {name: f"{p:.{_DIGITS}f}" for name, p in zip(of_classes, result.probabilities, strict=True)}
        writer.writerow(row)

    return write


def jsonl_writer(file: TextIO, predictor: Predictor) -> Write:
    """Return a function that writes one JSON object for each result; see `_row`."""
    return lambda result: file.write(json.dumps(_row(result, predictor.classes), ensure_ascii=False) + "\n")


def row_collector(rows: list[Row], predictor: Predictor) -> Write:
    """Return a function that appends one dict for each result to `rows`; see `_row`."""
    return lambda result: rows.append(_row(result, predictor.classes))


def _row(result: Prediction | UnusableFile, classes: tuple[str, ...]) -> Row:
    """Return path and error, or path, prediction, probabilities {class: p} and what else is known."""
    path = printable(str(result.path))
    if isinstance(result, UnusableFile):
        return {"path": path, "error": result.reason}
    probabilities = {name: round(float(p), _DIGITS) for name, p in zip(classes, result.probabilities, strict=True)}
    row: Row = {
        "path": path,
        "prediction": classes[int(result.probabilities.argmax())],
        "probabilities": probabilities,
    }
    if result.ood_score is not None:
        row["ood_score"] = round(result.ood_score, 3)
    if result.overlay is not None:
        row["overlay"] = result.overlay
    return row
