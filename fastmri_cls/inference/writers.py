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

Write = Callable[[Prediction | Failure], object]
Row = dict[str, object]


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
    """Return a function that writes one JSON object per result; see `_row`."""
    return lambda result: file.write(json.dumps(_row(result, predictor), ensure_ascii=False) + "\n")


def row_collector(rows: list[Row], predictor: Predictor) -> Write:
    """Return a function that appends one dict per result to `rows`; see `_row`."""
    return lambda result: rows.append(_row(result, predictor))


def _row(result: Prediction | Failure, predictor: Predictor) -> Row:
    """Return path and error, or path, prediction, probabilities {class: p} and the optional facts."""
    path = printable(str(result.path))
    if isinstance(result, Failure):
        return {"path": path, "error": result.reason}
    rounded = (round(float(p), _DIGITS) for p in result.probabilities)
    probabilities = dict(zip(predictor.classes, rounded, strict=True))
    facts = {name: value for name, value in _facts(result).items() if value is not None}
    return {"path": path, "prediction": _predicted(result, predictor), "probabilities": probabilities, **facts}


def _optional(predictor: Predictor) -> dict[str, bool]:
    return {"novelty": predictor.has_novelty, "overlay": predictor.has_overlays}


def _facts(result: Prediction) -> dict[str, Any]:
    novelty = None if result.novelty is None else round(result.novelty, 3)
    return {"novelty": novelty, "overlay": result.overlay}


def _predicted(result: Prediction, predictor: Predictor) -> str:
    return predictor.classes[int(result.probabilities.argmax())]
