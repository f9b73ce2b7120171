"""predictions.csv keeps every bit, whatever the classes are called, and refuses what `evaluate` did not write."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.predictions import Predictions, class_columns, read_predictions, write_predictions
from tests.class_names import CLASSES

COLUMNS = ("source", "filename", "label", "prediction", "split", "group", "clean")


def predictions(classes: tuple[str, ...], n: int = 12) -> Predictions:
    rng = np.random.default_rng(len(classes))
    return Predictions(
        splits=np.full(n, "test.a"),
        sources=np.full(n, "a"),
        filenames=np.array([f'Testing/x,"é"/{i}.jpg' for i in range(n)]),
        groups=np.arange(n) // 2,
        clean=np.arange(n) % 3 > 0,
        labels=np.arange(n) % len(classes),
        probabilities=rng.dirichlet(np.ones(len(classes)), n).astype(np.float32),
        classes=classes,
    )


def assert_equal(one: Predictions, other: Predictions) -> None:
    for name in ("splits", "sources", "filenames", "groups", "clean", "labels", "probabilities"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.classes == other.classes


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(classes=CLASSES)
def test_predictions_survive_their_csv_whatever_the_classes_are_called(tmp_path_factory, classes) -> None:
    path = tmp_path_factory.getbasetemp() / "predictions.csv"
    written = predictions(classes)
    write_predictions(path, written)
    assert_equal(read_predictions(path), written)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(classes=CLASSES)
def test_a_column_looked_up_by_its_name_is_that_column(tmp_path_factory, classes) -> None:
    path = tmp_path_factory.getbasetemp() / "by-name.csv"
    written = predictions(classes)
    write_predictions(path, written)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["filename"] for row in rows] == written.filenames.tolist()
    assert [row["label"] for row in rows] == [classes[label] for label in written.labels]
    for name, column in zip(classes, class_columns(classes, COLUMNS), strict=True):
        assert column.endswith(name)
        np.testing.assert_array_equal(
            np.array([row[column] for row in rows], np.float32), written.probabilities[:, classes.index(name)]
        )


def test_names_that_collide_with_no_column_stand_in_the_header_as_they_are(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", predictions(("glioma", "notumor")))
    header = (tmp_path / "p.csv").read_text().splitlines()[0]
    assert header == "source,filename,label,prediction,glioma,notumor,split,group,clean"


def test_a_file_of_a_version_that_knew_no_prefix_is_read_by_position(tmp_path: Path) -> None:
    written = predictions(("clean", "label"))
    write_predictions(tmp_path / "p.csv", written)
    text = (tmp_path / "p.csv").read_text()
    (tmp_path / "p.csv").write_text(text.replace("probability of ", ""))
    assert_equal(read_predictions(tmp_path / "p.csv"), written)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "has the columns a, b"),
        ("split,source,filename,group,clean,label,prediction,p_a,p_b\n", "has the columns split"),
        ("source,filename,label,prediction,split,group,clean\n", "has the columns"),
        ("source,filename,label,prediction,x,x,split,group,clean\n", "has the columns"),
        ("source,filename,label,prediction,x,y,split,group,clean\n", "has no predictions"),
        ("source,filename,label,prediction,x,y,split,group,clean\na,f,x,x,.5,.5,test\n", "row 2 is damaged"),
        ("source,filename,label,prediction,x,y,split,group,clean\na,f,z,x,.5,.5,test,1,1\n", "is damaged"),
        ("source,filename,label,prediction,x,y,split,group,clean\na,f,x,x,?,.5,test,1,1\n", "is damaged"),
    ],
)
def test_a_csv_that_evaluate_did_not_write_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(UserError, match=rf"p\.csv: {problem}.*run evaluate"):
        read_predictions(tmp_path / "p.csv")


def test_where_chooses_rows_of_every_column() -> None:
    p = predictions(("x", "y"))
    assert_equal(p.where(np.arange(12) >= 0), p)
    assert_equal(p.where(np.array([3, 1])), replace(p, **{
        name: getattr(p, name)[[3, 1]]
        for name in ("splits", "sources", "filenames", "groups", "clean", "labels", "probabilities")
    }))  # fmt: skip
