"""Predictions as text: one CSV row or one JSON object a file.

CSV columns: path, prediction, one a class, novelty (where the RUN can tell), overlay (where asked for), error.
"""

import csv
import json
from collections.abc import Callable
from typing import Any, TextIO

from fastmri_cls.inference.predictor import Failure, Prediction, Predictor
from fastmri_cls.sources.folders import printable

_DIGITS = 6

Write = Callable[[Prediction | Failure], None]


def csv_writer(file: TextIO, predictor: Predictor) -> Write:
    """Write the header to `file` and return what writes a row."""
    optional = [name for name, there in _optional(predictor).items() if there]
    writer = csv.writer(file)
    writer.writerow(["path", "prediction", *predictor.classes, *optional, "error"])

    def write(result: Prediction | Failure) -> None:
        path = printable(str(result.path))
        if isinstance(result, Failure):
            empty = [""] * (1 + len(predictor.classes) + len(optional))
            writer.writerow([path, *empty, result.reason])
            return
        probabilities = [f"{p:.{_DIGITS}f}" for p in result.probabilities]
        facts = [_facts(result)[name] for name in optional]
        writer.writerow([path, _predicted(result, predictor), *probabilities, *facts, ""])

    return write


def jsonl_writer(file: TextIO, predictor: Predictor) -> Write:
    """Return what writes an object: path and error, or path, prediction, probabilities {class: p} and the facts."""

    def write(result: Prediction | Failure) -> None:
        row: dict[str, Any] = {"path": printable(str(result.path))}
        if isinstance(result, Failure):
            row["error"] = result.reason
        else:
            row["prediction"] = _predicted(result, predictor)
            rounded = (round(float(p), _DIGITS) for p in result.probabilities)
            row["probabilities"] = dict(zip(predictor.classes, rounded, strict=True))
            row |= {name: value for name, value in _facts(result).items() if value is not None}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")

    return write


def _optional(predictor: Predictor) -> dict[str, bool]:
    return {"novelty": predictor.has_novelty, "overlay": predictor.has_overlays}


def _facts(result: Prediction) -> dict[str, Any]:
    novelty = None if result.novelty is None else round(result.novelty, 3)
    return {"novelty": novelty, "overlay": result.overlay}


def _predicted(result: Prediction, predictor: Predictor) -> str:
    return predictor.classes[int(result.probabilities.argmax())]
