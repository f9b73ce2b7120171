"""A CSV file of predictions that was made elsewhere, matched with the images of a dataset.

Needed are a column with the file (`filename` or `path`) and one column of probabilities for each class, by its name.
A column `source` tells equal file names of two sources apart. predictions.csv of a RUN and what `predict` writes are
such files.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.reader import Facts
from fastmri_cls.referee.classes import find_order
from fastmri_cls.sources.classes import ClassNames

_FILE_COLUMNS = ("filename", "path")
_PREFIX = "probability of "
_OTHER_COLUMNS = {
    "source", "filename", "path", "label", "prediction", "split", "group", "clean", "ood_score", "overlay", "error",
}  # fmt: skip


class PredictionTable:
    """The rows of such a file.

    Args:
        path: the file.
        classes: of the dataset.

    Attributes:
        path: the file.
        order: the columns of the classes; see `ClassOrder`.

    Raises:
        UserError: it cannot be read, lacks a column, or a probability is no number.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.path = path
        header, rows = _read(path)
        file_column = next((header.index(name) for name in _FILE_COLUMNS if name in header), None)
        if file_column is None:
            raise UserError(f"{path}: has the columns {', '.join(header)}; one of them must be filename or path")
        names = [name for name in header if name.startswith(_PREFIX)]
        if not names:
            canonical = ClassNames().canonical
            wanted = {canonical(name) for name in classes}
            strangers = [name for name in header if name.casefold() not in _OTHER_COLUMNS]
            names = [name for name in header if canonical(name) in wanted] or strangers
        self.order = find_order(path.name, classes, None, [name.removeprefix(_PREFIX) for name in names], "its columns")
        columns = [header.index(names[place]) for place in self.order.columns]
        source = header.index("source") if "source" in header else None
        self._labels = [row[header.index("label")] for row in rows] if "label" in header else None
        self._rows: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            name = row[file_column].replace("\\", "/")
            self._rows.setdefault(f"{row[source]}/{name}" if source is not None else name, []).append(number)
        try:
            self._outputs = np.array([[float(row[column]) for column in columns] for row in rows], np.float32)
        except ValueError as error:
            raise UserError(f"{path}: a probability is no number ({error})") from None
        if not np.isfinite(self._outputs).all():
            bad = int((~np.isfinite(self._outputs)).any(axis=1).argmax())
            raise UserError(f"{path}: line {bad + 2} has a probability that is not finite")

    def __len__(self) -> int:
        return len(self._outputs)

    def rows_of(self, facts: Facts) -> np.ndarray:
        """Return the row of each image, int [n]; -1 for an image that has none.

        A row is an image's if its file is SOURCE/FILENAME or FILENAME, or a path that ends so.

        Raises:
            UserError: two rows are of one image, or one row is of two.
        """
        place: dict[str, list[int]] = {}
        for image, (source, name) in enumerate(zip(facts.sources.tolist(), facts.filenames.tolist(), strict=True)):
            place.setdefault(f"{source}/{name}", []).append(image)
            place.setdefault(name, []).append(image)
        found = np.full(len(facts), -1)
        for file, numbers in self._rows.items():
            parts = file.split("/")
            endings = ("/".join(parts[start:]) for start in range(len(parts)))
            images = next((place[ending] for ending in endings if ending in place), [])
            if len(images) > 1:
                raise UserError(f"{self.path}: {file} is a file of two sources; add a column source")
            if images and (len(numbers) > 1 or found[images[0]] >= 0):
                raise UserError(f"{self.path}: has two rows for {file}; leave one out")
            if images:
                found[images[0]] = numbers[0]
        return found

    def outputs(self, rows: np.ndarray) -> np.ndarray:
        """Return the values of some rows in the dataset's order of classes, float32 [n, classes]."""
        return self._outputs[rows]

    def labels(self, rows: np.ndarray) -> list[str] | None:
        """Return what the column `label` says of some rows; None without that column."""
        return [self._labels[row] for row in rows] if self._labels else None


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error})") from None
    if len(lines) < 2:
        raise UserError(f"{path}: has no predictions in it")
    header, *rows = lines
    uneven = next((number for number, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if uneven:
        raise UserError(f"{path}: row {uneven} does not have {len(header)} cells")
    return header, rows
