"""Somebody else's model or table of predictions -> probabilities of the test and validation images of a dataset."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.records.split_names import VAL
from fastmri_cls.referee.classes import ClassOrder, find_order
from fastmri_cls.referee.csv_predictions import PredictionTable
from fastmri_cls.referee.heat_maps import heat_overlay
from fastmri_cls.referee.opening import OpenedModel, of_callable, of_keras, open_model
from fastmri_cls.referee.predicting import as_probabilities, outputs_on, try_preprocessings
from fastmri_cls.referee.preprocessing import find_preprocessing
from fastmri_cls.report.mistakes import Overlay
from fastmri_cls.runs.model_evaluation import Kind, ModelInput
from fastmri_cls.runs.predictions import Predictions
from fastmri_cls.sources.classes import ClassNames

Model: TypeAlias = Path | keras.Model | Callable[[Any], Any]


@dataclass(frozen=True)
class Judged:
    """The predictions of a model, and what evaluation.json says of it.

    Attributes:
        name: see `ModelFacts`.
        kind: likewise.
        sha256: likewise.
        order: which output is which class.
        input: see `ModelFacts`.
        outputs: likewise.
        notes: likewise.
        tests: of all test images.
        validation: of the validation images; None without them.
        overlay: draws heat maps; None if the model is no Keras model, or none of its layers gives feature maps.
    """

    name: str
    kind: Kind
    sha256: str | None
    order: ClassOrder
    input: ModelInput | None
    outputs: str
    notes: tuple[str, ...]
    tests: Predictions
    validation: Predictions | None
    overlay: Overlay | None = None


def judge(model: Model, dataset: Dataset, preprocessing: str | None, classes: tuple[str, ...] | None) -> Judged:
    """Return the predictions of a model on the test and validation images.

    Args:
        model: see `evaluate_model`.
        dataset: the dataset.
        preprocessing: see `RefereeOptions`.
        classes: likewise.

    Raises:
        UserError: see `evaluate_model`.
    """
    if isinstance(model, Path):
        if model.suffix == ".csv" and model.exists():
            return _judge_table(model, dataset, has_options=bool(preprocessing or classes))
        opened = open_model(model)
    elif isinstance(model, keras.Model):
        opened = of_keras(model, model.name, "callable", None)
    else:
        opened = of_callable(model)
    return _judge_opened(opened, dataset, preprocessing, classes)


def _judge_opened(
    model: OpenedModel, dataset: Dataset, preprocessing: str | None, classes: tuple[str, ...] | None
) -> Judged:
    order = find_order(model.name, dataset.classes, classes, model.class_names, model.named_by)
    has_validation = dataset.count(VAL) > 0 if VAL in dataset.splits else False
    tried: dict[str, float] = {}
    images = 0
    if preprocessing is None and model.kind == "callable" and model.batch is None:
        preprocessing = "0..255"  # a function does what it wants
    if preprocessing is None:
        if not has_validation:
            raise UserError(f"{dataset.path}: has no val split to try preprocessings on; name it with --preprocessing")
        tried, images = try_preprocessings(model, dataset, VAL, order)
        preprocessing = next(iter(tried))
        log.warning(f"note: preprocessing {preprocessing} is a guess by {images} validation images: {tried}")
    preprocess = find_preprocessing(preprocessing, model.channels)
    tests = dataset.manifest.test_splits
    outputs = outputs_on(model, dataset, [VAL, *tests] if has_validation else tests, preprocess, order)
    probabilities, what = as_probabilities(outputs)
    size = model.height or dataset.image_size, model.width or dataset.image_size
    first_test = dataset.count(VAL) if has_validation else 0
    return Judged(
        name=model.name,
        kind=model.kind,
        sha256=model.sha256,
        order=order,
        input=ModelInput(*size, model.channels, preprocessing, bool(tried), tried, images),
        outputs=what,
        notes=_notes_on_size(size, dataset),
        tests=Predictions.of(dataset, tests, probabilities[first_test:]),
        validation=Predictions.of(dataset, [VAL], probabilities[:first_test]) if has_validation else None,
        overlay=heat_overlay(model, dataset, preprocess, order),
    )


def _judge_table(path: Path, dataset: Dataset, *, has_options: bool) -> Judged:
    if has_options:
        raise UserError(f"{path}: is a table of predictions, whose columns name the classes; leave the options away")
    table = PredictionTable(path, dataset.classes)
    tests = dataset.manifest.test_splits
    facts = dataset.facts(tests)
    rows = table.rows_of(facts)
    missing = np.flatnonzero(rows < 0)
    if len(missing):
        first = f"{facts.sources[missing[0]]}/{facts.filenames[missing[0]]}"
        raise UserError(f"{path}: has no row for {len(missing)} of {len(rows)} test images (the first: {first})")
    validation_rows = table.rows_of(dataset.facts(VAL)) if VAL in dataset.splits else np.empty(0, int)
    found = int((validation_rows >= 0).sum())
    has_validation = 0 < found == len(validation_rows)
    used = np.concatenate([rows, validation_rows]) if has_validation else rows
    probabilities, what = as_probabilities(table.outputs(used))
    notes = []
    if found < len(validation_rows):
        notes.append(
            f"The table has rows for {found} of {len(validation_rows)} validation images. A calibration needs all of "
            "them, so there is none."
        )
    left = len(table) - len(rows) - found
    if left:
        notes.append(f"{left} rows of the table are of no test or validation image, and left out.")
    labels, canonical = table.labels(rows) or [], ClassNames().canonical
    others = sum(canonical(a) != canonical(b) for a, b in zip(labels, facts.class_names.tolist(), strict=False))
    if others:
        notes.append(f"The table has another label for {others} test images; the dataset's labels count.")
    return Judged(
        name=path.name,
        kind="predictions",
        sha256=file_sha256(path),
        order=table.order,
        input=None,
        outputs=what,
        notes=tuple(notes),
        tests=Predictions.of(dataset, tests, probabilities[: len(rows)]),
        validation=Predictions.of(dataset, [VAL], probabilities[len(rows) :]) if has_validation else None,
    )


def _notes_on_size(size: tuple[int, int], dataset: Dataset) -> tuple[str, ...]:
    if max(size) <= dataset.image_size:
        return ()
    return (
        f"The dataset stores images of {dataset.image_size} pixels, the model takes {size[0]} x {size[1]}: they were "
        f"enlarged. Built with --image-size {max(size)}, they would be sharper.",
    )
