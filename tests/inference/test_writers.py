"""The table that `predict` writes: every class in a column of its own, whatever the classes are called."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings

from fastmri_cls.inference.predictor import Prediction, UnusableFile
from fastmri_cls.inference.writers import csv_writer, jsonl_writer
from fastmri_cls.runs.predictions import class_columns
from tests.class_names import CLASSES

COLUMNS = ("path", "prediction", "ood_score", "overlay", "error")


def table(classes: tuple[str, ...], results: list[Prediction | UnusableFile], **has: bool) -> str:
    file = io.StringIO(newline="")
    predictor = SimpleNamespace(classes=classes, has_ood_score=True, has_overlays=True)
    write = csv_writer(file, SimpleNamespace(**(vars(predictor) | has)))
    for result in results:
        write(result)
    return file.getvalue()


def prediction(classes: tuple[str, ...], number: int = 0) -> Prediction:
    probabilities = np.random.default_rng(number).dirichlet(np.ones(len(classes)))
    return Prediction(Path(f"scan {number}.png"), probabilities, 0.5 + number, f"{number:05}.png", ())


@settings(max_examples=300, deadline=None)
@given(classes=CLASSES)
def test_every_column_can_be_looked_up_by_its_name_whatever_the_classes_are_called(classes) -> None:
    results = [prediction(classes, number) for number in range(3)]
    text = table(classes, [*results, UnusableFile(Path("notes.txt"), "not an image")])
    *rows, failed = csv.DictReader(io.StringIO(text, newline=""))
    for row, result in zip(rows, results, strict=True):
        assert row["path"] == str(result.path)
        assert row["prediction"] == classes[result.probabilities.argmax()]
        assert [row["ood_score"], row["overlay"], row["error"]] == [str(result.ood_score), result.overlay, ""]
        found = [float(row[column]) for column in class_columns(classes, COLUMNS)]
        np.testing.assert_allclose(found, result.probabilities, atol=1e-6)
    assert failed["path"] == "notes.txt"
    assert failed["error"] == "not an image"
    assert not any(failed[column] for column in class_columns(classes, COLUMNS))


@pytest.mark.parametrize("name", ["path", "error", "ood_score", "Overlay", "probabilities"])
def test_a_class_named_as_a_column_or_a_key_does_not_take_its_place(name: str) -> None:
    classes = (name, "other")
    (row,) = csv.DictReader(io.StringIO(table(classes, [prediction(classes)]), newline=""))
    assert row["path"] == "scan 0.png"
    assert row["error"] == ""
    file = io.StringIO()
    jsonl_writer(file, SimpleNamespace(classes=classes))(prediction(classes))
    written = json.loads(file.getvalue())
    assert written["path"] == "scan 0.png"
    assert list(written["probabilities"]) == [name, "other"]


def test_the_score_and_the_overlay_have_columns_only_where_there_are_any() -> None:
    classes = ("glioma", "notumor")
    header = table(classes, [], has_ood_score=False, has_overlays=False).splitlines()[0]
    assert header == "path,prediction,glioma,notumor,error"
    assert table(classes, []).splitlines()[0] == "path,prediction,glioma,notumor,ood_score,overlay,error"
