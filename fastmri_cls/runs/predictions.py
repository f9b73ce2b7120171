"""Predictions as columns, row i for image i, and their CSV files: what every metric and figure is computed from."""

import csv
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.foundation.errors import UserError

_COLUMNS = ("source", "filename", "label", "prediction")
_MORE_COLUMNS = ("split", "group", "clean")


@dataclass(frozen=True)
class Predictions:
    """Probabilities of a model on some images, with what is known of each.

    Fields:
        splits, sources, filenames: str [n]. groups: int [n], see records/schema.py. clean: bool [n], not in training.
        labels: int [n]. probabilities: float32 [n, classes]. classes: the names in label order.
    """

    splits: np.ndarray
    sources: np.ndarray
    filenames: np.ndarray
    groups: np.ndarray
    clean: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class, int [n]."""
        return self.probabilities.argmax(axis=1)

    @property
    def source_names(self) -> list[str]:
        """The sources, in the order of their first image."""
        return list(dict.fromkeys(self.sources.tolist()))

    def where(self, chosen: np.ndarray) -> "Predictions":
        """Return the rows of a bool or index array."""
        columns = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "classes"}
        return replace(self, **columns)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write one row an image; probabilities with the digits that give the same float32 again."""
    names = predictions.classes
    with new_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*_COLUMNS, *names, *_MORE_COLUMNS))
        for i in range(len(predictions)):
            writer.writerow(
                (
                    predictions.sources[i],
                    predictions.filenames[i],
                    names[predictions.labels[i]],
                    names[predictions.predicted[i]],
                    *(str(p) for p in predictions.probabilities[i]),
                    predictions.splits[i],
                    predictions.groups[i],
                    int(predictions.clean[i]),
                )
            )


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        UserError: the file is missing or has other columns.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run evaluate on that RUN first") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8; run evaluate on that RUN again") from None
    except ValueError:
        raise UserError(f"{path}: is empty; run evaluate on that RUN again") from None
    except csv.Error as error:
        raise UserError(f"{path}: is damaged ({error}); run evaluate on that RUN again") from None
    if not rows:
        raise UserError(f"{path}: has no predictions in it; run evaluate on that RUN again")
    known = len(_COLUMNS), -len(_MORE_COLUMNS)
    classes = tuple(header[known[0] : known[1]])
    if tuple(header) != (*_COLUMNS, *classes, *_MORE_COLUMNS):
        raise UserError(f"{path}: has the columns {', '.join(header)}; run evaluate on that RUN again")
    try:
        return _from_rows(header, rows, classes)
    except (IndexError, KeyError, ValueError) as error:
        raise UserError(f"{path}: is damaged ({error}); run evaluate on that RUN again") from None


def _from_rows(header: list[str], rows: list[list[str]], classes: tuple[str, ...]) -> Predictions:
    columns: dict[str, Any] = {name: np.array([row[i] for row in rows]) for i, name in enumerate(header)}
    number = {name: label for label, name in enumerate(classes)}
    return Predictions(
        splits=columns["split"],
        sources=columns["source"],
        filenames=columns["filename"],
        groups=columns["group"].astype(np.int64),
        clean=columns["clean"] == "1",
        labels=np.array([number[name] for name in columns["label"].tolist()], dtype=np.int64),
        probabilities=np.stack([columns[name].astype(np.float32) for name in classes], axis=1),
        classes=classes,
    )
