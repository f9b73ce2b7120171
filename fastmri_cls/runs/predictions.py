"""Predictions as columns, row i for image i, and predictions.csv. Every metric and figure is computed from them.

The columns of the file are source, filename, label, prediction, one probability a class, split, group, clean. They
are read by position, so that a class may have the name of any column.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.atomic import new_file
from fastmri_cls.foundation.errors import UserError

_FIRST = ("source", "filename", "label", "prediction")
_LAST = ("split", "group", "clean")
_PREFIX = "probability of "
_CURE = "run evaluate on that RUN again"


@dataclass(frozen=True)
class Predictions:
    """The probabilities of a model on some images, and the facts of each image.

    Attributes:
        splits: name of the split, str [n].
        sources: name of the source, str [n].
        filenames: path relative to the source's folder, str [n].
        groups: images with the same number are near duplicates or belong to one patient, int [n].
        clean: whether no training or validation image is in the group, bool [n].
        labels: the true class, int [n].
        probabilities: float32 [n, classes].
        classes: names in label order.
    """

    splits: np.ndarray
    sources: np.ndarray
    filenames: np.ndarray
    groups: np.ndarray
    clean: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset, splits: Sequence[str], probabilities: np.ndarray) -> "Predictions":
        """Return the predictions for all images of some splits of a dataset.

        Args:
            dataset: with the model's classes.
            splits: names of splits.
            probabilities: float32 [n, classes], in the order of the splits and of the images in their shards.
        """
        facts = dataset.facts(splits)
        return cls(
            splits=facts.splits,
            sources=facts.sources,
            filenames=facts.filenames,
            groups=facts.groups,
            clean=facts.clean,
            labels=facts.labels,
            probabilities=probabilities,
            classes=dataset.classes,
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class, int [n]."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def source_names(self) -> list[str]:
        """The sources, in the order of their first image."""
        return list(dict.fromkeys(self.sources.tolist()))

    def where(self, chosen: np.ndarray) -> "Predictions":
        """Return the rows of a bool or index array."""
        columns = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "classes"}
        return replace(self, **columns)


def class_columns(classes: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the column names of the classes in a table that has the columns `others` too.

    They are the class names. If one of them is the name of another column, all of them get the prefix
    `probability of `, so that nobody who looks a column up by its name gets another one.
    """
    taken = {name.casefold() for name in others}
    is_taken = any(name.casefold() in taken for name in classes)
    is_prefixed = all(name.startswith(_PREFIX) for name in classes)  # else `_class_names` would take the prefix off
    return [_PREFIX + name for name in classes] if is_taken or is_prefixed else list(classes)


def _class_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the class names for columns named by `class_columns`."""
    is_prefixed = all(name.startswith(_PREFIX) for name in columns)
    return tuple(name.removeprefix(_PREFIX) for name in columns) if is_prefixed else tuple(columns)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write one row an image; probabilities with the digits that give the same float32 again."""
    names = predictions.classes
    with new_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*_FIRST, *class_columns(names, (*_FIRST, *_LAST)), *_LAST))
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
    """Read a file that `write_predictions` wrote.

    Raises:
        UserError: the file is missing, damaged or has other columns.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run evaluate on that RUN first") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8; {_CURE}") from None
    except ValueError:
        raise UserError(f"{path}: is empty; {_CURE}") from None
    except csv.Error as error:
        raise UserError(f"{path}: is damaged ({error}); {_CURE}") from None
    classes = _class_names(header[len(_FIRST) : -len(_LAST)])
    is_ours = tuple(header[: len(_FIRST)]) == _FIRST and tuple(header[-len(_LAST) :]) == _LAST
    if not is_ours or len(set(classes)) < max(len(classes), 1):
        raise UserError(f"{path}: has the columns {', '.join(header)}; {_CURE}")
    if not rows:
        raise UserError(f"{path}: has no predictions in it; {_CURE}")
    uneven = next((number for number, row in enumerate(rows, 2) if len(row) != len(header)), None)
    if uneven:
        raise UserError(f"{path}: row {uneven} is damaged, it does not have {len(header)} cells; {_CURE}")
    try:
        return _from_columns([np.array(column) for column in zip(*rows, strict=True)], classes)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: is damaged ({error}); {_CURE}") from None


def _from_columns(columns: list[np.ndarray], classes: tuple[str, ...]) -> Predictions:
    sources, filenames, labels, _, *probabilities, splits, groups, clean = columns
    number = {name: label for label, name in enumerate(classes)}
    return Predictions(
        splits=splits,
        sources=sources,
        filenames=filenames,
        groups=groups.astype(np.int64),
        clean=clean == "1",
        labels=np.array([number[name] for name in labels.tolist()], dtype=np.int64),
        probabilities=np.stack([column.astype(np.float32) for column in probabilities], axis=1),
        classes=classes,
    )
